"""How long a dataset may be silent: told from its own history, hour of the week by hour of the week.

Nights, weekends and lulls of the past count for nothing: silence is measured in the hours of activity that were to be
expected meanwhile. A dataset that is new, or has too little history to tell, is never called silent.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from typing import Final

HISTORY: Final = timedelta(days=56)
"""What is looked at: the weeks up to the last event."""
YOUNGEST: Final = timedelta(days=14)
FEWEST_HOURS: Final = 40
"""With fewer hours of activity than this, how long a lull may be cannot be told."""
LEAST_MISSED: Final = 6.0
TIMES_LONGEST: Final = 2.5
"""With n lulls behind it, the next one is this many times the longest with a chance of about 3 / n**2.5."""

METHOD: Final = (
    f"Silence is measured in expected hours of activity: for each hour of the week, how often the last "
    f"{HISTORY.days} days had an event in it. Too long is what exceeds {TIMES_LONGEST} times the longest silence of "
    f"that time, and at least {LEAST_MISSED:.0f} expected hours; with less than {YOUNGEST.days} days or "
    f"{FEWEST_HOURS} hours of activity nothing is concluded."
)

_HOUR: Final = timedelta(hours=1)
_WEEK_HOURS: Final = 168


def expected_by(active: Sequence[datetime]) -> datetime | None:
    """By when, at the latest, an event was to come; None while the history is too young or too thin to tell.

    Args:
        active: The starts of the hours (UTC, ascending, each once) in which events came, up to the last one; what is
            older than `HISTORY` before the last is left out.
    """
    recent = [hour for hour in active if hour >= active[-1] - HISTORY] if active else []
    if len(recent) < FEWEST_HOURS or recent[-1] - recent[0] < YOUNGEST:
        return None
    profile = _Profile(recent)
    longest = max(profile.expected(before + _HOUR, after) for before, after in pairwise(recent))
    return profile.reaches(recent[-1] + _HOUR, max(LEAST_MISSED, TIMES_LONGEST * longest))


class _Profile:
    """How likely each hour of the week is to be active; an hour takes in its neighbours, for clocks that change."""

    def __init__(self, active: Sequence[datetime]) -> None:
        weeks = max(1.0, (active[-1] - active[0]) / timedelta(days=7))
        counts = [0] * _WEEK_HOURS
        for hour in active:
            counts[_slot(hour)] += 1
        self._chances = [
            min(1.0, (counts[slot - 1] + counts[slot] + counts[(slot + 1) % _WEEK_HOURS]) / (3 * weeks))
            for slot in range(_WEEK_HOURS)
        ]
        self._before = list(accumulate(self._chances, initial=0.0))

    def expected(self, start: datetime, end: datetime) -> float:
        """How many active hours were to be expected from one hour up to another."""
        hours = max(0, round((end - start) / _HOUR))
        weeks, rest = divmod(hours, _WEEK_HOURS)
        first = _slot(start)
        last = first + rest
        week = self._before[-1]
        if last <= _WEEK_HOURS:
            part = self._before[last] - self._before[first]
        else:
            part = week - self._before[first] + self._before[last - _WEEK_HOURS]
        return weeks * week + part

    def reaches(self, start: datetime, expected: float) -> datetime:
        """The end of the hour in which so many active hours have been expected since `start`."""
        weeks, missing = divmod(expected, self._before[-1])
        hour = start + timedelta(weeks=int(weeks))
        while missing > 0:
            missing -= self._chances[_slot(hour)]
            hour += _HOUR
        return hour


def _slot(hour: datetime) -> int:
    return hour.weekday() * 24 + hour.hour
