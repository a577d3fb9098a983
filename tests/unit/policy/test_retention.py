"""How long events stay, read from the names of policies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta.policy.retention import days_kept, is_retention, retention_policy


@given(st.integers(1, 99_999))
def test_the_days_stand_in_the_name(days: int) -> None:
    assert days_kept(f"retention-{days}d") == days


@pytest.mark.parametrize(
    "name", ["retention", "retention-0d", "retention-08d", "retention-3w", "retention-d", "pii-mask-basic"]
)
def test_any_other_name_says_nothing_of_it(name: str) -> None:
    assert not is_retention(name)
    with pytest.raises(ValueError, match="does not say how long"):
        days_kept(name)


def test_without_such_a_policy_events_are_kept_for_good() -> None:
    assert retention_policy(["pii-mask-basic"]) is None
    assert retention_policy(["retention-90d", "retention-100d"]) == "retention-90d"
