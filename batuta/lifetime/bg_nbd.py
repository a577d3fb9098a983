"""BG/NBD: how often customers buy again (Fader, Hardie, Lee 2005, "Counting your customers the easy way").

While alive a customer buys at a rate of their own (gamma with `r`, `alpha`), and after each purchase leaves for good
with a probability of their own (beta with `a`, `b`). What is known of a customer: `frequency`, days with a purchase
after the first; `recency`, time from the first to the last; `age`, time from the first to the end of what was observed.
Times are in weeks throughout.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import betaln, digamma, gammaln

from batuta.lifetime.likelihood import Matrix, Maximum, Vector, maximize

STARTS: Final = ((1.0, 10.0, 1.0, 2.0), (0.3, 4.0, 0.8, 2.5), (3.0, 30.0, 0.3, 3.0), (0.1, 1.0, 2.0, 10.0))
POINTS: Final = 96
"""Of the quadrature: enough for ten years' horizon of customers who buy every other day."""


@dataclass(frozen=True, slots=True)
class BgNbd:
    """The four parameters: `r` and `alpha` (weeks) of the rate, `a` and `b` of the leaving."""

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Purchases:
    """What is known of customers: arrays of one length, times in weeks. `customers` says how many each entry is."""

    frequency: Vector
    recency: Vector
    age: Vector
    customers: Vector


def fit(purchases: Purchases) -> Maximum | None:
    """The likeliest parameters (r, alpha, a, b); None where the likelihood has no maximum."""

    def objective(logarithms: Vector) -> tuple[float, Vector]:
        model = BgNbd(*np.exp(logarithms))
        return (
            float(purchases.customers @ log_likelihoods(model, purchases)),
            purchases.customers @ scores(model, purchases),
        )

    return maximize(objective, STARTS, float(purchases.customers.sum()))


def log_likelihoods(model: BgNbd, purchases: Purchases) -> Vector:
    """The logarithm of the likelihood of each customer's history."""
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    x = purchases.frequency
    alive, left = _fates(model, purchases)
    buying = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    staying = betaln(a, b + x) - betaln(a, b)
    return buying + staying + np.logaddexp(alive, left)


def scores(model: BgNbd, purchases: Purchases) -> Matrix:
    """Derivatives of each customer's log-likelihood by the logarithms of (r, alpha, a, b): one row per customer."""
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    x = purchases.frequency
    alive, left = _fates(model, purchases)
    # The share of the likelihood that is of customers who have left.
    gone = np.exp(left - np.logaddexp(alive, left))
    until_end, until_last = alpha + purchases.age, alpha + purchases.recency
    by_r = (
        digamma(r + x)
        - digamma(r)
        + np.log(alpha)
        - (1 - gone) * np.log(until_end)
        - gone * np.log(until_last)
    )
    by_alpha = r / alpha - (r + x) * ((1 - gone) / until_end + gone / until_last)
    by_a = digamma(a + b) - digamma(a + b + x) + gone / a
    by_b = digamma(b + x) - digamma(a + b + x) - digamma(b) + digamma(a + b) - gone / _chances_to_stay(b, x)
    return np.column_stack((r * by_r, alpha * by_alpha, a * by_a, b * by_b))


def probability_alive(model: BgNbd, purchases: Purchases) -> Vector:
    """The probability that each customer has not left by the end of what was observed; 1 for who never came back."""
    alive, left = _fates(model, purchases)
    return np.exp(alive - np.logaddexp(alive, left))


def expected_purchases(model: BgNbd, purchases: Purchases, horizon: float) -> Vector:
    """Days with a purchase to expect of each customer in the `horizon` weeks after the end of what was observed.

    As in the paper, but as an integral over the chance of leaving: the closed form has a 2F1 that overflows
    where these chances are much alike, and is 0/0 at a = 1 and at a + b = 1; the integrand is smooth and bounded.
    """
    found = np.empty(purchases.frequency.shape)
    for x in np.unique(purchases.frequency):
        chosen = purchases.frequency == x
        chances, weights = _beta_quadrature(model.a, model.b + float(x))
        # log1p and expm1: small chances lose no digits.
        grown = np.log1p(np.outer(horizon / (model.alpha + purchases.age[chosen]), chances))
        found[chosen] = (-np.expm1(-(model.r + x) * grown) / chances) @ weights
    return found * probability_alive(model, purchases)


def _beta_quadrature(a: float, b: float) -> tuple[Vector, Vector]:
    """Points in (0, 1) and weights that sum to 1: Gauss's quadrature for a mean over a beta distribution.

    From the recurrence of the Jacobi polynomials (Golub, Welsch 1969).
    """
    alpha, beta, n = b - 1, a - 1, np.arange(1, POINTS, dtype=np.float64)
    total = 2 * n + alpha + beta
    middle = np.concatenate(
        ([(beta - alpha) / (alpha + beta + 2)], (beta**2 - alpha**2) / (total * (total + 2)))
    )
    # For n = 1 a factor alpha + beta + 1 stands above and below; it is 0 where a + b = 1.
    ratio = np.ones_like(n)
    ratio[1:] = (n[1:] + alpha + beta) / (total[1:] - 1)
    beside = np.sqrt(4 * n * (n + alpha) * (n + beta) * ratio / (total**2 * (total + 1)))
    places, vectors = eigh_tridiagonal(middle, beside)
    return np.maximum((1 + places) / 2, np.finfo(np.float64).tiny), vectors[0] ** 2


def _fates(model: BgNbd, purchases: Purchases) -> tuple[Vector, Vector]:
    """Logarithms of the two ways to the same history: still alive at its end, and gone after the last purchase."""
    x = purchases.frequency
    rate = model.r + x
    alive = -rate * np.log(model.alpha + purchases.age)
    left = (
        np.log(model.a)
        - np.log(_chances_to_stay(model.b, x))
        - rate * np.log(model.alpha + purchases.recency)
    )
    return alive, np.where(x > 0, left, -np.inf)


def _chances_to_stay(b: float, frequency: Vector) -> Vector:
    """b + x - 1 for who came back; nobody leaves before the first purchase, and 1 stands for it there."""
    return np.where(frequency > 0, b + frequency - 1, 1.0)
