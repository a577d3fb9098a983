"""Maximum likelihood over positive parameters: searched in their logarithms, accepted only where it is a maximum.

Deterministic: no random start, no sampling.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Vector: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = NDArray[np.float64]
Objective: TypeAlias = Callable[[Vector], tuple[float, Vector]]
"""The log-likelihood and its gradient, both by the logarithms of the parameters."""

BOUND: Final = 14.0
"""Parameters lie between e^-14 and e^14; one that runs there has no maximum to be found."""
DECREMENT: Final = 1e-4
"""How much log-likelihood a Newton step may still promise at what is called a maximum."""


@dataclass(frozen=True, slots=True)
class Maximum:
    """Where the likelihood is greatest.

    `information` is the negative Hessian of the log-likelihood by the logarithms of the parameters.
    """

    logarithms: Vector
    log_likelihood: float
    information: Matrix

    @property
    def parameters(self) -> Vector:
        """The parameters themselves."""
        return np.exp(self.logarithms)


def maximize(
    objective: Objective, starts: Iterable[tuple[float, ...]], observations: float
) -> Maximum | None:
    """The maximum, from the first of `starts` (parameters, not logarithms) that leads to one; None if none does.

    Args:
        objective: Log-likelihood with gradient.
        starts: Tried in order; the later ones only where the earlier ones have not converged.
        observations: How many customers the likelihood is a product over, to scale the search.
    """
    for start in starts:
        found = _climb(objective, np.log(np.asarray(start)), observations)
        if found is not None:
            return found
    return None


def _climb(objective: Objective, start: Vector, observations: float) -> Maximum | None:
    def descent(logarithms: Vector) -> tuple[float, Vector]:
        height, slope = objective(logarithms)
        return -height / observations, -slope / observations

    with np.errstate(all="ignore"):
        ended = minimize(
            descent,
            np.clip(start, -BOUND, BOUND),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-BOUND, BOUND)] * len(start),
            options={"maxiter": 2_000, "ftol": 1e-15, "gtol": 1e-10, "maxcor": 30},
        )
        place = np.asarray(ended.x, dtype=np.float64)
        height, slope = objective(place)
        information = _information(objective, place)
    if not (np.isfinite(height) and np.isfinite(slope).all() and np.isfinite(information).all()):
        return None
    if np.abs(place).max() >= BOUND - 0.01 or np.linalg.eigvalsh(information).min() <= 0:
        return None
    if slope @ np.linalg.solve(information, slope) > DECREMENT:
        return None
    return Maximum(place, float(height), information)


def _information(objective: Objective, place: Vector, step: float = 1e-5) -> Matrix:
    rows = [
        (objective(place - step * unit)[1] - objective(place + step * unit)[1]) / (2 * step)
        for unit in np.eye(len(place))
    ]
    return (np.array(rows) + np.array(rows).T) / 2
