"""Sets of UIDs behave as sets, whatever they hold, and say so in few words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.connectors.email.uids import UidSet

UIDS = st.sets(st.one_of(st.integers(1, 40), st.integers(1, 2**32 - 1)), max_size=40)


@given(left=UIDS, right=UIDS)
def test_they_are_sets(left: set[int], right: set[int]) -> None:
    a, b = UidSet.of(left), UidSet.of(right)
    assert set(a | b) == left | right
    assert set(a - b) == left - right
    assert set(a & b) == left & right
    assert len(a) == len(left)
    assert bool(a) == bool(left)
    assert all((uid in a) == (uid in left) for uid in left | right)


@given(uids=UIDS)
def test_they_are_written_and_read_again(uids: set[int]) -> None:
    assert UidSet.parse(str(UidSet.of(uids))) == UidSet.of(uids)


@given(uids=UIDS, most=st.integers(1, 10))
def test_pieces_make_up_the_whole(uids: set[int], most: int) -> None:
    pieces = list(UidSet.of(uids).chunks(most))
    assert all(0 < len(piece) <= most for piece in pieces)
    assert [uid for piece in pieces for uid in piece] == sorted(uids)


def test_a_mailbox_without_gaps_is_one_range() -> None:
    assert str(UidSet.of(range(1, 100_001))) == "1:100000"
    assert UidSet.parse("9:7,2,3") == UidSet.of([2, 3, 7, 8, 9])


@pytest.mark.parametrize("text", ["*", "1:*", "a", "1,,2", " 1", "-1", "1:2:3"])
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="sequence set"):
        UidSet.parse(text)
