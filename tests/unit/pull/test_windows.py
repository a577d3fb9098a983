"""Backfill windows: they cover every day once, and are the same however the span is cut."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta.errors import UsageError
from sensors.pull.windows import begun_windows, monthly_windows

ZONES = st.sampled_from(["America/Sao_Paulo", "UTC", "Asia/Kathmandu", "Europe/Lisbon"])
DAYS = st.dates(date(2017, 1, 1), date(2027, 12, 31))


def test_months_begin_at_midnight_of_the_products_zone() -> None:
    first, second = monthly_windows(date(2026, 1, 10), date(2026, 2, 5), "America/Sao_Paulo")

    assert first.start == datetime(2026, 1, 10, 3, tzinfo=UTC)
    assert first.end == second.start == datetime(2026, 2, 1, 3, tzinfo=UTC)
    assert second.end == datetime(2026, 2, 6, 3, tzinfo=UTC)


@given(start=DAYS, length=st.integers(0, 800), zone=ZONES)
def test_windows_follow_each_other_without_gap(start: date, length: int, zone: str) -> None:
    last = start + timedelta(days=length)
    windows = monthly_windows(start, last, zone)

    assert all(a.end == b.start for a, b in pairwise(windows))
    assert all(window.start < window.end for window in windows)
    assert windows[0].start == monthly_windows(start, start, zone)[0].start
    assert windows[-1].end == monthly_windows(last, last, zone)[0].end


def test_days_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(UsageError, match="--to 2026-01-01 is before --from 2026-01-02"):
        monthly_windows(date(2026, 1, 2), date(2026, 1, 1), "UTC")


def test_months_that_are_still_to_come_are_left_out_and_never_all_of_them() -> None:
    windows = monthly_windows(date(2026, 1, 10), date(2026, 12, 31), "UTC")

    assert begun_windows(windows, datetime(2026, 2, 1, tzinfo=UTC)) == windows[:2]
    with pytest.raises(UsageError, match="still to come"):
        begun_windows(windows, datetime(2026, 1, 9, tzinfo=UTC))
