"""Simulated customers who do exactly what the models say, for tests of the models."""

import numpy as np

from batuta.lifetime.bg_nbd import BgNbd
from batuta.lifetime.gamma_gamma import GammaGamma
from batuta.lifetime.predict import Histories

DAYS = 7.0


def simulate(
    buying: BgNbd, spending: GammaGamma, customers: int, *, weeks: float, later: float, seed: int
) -> tuple[Histories, "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    """Customers won in the first half of `weeks`: what was seen of each, what each spends in `later` weeks after."""
    random = np.random.default_rng(seed)
    rows: list[tuple[float, float, float, float]] = []
    after: list[float] = []
    for _ in range(customers):
        age = random.uniform(weeks / 2, weeks)
        rate = random.gamma(buying.r, 1 / buying.alpha)
        leaving = random.beta(buying.a, buying.b)
        mean = random.gamma(spending.q, 1 / spending.v)
        clock, seen, spent = 0.0, list[float](), list[float]()
        following = 0.0
        while True:
            clock += random.exponential(1 / rate)
            if clock > age + later:
                break
            value = random.gamma(spending.p, 1 / mean)
            if clock <= age:
                seen.append(clock)
                spent.append(value)
            else:
                following += value
            if random.random() < leaving:
                break
        rows.append(
            (len(seen), (seen[-1] if seen else 0) * DAYS, age * DAYS, float(np.mean(spent)) if spent else 0)
        )
        after.append(following)
    return Histories(*np.array(rows, dtype=np.float64).T), np.array(after)
