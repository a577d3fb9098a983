"""Predicted value of customers: what those acquired by a day are to be expected to bring in the horizon after it.

Expected days with a purchase (BG/NBD) times what is to be expected on one (gamma-gamma), per customer, and the mean
over all customers, with those who never come back. It is what is still to come, not what came: add the historical value
of the same day for a whole life.

The interval is for that mean. Every customer's influence on it is added up (the infinitesimal jackknife): by being one
of those the mean is over, and by moving the seven parameters. So it covers which customers one happened to have, and
that parameters are estimated from them, also where the two go together, and it does not need the models to be right
about the spread. It does not cover that habits may change, that the models may be wrong about the future, nor the luck
of what these customers will really do; and it says nothing of a single customer.

Statistics are binary floating point; only money that is read and kept is decimal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Any, Final

import numpy as np

from batuta.lifetime import bg_nbd, gamma_gamma
from batuta.lifetime.bg_nbd import BgNbd, Purchases
from batuta.lifetime.gamma_gamma import GammaGamma
from batuta.lifetime.likelihood import Maximum, Vector
from batuta.lifetime.reasons import FEWEST, NO_RATE, NO_VALUE, TOO_FEW, TOO_FEW_VALUES

DAYS_PER_WEEK: Final = 7
DAYS_PER_YEAR: Final = 365
DISCOUNT_WEEKS: Final = 4
NORMAL_95: Final = 1.959963984540054
GREATEST: Final = 1e13
"""What is beyond has no place in money of 18 digits, 4 of them after the point: the likelihood had no sound maximum."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How far to look, and what a year's delay takes off a value (0.1 is ten percent)."""

    horizon_days: int = 365
    discount_rate: float = 0.0

    def __post_init__(self) -> None:
        if self.horizon_days < 1 or not 0 <= self.discount_rate < 10:
            raise ValueError("a horizon has at least one day, and a yearly discount rate lies in [0, 10)")


@dataclass(frozen=True, slots=True)
class Histories:
    """What was observed of each acquired customer up to a day: arrays of one length.

    `frequency`: days with a purchase after the first. `recency_days`: from the first to the last. `age_days`: from the
    first to the end. `monetary`: mean value of the days after the first, 0 where there is none. Values of a day are
    floored at 0 before they are averaged; a customer whose days after the first are all worth 0 counts as coming back
    but has no part in the model of what is spent.
    """

    frequency: Vector
    recency_days: Vector
    age_days: Vector
    monetary: Vector


@dataclass(frozen=True, slots=True)
class Prediction:
    """The mean predicted value per customer with its 95 % interval, or why there is none (`reason`)."""

    customers: int
    repeat_customers: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Parameters of both models, their log-likelihoods and what they rest on, as JSON values."""


@dataclass(frozen=True, slots=True)
class _Grouped:
    """Customers with the same purchases, told once; `of` leads from a customer to the group."""

    purchases: Purchases
    of: Any


def predict(histories: Histories, outlook: Outlook) -> Prediction:
    """The mean predicted value per customer; the same for the same histories in the same order, to the last bit."""
    repeating = histories.frequency > 0
    valued = repeating & (histories.monetary > 0)
    customers, repeat_customers = len(repeating), int(repeating.sum())

    def without(reason: str, parameters: Mapping[str, Any] | None = None) -> Prediction:
        return Prediction(customers, repeat_customers, reason=reason, parameters=parameters or {})

    if repeat_customers < FEWEST:
        return without(TOO_FEW)
    if valued.sum() < FEWEST:
        return without(TOO_FEW_VALUES)
    grouped = _grouped(histories)
    buying = bg_nbd.fit(grouped.purchases)
    if buying is None:
        return without(NO_RATE)
    spending = gamma_gamma.fit(histories.frequency[valued], histories.monetary[valued])
    if spending is None:
        return without(NO_VALUE, _told(outlook, buying, None, histories, valued))
    told = _told(outlook, buying, spending, histories, valued)
    if spending.parameters[1] <= 1:
        return without(NO_VALUE, told)
    values = _values(histories, grouped, outlook, buying.logarithms, spending.logarithms)
    mean = float(values.mean())
    error = _standard_error(histories, grouped, outlook, buying, spending, valued, values)
    if not (0 < mean < GREATEST and np.isfinite(error)):
        return without(NO_VALUE, told)
    # On the scale of ratios, so that no end is below 0.
    factor = exp(min(NORMAL_95 * error / mean, 700.0))
    if mean * factor >= GREATEST:
        return without(NO_VALUE, told)
    return Prediction(customers, repeat_customers, mean, mean / factor, mean * factor, None, told)


def discounted_purchases(model: BgNbd, purchases: Purchases, outlook: Outlook) -> Vector:
    """Days with a purchase to expect of each customer in the horizon, each worth what it is after discounting.

    The purchases of four weeks are discounted from their end.
    """
    horizon = outlook.horizon_days / DAYS_PER_WEEK
    if outlook.discount_rate == 0:
        return bg_nbd.expected_purchases(model, purchases, horizon)
    total = np.zeros(purchases.frequency.shape)
    before = np.zeros(purchases.frequency.shape)
    for week in (*np.arange(DISCOUNT_WEEKS, horizon, DISCOUNT_WEEKS), horizon):
        until = bg_nbd.expected_purchases(model, purchases, float(week))
        years = float(week) * DAYS_PER_WEEK / DAYS_PER_YEAR
        total += (until - before) * (1 + outlook.discount_rate) ** -years
        before = until
    return total


def _grouped(histories: Histories) -> _Grouped:
    known = np.column_stack((histories.frequency, histories.recency_days, histories.age_days))
    distinct, of, counts = np.unique(known, axis=0, return_inverse=True, return_counts=True)
    frequency, recency_days, age_days = distinct.T
    purchases = Purchases(
        frequency, recency_days / DAYS_PER_WEEK, age_days / DAYS_PER_WEEK, counts.astype(np.float64)
    )
    return _Grouped(purchases, of.reshape(-1))


def _values(
    histories: Histories, grouped: _Grouped, outlook: Outlook, buying: Vector, spending: Vector
) -> Vector:
    often = discounted_purchases(BgNbd(*np.exp(buying)), grouped.purchases, outlook)[grouped.of]
    model = GammaGamma(*np.exp(spending))
    return often * gamma_gamma.expected_value(model, histories.frequency, histories.monetary)


def _standard_error(
    histories: Histories,
    grouped: _Grouped,
    outlook: Outlook,
    buying: Maximum,
    spending: Maximum,
    valued: Any,
    values: Vector,
) -> float:
    """Of the mean value, from every customer's influence on it."""

    def mean_by_buying(logarithms: Vector) -> float:
        return float(_values(histories, grouped, outlook, logarithms, spending.logarithms).mean())

    def mean_by_spending(logarithms: Vector) -> float:
        return float(_values(histories, grouped, outlook, buying.logarithms, logarithms).mean())

    rates = BgNbd(*buying.parameters)
    worths = GammaGamma(*spending.parameters)
    by_buying = np.linalg.solve(buying.information, _slope(mean_by_buying, buying.logarithms))
    by_spending = np.linalg.solve(spending.information, _slope(mean_by_spending, spending.logarithms))
    influence = (values - values.mean()) / len(values)
    influence += (bg_nbd.scores(rates, grouped.purchases) @ by_buying)[grouped.of]
    influence[valued] += (
        gamma_gamma.scores(worths, histories.frequency[valued], histories.monetary[valued]) @ by_spending
    )
    return float(np.sqrt(influence @ influence))


def _slope(value: Callable[[Vector], float], place: Vector, step: float = 1e-4) -> Vector:
    units = np.eye(len(place))
    return np.array(
        [(value(place + step * unit) - value(place - step * unit)) / (2 * step) for unit in units]
    )


def _told(
    outlook: Outlook, buying: Maximum, spending: Maximum | None, histories: Histories, valued: Any
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "time_unit": "week",
        "horizon_days": outlook.horizon_days,
        "discount_rate_per_year": outlook.discount_rate,
        "interval": "95 %, infinitesimal jackknife over customers",
        "bg_nbd": dict(zip(("r", "alpha", "a", "b"), map(float, buying.parameters), strict=True))
        | {"log_likelihood": buying.log_likelihood, "customers": len(valued)},
    }
    if spending is not None:
        with np.errstate(all="ignore"):
            together = np.corrcoef(histories.frequency[valued], histories.monetary[valued])[0, 1]
        told["gamma_gamma"] = dict(zip(("p", "q", "v"), map(float, spending.parameters), strict=True)) | {
            "log_likelihood": spending.log_likelihood,
            "customers": int(valued.sum()),
            # The model takes it for 0.
            "frequency_value_correlation": float(together) if np.isfinite(together) else None,
        }
    return told
