"""How often the watch over days and values cries for nothing, replayed day by day on ninety days of several companies.

Each day is judged with what was known at its end, as in production. The stories of the example (a shop that stands
still, the bargain day of the trade) are no false alarms; everything else that is named is one.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cache

import pytest

from batuta.anomalies import LEAST_DAYS
from batuta.quality.watch import BEFORE_DAYS, RECENT_DAYS, Series, day_alarms, shift_alarm
from examples.arcsat.generate import Simulation, simulate
from tests.support.truth import acquisition_days, counts_as_sale, day_of, net_movements, sold_cents

FIRST, LAST = date(2025, 8, 15), date(2025, 11, 12)
DAYS = [FIRST + timedelta(days=ago) for ago in range((LAST - FIRST).days + 1)]
SEEDS = (7, 21, 1234)
STORIES = {date(2025, 11, 8), date(2025, 11, 11)}


@cache
def company(seed: int) -> Simulation:
    return simulate(seed, "demo")


def dense(counted: Counter[date]) -> dict[date, float]:
    return {day: float(counted[day]) for day in DAYS}


@cache
def series(seed: int) -> tuple[Series, ...]:
    """The watched series of a company, complete."""
    found: list[Series] = []
    for product, lived in company(seed).products.items():
        orders = Counter(day_of(order.processed_at) for order in lived.orders if counts_as_sale(order))
        sales: Counter[date] = Counter()
        for day, _, cents in net_movements(lived.orders):
            sales[day] += cents
        won = Counter(acquisition_days(lived).values())
        found += [
            Series(product, "orders", True, dense(orders)),
            Series(product, "net_sales", False, {d: v / 100 for d, v in dense(sales).items()}),
            Series(product, "new_customers", True, dense(won)),
        ]
    return tuple(found)


def up_to(one: Series, day: date) -> Series:
    return Series(one.product, one.subject, one.counts, {d: v for d, v in one.values.items() if d <= day})


def judged() -> Iterator[tuple[int, Series, date]]:
    for seed in SEEDS:
        for one in series(seed):
            for day in DAYS[LEAST_DAYS - 1 :]:
                yield seed, one, day


def order_values(seed: int, product: str, day: date, factor: float = 1.0) -> list[tuple[float, int, int]]:
    """Values of orders in the two windows that end on a day; the recent ones times `factor`."""
    counted: dict[float, list[int]] = {}
    for order in company(seed).products[product].orders:
        on = day_of(order.processed_at)
        age = (day - on).days
        if counts_as_sale(order) and 0 <= age < RECENT_DAYS + BEFORE_DAYS:
            recent = age < RECENT_DAYS
            value = round(sold_cents(order) / 100 * (factor if recent else 1.0), 2)
            counted.setdefault(value, [0, 0])[0 if recent else 1] += 1
    return [(value, recent, before) for value, (recent, before) in counted.items()]


def test_days_cry_for_nothing_less_than_once_in_five_hundred_series_days(
    record_property: Callable[[str, object], None],
) -> None:
    looked_at, false = 0, list[str]()
    for seed, one, day in judged():
        looked_at += 1
        false += [f"{seed} {a.text}" for a in day_alarms([up_to(one, day)]) if a.day not in STORIES]
    record_property("false_alarms_per_series_day", len(false) / looked_at)
    assert looked_at > 1000
    assert len(false) <= looked_at / 500, false


def test_a_shop_that_stood_still_is_found_on_the_day() -> None:
    day = date(2025, 11, 8)
    for seed in SEEDS:
        found = [a for one in series(seed) if one.product == "arcsat" for a in day_alarms([up_to(one, day)])]
        assert {a.subject for a in found} >= {"orders"}, seed
        assert all(a.score < 0 for a in found)


@pytest.mark.parametrize(("factor", "share"), [(0.0, 0.99), (0.3, 0.75), (3.0, 0.85)])
def test_a_day_that_lost_or_multiplied_its_orders_is_found(factor: float, share: float) -> None:
    tried = found = 0
    for seed in SEEDS:
        one = next(s for s in series(seed) if (s.product, s.subject) == ("arcsat", "orders"))
        for day in DAYS[LEAST_DAYS:-5]:
            past = dict(up_to(one, day).values)
            past[day] = float(round(past[day] * factor))
            tried += 1
            found += bool(day_alarms([Series(one.product, one.subject, True, past)]))
    assert found >= share * tried, (found, tried)


def test_values_of_orders_cry_for_nothing_less_than_once_in_a_hundred_days(
    record_property: Callable[[str, object], None],
) -> None:
    looked_at, false = 0, list[str]()
    for seed in SEEDS:
        for product in company(seed).products:
            for day in DAYS[RECENT_DAYS + LEAST_DAYS :]:
                looked_at += 1
                alarm = shift_alarm(product, "orders", day, order_values(seed, product, day))
                false += [f"{seed} {day} {alarm.text}"] if alarm else []
    record_property("false_alarms_per_series_day", len(false) / looked_at)
    assert looked_at > 200
    assert len(false) <= looked_at / 100, false


def test_prices_that_rose_by_half_or_fell_by_a_third_are_found() -> None:
    for seed in SEEDS:
        day = date(2025, 11, 7)
        assert shift_alarm("arcsat", "orders", day, order_values(seed, "arcsat", day, 3 / 2)) is not None
        assert shift_alarm("arcsat", "orders", day, order_values(seed, "arcsat", day, 2 / 3)) is not None
