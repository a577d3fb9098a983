"""Days that stand out of a daily series, by a robust method that knows the week and the trend.

On a square-root scale, where counts have about equal spread at any level, a day is expected at its level (the median
of the two weeks around it) plus its weekday's usual distance from the level (the median over the history). It stands
out where it is more than `threshold` robust standard deviations off (1.4826 x the median absolute deviation of all
days), and by at least a quarter of what is expected.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Final

LEVEL_DAYS: Final = 7
"""Days on either side that make the level of a day."""
LEAST_DAYS: Final = 28
LEAST_SAME_WEEKDAYS: Final = 4
LEAST_RELATIVE_DEVIATION: Final = 0.25
_MAD_TO_SD: Final = 1.4826
_ANSCOMBE: Final = 0.375
# On the scale 2 * sqrt(x + 3/8) a Poisson count has a standard deviation of one.
_POISSON_SD: Final = 1.0
_LEAST_RELATIVE_SD: Final = 0.05


@dataclass(frozen=True, slots=True)
class Outlier:
    """A day that stands out: its value, what was expected of it, and how far off it is in robust deviations."""

    day: date
    value: float
    expected: float
    score: float


def outliers(
    series: Mapping[date, float], *, counts: bool, judged: Collection[date], threshold: float
) -> list[Outlier]:
    """The judged days of a daily series that stand out, oldest first; none where the history is too short.

    Args:
        series: Value by day.
        counts: The values are counts of events, so that their spread is at least that of chance.
        judged: Days to report on; all days of the series serve as history.
        threshold: Robust standard deviations.
    """
    if len(series) < LEAST_DAYS:
        return []
    scaled = {day: _scale(value) for day, value in series.items()}
    expected = _expected(scaled)
    residuals = {day: scaled[day] - value for day, value in expected.items()}
    if not residuals:
        return []
    deviation = _deviation(list(residuals.values()), list(scaled.values()), counts=counts)
    if deviation == 0:
        return []
    found = [
        Outlier(day, series[day], _unscale(expected[day]), round(residuals[day] / deviation, 1))
        for day in sorted(judged)
        if day in residuals
    ]
    return [outlier for outlier in found if abs(outlier.score) >= threshold and _is_material(outlier)]


def _expected(scaled: Mapping[date, float]) -> dict[date, float]:
    """Level plus weekday effect of each day whose weekday is known well enough."""
    levels = {
        day: median(value for other, value in scaled.items() if abs((other - day).days) <= LEVEL_DAYS)
        for day in scaled
    }
    by_weekday: dict[int, list[float]] = {}
    for day, value in scaled.items():
        by_weekday.setdefault(day.weekday(), []).append(value - levels[day])
    effects = {
        weekday: median(distances)
        for weekday, distances in by_weekday.items()
        if len(distances) >= LEAST_SAME_WEEKDAYS
    }
    return {day: level + effects[day.weekday()] for day, level in levels.items() if day.weekday() in effects}


def _deviation(residuals: list[float], scaled: list[float], *, counts: bool) -> float:
    centre = median(residuals)
    spread = _MAD_TO_SD * median(abs(residual - centre) for residual in residuals)
    floor = _POISSON_SD if counts else _LEAST_RELATIVE_SD * median(abs(value) for value in scaled)
    return max(spread, floor)


def _scale(value: float) -> float:
    return math.copysign(2 * math.sqrt(abs(value) + _ANSCOMBE), value)


def _unscale(scaled: float) -> float:
    return math.copysign(max(scaled * scaled / 4 - _ANSCOMBE, 0.0), scaled)


def _is_material(outlier: Outlier) -> bool:
    return abs(outlier.value - outlier.expected) >= LEAST_RELATIVE_DEVIATION * abs(outlier.expected)
