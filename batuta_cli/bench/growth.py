"""`batuta bench growth`: what one more day costs as history grows, and one event as products do.

A day is a shop's orders, their payments and edits of yesterday's orders: landed, then the models refreshed, tested and
held to their contracts in this process, as the job `refresh_marts` does. An event is one order of one product: landed,
refreshed, and the product's KPIs read from the live views. Every size has a database of its own, filled and refreshed
before; then they take turns, so that a machine that slows down slows all of them. Nothing is subtracted: dbt's own time
is in `whole_s`; `models_s` is what the models took of it, as dbt reports it, and `contracts_s` what the contracts did.

The peer of each size is the smallest one, in the same run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from batuta.kpis import current_kpis
from batuta.landing.model import Delivery
from batuta.settings import Settings
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.bench.days import Shop, day_of, delivery, order_of
from batuta_cli.bench.installation import (
    BenchFailed,
    Say,
    installation,
    land,
    median_and_spread,
    refresh,
    register,
)
from batuta_cli.bench.scratch import scratch_database

RUNS: Final = 5
DAYS: Final = (1, 10, 100)
PRODUCTS: Final = (1, 100, 1000)
ORDERS_PER_DAY: Final = 200
PRODUCT_DAYS: Final = 5
PRODUCT_ORDERS: Final = 4
FIRST_DAY: Final = date(2025, 1, 6)
FLAT: Final = 1.2


@dataclass(slots=True)
class _Size:
    """A database with so much in it, and what was measured on it, a figure per round."""

    count: int
    settings: Settings
    url: str
    shop: Shop
    next_day: date
    rounds: int = 0
    figures: dict[str, list[float]] = field(default_factory=dict)

    def take(self, figures: Mapping[str, float]) -> None:
        """Take up one round."""
        for name, value in figures.items():
            self.figures.setdefault(name, []).append(value)


def run(
    settings: Settings, say: Say, *, scale: float = 1.0, runs: int = RUNS, warm_up: bool = True
) -> dict[str, Any]:
    """Measure; the document that the bench prints as its last line.

    Args:
        settings: Where the warehouse's server is.
        say: Shows progress.
        scale: Share of the full sizes, for trying the bench itself.
        runs: Rounds; in each, every size is measured once.
        warm_up: Go through a round before, which is not counted.
    """
    server = ensure_database(settings, say)
    rounds = range(0 if warm_up else 1, runs + 1)
    days = _measure(settings, server, _scaled(DAYS, scale), rounds, say, by_days=True)
    products = _measure(settings, server, _scaled(PRODUCTS, scale), rounds, say, by_days=False)
    ratios = _ratios(days, "days") | _ratios(products, "products")
    smallest = (days[0], products[0])
    return {
        "bench": "growth",
        "value": max(ratios.values()),
        "unit": "x the smallest size",
        "peers": {
            f"{size.count} {what}": round(statistics.median(size.figures["whole_s"]), 3)
            for size, what in zip(smallest, ("days", "products"), strict=True)
        },
        "ratios": ratios,
        "runs": runs,
        "spread": _spread(days, products),
        "budget": f"flat within {FLAT - 1:.0%}: whole_s and models_s of each size <= {FLAT:g} x the smallest",
        "meets": max(ratios.values()) <= FLAT,
        "days": _table(days),
        "products": _table(products),
    }


def _scaled(counts: Sequence[int], scale: float) -> list[int]:
    return list(dict.fromkeys(max(1, round(count * scale)) for count in counts))


def _measure(
    settings: Settings, server: str, counts: Sequence[int], rounds: range, say: Say, *, by_days: bool
) -> list[_Size]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="batuta-bench-")))
        sizes: list[_Size] = []
        for count in counts:
            url = stack.enter_context(scratch_database(server))
            own = installation(settings, folder / f"home-{count}", url)
            say(f"filling a warehouse with {count} {'days' if by_days else 'products'}")
            sizes.append(_of_days(own, url, count) if by_days else _of_products(own, url, count))
        one = _one_day if by_days else _one_event
        for number in rounds:
            for size in sizes:
                figures = one(size)
                if number:  # round 0 warms up
                    size.take(figures)
                    said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
                    say(f"{size.count} {'days' if by_days else 'products'}, round {number}: {said}")
        return sizes


def _of_days(own: Settings, url: str, count: int) -> _Size:
    shop = Shop("bench", "bench.myshopify.com")
    register(url, [shop.product])
    days = [FIRST_DAY + timedelta(days=n) for n in range(count)]
    land(own, url, chain.from_iterable(_new_day(shop, day) for day in days))
    refresh(own, url)
    return _Size(count, own, url, shop, days[-1] + timedelta(days=1))


def _of_products(own: Settings, url: str, count: int) -> _Size:
    shops = [Shop(f"bench-{n}", f"bench-{n}.myshopify.com") for n in range(count)]
    register(url, [shop.product for shop in shops])
    days = [FIRST_DAY + timedelta(days=n) for n in range(PRODUCT_DAYS)]
    land(
        own,
        url,
        chain.from_iterable(day_of(shop, day, PRODUCT_ORDERS) for day in days for shop in shops),
    )
    refresh(own, url)
    return _Size(count, own, url, shops[0], days[-1])


def _new_day(shop: Shop, day: date) -> Iterator[Delivery]:
    return day_of(shop, day, ORDERS_PER_DAY)


def _one_day(size: _Size) -> dict[str, float]:
    """Land the next day and refresh."""
    day, size.next_day = size.next_day, size.next_day + timedelta(days=1)
    landing = land(size.settings, size.url, _new_day(size.shop, day))
    return _refreshed(size, landing)


def _one_event(size: _Size) -> dict[str, float]:
    """Land one order of one product, refresh, and read its KPIs."""
    size.rounds += 1
    number = PRODUCT_ORDERS + size.rounds
    order = order_of(size.next_day, number)
    landing = land(
        size.settings,
        size.url,
        [delivery(size.shop, "orders/create", size.next_day, order, str(order["id"]))],
    )
    with connect(size.url, "reader", autocommit=True) as reader:
        begun = time.perf_counter()
        found = current_kpis(reader, size.shop.product)
        live = time.perf_counter() - begun
    if not found:
        raise BenchFailed("a product of the bench has no KPIs")
    figures = _refreshed(size, landing)
    return figures | {"whole_s": figures["whole_s"] + live, "live_read_s": live}


def _refreshed(size: _Size, landing: float) -> dict[str, float]:
    found = refresh(size.settings, size.url)
    return {
        "whole_s": landing + found.whole_s,
        "landing_s": landing,
        "refresh_s": found.whole_s,
        "models_s": found.models_s,
        "tests_s": found.tests_s,
        "contracts_s": found.contracts_s,
    }


def _ratios(sizes: Sequence[_Size], what: str) -> dict[str, float]:
    """Each size's median over the smallest's: of everything, and of the models alone."""
    return {
        f"{size.count} {what} {name}": round(
            statistics.median(size.figures[name]) / statistics.median(sizes[0].figures[name]), 3
        )
        for size in sizes[1:]
        for name in ("whole_s", "models_s")
    }


def _spread(*measured: Sequence[_Size]) -> list[float]:
    """The least and the greatest ratio of one round."""
    ratios = [
        value / smallest
        for sizes in measured
        for size in sizes[1:]
        for value, smallest in zip(size.figures["whole_s"], sizes[0].figures["whole_s"], strict=True)
    ] or [1.0]
    return [round(min(ratios), 3), round(max(ratios), 3)]


def _table(sizes: Sequence[_Size]) -> dict[str, Any]:
    return {
        str(size.count): {name: median_and_spread(values) for name, values in size.figures.items()}
        for size in sizes
    }
