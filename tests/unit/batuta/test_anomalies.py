"""The robust method finds what stands out and keeps quiet otherwise."""

import math
import random
from collections.abc import Mapping
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from batuta.anomalies import outliers

LAST = date(2025, 11, 12)
WEEKDAY_LEVEL = (60, 64, 66, 70, 90, 110, 80)


def _poisson(rng: random.Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def _series(seed: int, scale: float = 1.0) -> dict[date, float]:
    rng = random.Random(seed)
    days = [LAST - timedelta(days=ago) for ago in range(63)]
    return {day: float(_poisson(rng, scale * WEEKDAY_LEVEL[day.weekday()])) for day in days}


def _found(series: Mapping[date, float], *, counts: bool = True) -> list[date]:
    judged = [LAST - timedelta(days=ago) for ago in range(14)]
    return [outlier.day for outlier in outliers(series, counts=counts, judged=judged, threshold=4.0)]


def test_ordinary_chance_and_weekly_rhythm_raise_almost_no_alarm() -> None:
    alarms = sum(bool(_found(_series(seed, scale))) for seed in range(100) for scale in (0.03, 0.3, 1.0))
    assert alarms <= 3


def test_a_day_at_half_its_weekdays_level_is_found() -> None:
    odd = LAST - timedelta(days=4)
    found = 0
    for seed in range(50):
        series = _series(seed)
        series[odd] = round(series[odd] * 0.4)
        found += _found(series) == [odd]
    assert found >= 46


def test_growth_is_no_anomaly_and_hides_none() -> None:
    odd = LAST - timedelta(days=4)
    alarms = found = 0
    for seed in range(50):
        series = {
            day: round(value * math.exp(-0.01 * (LAST - day).days)) for day, value in _series(seed).items()
        }
        alarms += bool(_found(series))
        series[odd] = round(series[odd] * 0.4)
        found += _found(series) == [odd]
    assert alarms <= 2
    assert found >= 46


def test_a_quiet_weekday_is_no_anomaly_and_a_short_history_says_nothing() -> None:
    rhythm = {
        LAST - timedelta(days=ago): (0.0 if (LAST - timedelta(days=ago)).weekday() == 6 else 50.0)
        for ago in range(63)
    }
    assert _found(rhythm) == []
    assert _found({LAST - timedelta(days=ago): float(ago * 100) for ago in range(20)}) == []


@given(st.lists(st.floats(-1e9, 1e9), min_size=30, max_size=63), st.booleans())
def test_it_never_fails_and_names_only_days_it_was_asked_about(values: list[float], counts: bool) -> None:
    series = {LAST - timedelta(days=ago): value for ago, value in enumerate(values)}
    found = _found(series, counts=counts)
    assert found == sorted(set(found))
    assert all((LAST - day).days < 14 for day in found)
