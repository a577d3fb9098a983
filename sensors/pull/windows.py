"""Windows of a backfill: whole months in the product's zone, so that asking twice meets the same windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from batuta.errors import UsageError
from sensors.connectors.pulling import Window


def monthly_windows(first: date, last: date, timezone: str) -> tuple[Window, ...]:
    """The months of `first` to `last`, both days included, cut at the ends; in the product's zone, as UTC.

    Raises:
        UsageError: the days are in the wrong order.
    """
    if last < first:
        raise UsageError(f"--to {last} is before --from {first}")
    zone = ZoneInfo(timezone)
    edges = [first]
    while (following := _next_month(edges[-1])) <= last:
        edges.append(following)
    edges.append(last + timedelta(days=1))
    moments = [_begins(day, zone) for day in edges]
    return tuple(Window(start, end) for start, end in pairwise(moments))


def begun_windows(windows: Sequence[Window], now: datetime) -> tuple[Window, ...]:
    """Those that are not wholly in the future.

    Raises:
        UsageError: all of them are.
    """
    begun = tuple(window for window in windows if window.start <= now)
    if not begun:
        raise UsageError("these days are still to come: there is nothing to fetch yet")
    return begun


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _begins(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
