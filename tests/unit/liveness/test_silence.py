"""How long silence may last: nights, weekends and lulls are known; an outage is found; the new are left in peace."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.liveness.silence import FEWEST_HOURS, HISTORY, YOUNGEST, expected_by

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)

Chance = Callable[[datetime], float]


def office(chance: float) -> Chance:
    """Active on working days, nine to seven in São Paulo."""
    return lambda at: chance if at.weekday() < 5 and 12 <= at.hour < 22 else 0.0


def shop(at: datetime) -> float:
    """Busy by day, an order now and then by night."""
    return 0.8 if at.hour >= 10 else 0.05


SOURCES: dict[str, tuple[Chance, float]] = {
    "a busy office": (office(0.9), 1.0),
    "a quiet office": (office(0.3), 1.0),
    "a team that works on some days": (office(0.5), 0.5),
    "a shop": (shop, 1.0),
    "a trickle": (lambda _: 0.05, 1.0),
}


def history(source: str, weeks: int, seed: int) -> list[datetime]:
    """Hours in which something came, made up."""
    chance, days = SOURCES[source]
    dice = random.Random(seed)
    hours: list[datetime] = []
    for day in range(weeks * 7):
        works = dice.random() < days
        for hour in range(24):
            at = MONDAY + timedelta(days=day, hours=hour)
            if works and dice.random() < chance(at):
                hours.append(at)
    return hours


@pytest.mark.parametrize("source", SOURCES)
def test_half_a_year_of_ordinary_life_raises_no_alarm(source: str) -> None:
    hours = history(source, weeks=26, seed=7)
    # Only what came after a longer pause can have been awaited.
    pauses = [n for n in range(1, len(hours)) if hours[n] - hours[n - 1] > 3 * HOUR]
    awaited = {hours[n]: expected_by(hours[max(0, n - 1400) : n]) for n in pauses}
    told = {after: due for after, due in awaited.items() if due is not None}
    assert len(told) > len(awaited) / 2
    assert [after for after, due in told.items() if after >= due] == []


@pytest.mark.parametrize(
    ("source", "within_days"), [("a busy office", 5), ("a shop", 2), ("a quiet office", 10)]
)
def test_an_outage_is_found(source: str, within_days: int) -> None:
    hours = history(source, weeks=8, seed=11)
    due = expected_by(hours)
    assert due is not None
    assert timedelta(0) < due - hours[-1] <= timedelta(days=within_days)


def test_the_new_and_the_rare_are_never_called_silent() -> None:
    busy = [MONDAY + n * HOUR for n in range(24 * 13)]
    rare = [MONDAY + timedelta(days=n) for n in range(FEWEST_HOURS - 1)]
    assert expected_by([]) is None
    assert expected_by(busy) is None
    assert expected_by(rare) is None


@settings(max_examples=60, deadline=None)
@given(numbers=st.sets(st.integers(0, 24 * 80), min_size=1, max_size=400))
def test_whatever_came_silence_takes_six_hours_at_least_and_old_times_count_for_nothing(
    numbers: set[int],
) -> None:
    hours = [MONDAY + n * HOUR for n in sorted(numbers)]
    recent = [hour for hour in hours if hour >= hours[-1] - HISTORY]
    due = expected_by(hours)
    if due is None:
        assert len(recent) < FEWEST_HOURS or recent[-1] - recent[0] < YOUNGEST
    else:
        assert due - hours[-1] >= timedelta(hours=6)
        assert due == expected_by(recent)


@settings(max_examples=30, deadline=None)
@given(weeks=st.integers(0, 52), numbers=st.sets(st.integers(0, 24 * 50), min_size=60, max_size=300))
def test_the_verdict_depends_on_the_hours_of_the_week_and_not_on_the_date(
    weeks: int, numbers: set[int]
) -> None:
    hours = [MONDAY + n * HOUR for n in sorted(numbers)]
    later = [hour + timedelta(weeks=weeks) for hour in hours]
    due, due_later = expected_by(hours), expected_by(later)
    assert (due is None) == (due_later is None)
    if due is not None and due_later is not None:
        assert due_later - due == timedelta(weeks=weeks)
