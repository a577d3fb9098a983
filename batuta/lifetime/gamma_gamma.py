"""Gamma-gamma: what customers spend on a day they buy (Fader, Hardie 2013, "The gamma-gamma model of monetary value").

What a customer spends varies around a mean of their own (gamma with shape `p`), and these means vary between customers
(inverse gamma with `q` and scale `v`, in the currency of the values). The model takes spending to be independent of how
often a customer buys. What is known of a customer: `frequency`, days with a purchase after the first, and `monetary`,
the mean value of these days.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import digamma, gammaln

from batuta.lifetime.likelihood import Matrix, Maximum, Vector, maximize

STARTS: Final = ((6.0, 4.0, 0.5), (1.0, 2.0, 1.0), (20.0, 10.0, 0.5), (2.0, 1.5, 0.1))
"""With values in units of their mean."""


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """The three parameters; `v` in the currency of the values."""

    p: float
    q: float
    v: float


def fit(frequency: Vector, monetary: Vector) -> Maximum | None:
    """The likeliest parameters (p, q, v) of customers who came back and spent something (both arrays above 0).

    None where the likelihood has no maximum, as when everybody spends the same.
    """
    # Found in units of the mean value, so that no currency is harder than another.
    unit = float(monetary.mean())
    scaled = monetary / unit

    def objective(logarithms: Vector) -> tuple[float, Vector]:
        model = GammaGamma(*np.exp(logarithms))
        return float(log_likelihoods(model, frequency, scaled).sum()), scores(model, frequency, scaled).sum(0)

    found = maximize(objective, STARTS, float(len(monetary)))
    if found is None:
        return None
    logarithms = found.logarithms + np.array((0.0, 0.0, np.log(unit)))
    height = found.log_likelihood - len(monetary) * float(np.log(unit))
    return Maximum(logarithms, height, found.information)


def log_likelihoods(model: GammaGamma, frequency: Vector, monetary: Vector) -> Vector:
    """The logarithm of the likelihood of each customer's mean value."""
    p, q, v, x, m = model.p, model.q, model.v, frequency, monetary
    return (
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        + q * np.log(v)
        + (p * x - 1) * np.log(m)
        + p * x * np.log(x)
        - (p * x + q) * np.log(v + x * m)
    )


def scores(model: GammaGamma, frequency: Vector, monetary: Vector) -> Matrix:
    """Derivatives of each customer's log-likelihood by the logarithms of (p, q, v): one row per customer."""
    p, q, v, x, m = model.p, model.q, model.v, frequency, monetary
    spread = np.log(v + x * m)
    by_p = x * (digamma(p * x + q) - digamma(p * x) + np.log(m) + np.log(x) - spread)
    by_q = digamma(p * x + q) - digamma(q) + np.log(v) - spread
    by_v = q / v - (p * x + q) / (v + x * m)
    return np.column_stack((p * by_p, q * by_q, v * by_v))


def expected_value(model: GammaGamma, frequency: Vector, monetary: Vector) -> Vector:
    """What each customer is to be expected to spend on a day with a purchase; of who never came back, the mean of all.

    Between the customer's own mean and everybody's, nearer to the former the more days it is the mean of. Needs q > 1:
    else the mean of all is not finite.
    """
    p, q, v = model.p, model.q, model.v
    return p * (v + frequency * monetary) / (p * frequency + q - 1)
