"""When who buys: growing first purchases, repeats by taste, days and hours as shops know them."""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from simulation.model import DAYS, END, FIRST_DAY, Person, Shop, local, stream
from simulation.people import person

SPIKE_DAY, QUIET_DAY = 88, 85
"""11 November, the bargain day of the trade, and 8 November, when the shop stood still most of the day."""


def moments(seed: int, shop: Shop) -> list[tuple[datetime, int]]:
    """Every purchase as (time, person), in order of time."""
    rng = stream(seed, shop.product, "moments")
    weights = [_day_weight(day) * (0.75 + day / DAYS) for day in range(DAYS)]
    arrivals = sorted(rng.choices(range(DAYS), weights, k=shop.customers))
    found = [(_moment(rng, day), key) for key, day in enumerate(arrivals)]
    taste = [rng.gammavariate(1.3, 1.0) * (DAYS - day) ** 0.8 for day in arrivals]
    never_paid = set(never_paying(shop))
    taste = [0.0 if key in never_paid else value for key, value in enumerate(taste)]
    for key in rng.choices(range(shop.customers), taste, k=shop.orders - shop.customers):
        first = arrivals[key]
        days = range(first, DAYS)
        day = rng.choices(days, [_day_weight(d) for d in days])[0]
        found.append((max(_moment(rng, day), found[key][0] + timedelta(minutes=7)), key))
    return sorted((min(at, END - timedelta(minutes=1)), key) for at, key in found)


def never_paying(shop: Shop) -> range:
    """The people who order once and never pay."""
    return range(3, shop.customers, 53)


def _day_weight(day: int) -> float:
    weekday = (FIRST_DAY.weekday() + day) % 7
    weight = (1.1, 1.05, 1.0, 1.0, 1.15, 0.9, 0.8)[weekday]
    return weight * {SPIKE_DAY: 2.3, QUIET_DAY: 0.06}.get(day, 1.0)


_HOURS = list(
    itertools.accumulate(
        (3, 2, 1, 1, 1, 2, 4, 8, 14, 18, 20, 22, 24, 20, 19, 19, 20, 22, 24, 28, 32, 30, 20, 10)
    )
)


def _moment(rng: Random, day: int) -> datetime:
    edge = rng.random()
    if edge < 0.004:
        second = 86_399
    elif edge < 0.008:
        second = 0
    else:
        hour = bisect.bisect(_HOURS, rng.randrange(_HOURS[-1]))
        second = hour * 3600 + rng.randrange(3600)
    return local(FIRST_DAY + timedelta(days=day), second)


def people(seed: int, shop: Shop, found: Sequence[tuple[datetime, int]]) -> tuple[Person, ...]:
    """Everyone who orders; a guest shares the e-mail of a customer with an account."""
    rng = stream(seed, shop.product, "people")
    first: dict[int, datetime] = {}
    for at, key in found:
        first.setdefault(key, at)
    everyone = [
        person(rng, shop, key, first[key] - timedelta(seconds=rng.randrange(5, 900)))
        for key in range(shop.customers)
    ]
    for key in range(5, shop.customers, 97):
        everyone[key] = replace(everyone[key], customer_id=None, email=everyone[key - 1].email)
    return tuple(everyone)
