"""Days that stand out of a daily series, by a robust seasonal method.

A day's baseline is the median of the other same weekdays of the history. Values are compared on a square-root scale,
where counts have about equal spread at any level. A day stands out where its residual exceeds `threshold` robust
standard deviations (1.4826 x the median absolute deviation of all residuals) and a quarter of its baseline.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Final

LEAST_SAME_WEEKDAYS: Final = 4
LEAST_RELATIVE_DEVIATION: Final = 0.25
_MAD_TO_SD: Final = 1.4826
_ANSCOMBE: Final = 0.375
# On the scale 2 * sqrt(x + 3/8) a Poisson count has a standard deviation of one.
_POISSON_SD: Final = 1.0
_LEAST_RELATIVE_SD: Final = 0.05


@dataclass(frozen=True, slots=True)
class Outlier:
    """A day that stands out: its value, what such a weekday usually has, and how far off in robust deviations."""

    day: date
    value: float
    baseline: float
    score: float


def outliers(
    series: Mapping[date, float], *, counts: bool, judged: Collection[date], threshold: float
) -> list[Outlier]:
    """The judged days of a daily series that stand out, oldest first.

    Args:
        series: Value by day, without gaps that mean zero.
        counts: The values are counts of events, so that their spread is at least that of chance.
        judged: Days to report on; all days of the series serve as history.
        threshold: Robust standard deviations.
    """
    scaled = {day: _scale(value) for day, value in series.items()}
    residuals: dict[date, float] = {}
    for day, value in scaled.items():
        same = _same_weekdays(scaled, day)
        if len(same) >= LEAST_SAME_WEEKDAYS:
            residuals[day] = value - median(same)
    if not residuals:
        return []
    centre = median(residuals.values())
    spread = _MAD_TO_SD * median(abs(residual - centre) for residual in residuals.values())
    floor = _POISSON_SD if counts else _LEAST_RELATIVE_SD * median(abs(value) for value in scaled.values())
    deviation = max(spread, floor)
    if deviation == 0:
        return []
    found = [
        Outlier(day, series[day], median(_same_weekdays(series, day)), round(residuals[day] / deviation, 1))
        for day in sorted(judged)
        if day in residuals
    ]
    return [outlier for outlier in found if abs(outlier.score) >= threshold and _is_material(outlier)]


def _same_weekdays(series: Mapping[date, float], day: date) -> list[float]:
    return [value for other, value in series.items() if other != day and other.weekday() == day.weekday()]


def _scale(value: float) -> float:
    return math.copysign(2 * math.sqrt(abs(value) + _ANSCOMBE), value)


def _is_material(outlier: Outlier) -> bool:
    return abs(outlier.value - outlier.baseline) >= LEAST_RELATIVE_DEVIATION * abs(outlier.baseline)
