"""What is odd although it keeps its contract: days that stand out, values that have shifted, data that are late.

Nothing of this stops anything. Days are judged by `batuta.anomalies` (level and weekday, robust), the last complete one
each time; values by `batuta.quality.shifts`. How often they cry for nothing is measured on the example company's ninety
days (tests/unit/quality/test_false_alarms.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import psycopg

from batuta.anomalies import LEAST_DAYS, outliers
from batuta.quality.contract import DataContract
from batuta.quality.shifts import FALSE_ALARM, LEAST_DISTANCE, shift

HISTORY_DAYS: Final = 63
RECENT_DAYS: Final = 14
BEFORE_DAYS: Final = 56
THRESHOLD: Final = 5.0
"""Robust standard deviations that make a day stand out."""
KPIS: Final[Mapping[str, bool]] = {"orders": True, "net_sales": False, "new_customers": True}
"""Columns of fct_product_daily that are watched; True where they are counts."""

DAY_METHOD: Final = (
    f"The last complete day against the {HISTORY_DAYS} days up to it: on a square-root scale, more than {THRESHOLD:g} "
    "robust standard deviations (1.4826 x MAD, at least that of chance for counts) from the median of the week before "
    "plus the weekday's usual distance, and by at least a quarter. "
    f"Nothing is concluded from less than {LEAST_DAYS} days."
)
SHIFT_METHOD: Final = (
    f"Values of orders (gross sales less discounts) of the last {RECENT_DAYS} days against the {BEFORE_DAYS} before: "
    f"two-sample Kolmogorov-Smirnov distance beyond its bound at {FALSE_ALARM:g}, and at least {LEAST_DISTANCE:g}."
)
FRESH_METHOD: Final = "What landed longer ago than the contract's freshness allows is in the mart."


@dataclass(frozen=True, slots=True)
class Series:
    """Daily values of one thing of a product, without gaps, up to its last complete day."""

    product: str
    subject: str
    counts: bool
    values: Mapping[date, float]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something odd, in words and numbers."""

    product: str
    subject: str
    day: date
    value: float
    expected: float
    score: float
    text: str


def day_alarms(series: Iterable[Series]) -> list[Alarm]:
    """The series whose last day stands out."""
    found: list[Alarm] = []
    for one in series:
        if not one.values:
            continue
        last = max(one.values)
        history = {
            day: value for day, value in one.values.items() if day > last - timedelta(days=HISTORY_DAYS)
        }
        for odd in outliers(history, counts=one.counts, judged=[last], threshold=THRESHOLD):
            side = "above" if odd.score > 0 else "below"
            text = f"{one.product}: {one.subject} {odd.value:g} on {odd.day}, {side} the {odd.expected:.4g} expected"
            found.append(Alarm(one.product, one.subject, odd.day, odd.value, odd.expected, odd.score, text))
    return found


def shift_alarm(
    product: str, subject: str, day: date, counted: Iterable[tuple[float, int, int]]
) -> Alarm | None:
    """Whether a product's values have shifted; `counted` as `shifts.shift` takes them."""
    found = shift(counted)
    if found is None or not found.is_alarm:
        return None
    text = (
        f"{product}: {subject} have become {'larger' if found.grew else 'smaller'}: the shares below {found.at:g} "
        f"differ by {100 * found.distance:.0f} points ({found.recent} values against {found.before}; chance and floor "
        f"allow {100 * found.bound:.0f})"
    )
    return Alarm(product, subject, day, found.at, found.bound, found.distance, text)


def read_kpi_series(conn: psycopg.Connection[Any], now: datetime) -> list[Series]:
    """The watched columns of fct_product_daily, up to each product's last complete day."""
    rows = conn.execute(_KPI_DAYS.encode(), {"now": now, "days": HISTORY_DAYS}).fetchall()
    found: dict[tuple[str, str], dict[date, float]] = {}
    for product, day, *values in rows:
        for kpi, value in zip(KPIS, values, strict=True):
            found.setdefault((product, kpi), {})[day] = float(value)
    return [Series(product, kpi, KPIS[kpi], values) for (product, kpi), values in found.items()]


def read_volume_series(conn: psycopg.Connection[Any], connector: str, now: datetime) -> list[Series]:
    """Landed events per product's day and dataset of a connector, days without any as 0, up to yesterday."""
    rows = conn.execute(_VOLUMES, {"connector": connector, "now": now, "days": HISTORY_DAYS}).fetchall()
    found: dict[tuple[str, str], dict[date, float]] = {}
    last: dict[tuple[str, str], date] = {}
    for product, dataset, day, yesterday, landed in rows:
        found.setdefault((product, dataset), {})[day] = float(landed)
        last[product, dataset] = yesterday
    return [
        Series(product, f"events of {connector}/{dataset}", True, _dense(values, last[product, dataset]))
        for (product, dataset), values in found.items()
    ]


def read_order_values(
    conn: psycopg.Connection[Any], now: datetime
) -> Iterator[tuple[str, date, list[tuple[float, int, int]]]]:
    """Per product its last complete day and the values of its orders, counted by window."""
    found: dict[tuple[str, date], list[tuple[float, int, int]]] = {}
    parameters = {"now": now, "recent": RECENT_DAYS, "before": BEFORE_DAYS}
    for product, day, value, recent, before in conn.execute(_ORDER_VALUES, parameters):
        found.setdefault((product, day), []).append((float(value), recent, before))
    for (product, day), counted in found.items():
        yield product, day, counted


def late(
    conn: psycopg.Connection[Any], contracts: Sequence[DataContract], refreshed: int, now: datetime
) -> dict[str, timedelta]:
    """The contracts whose freshness is broken, with the age of what the marts should have taken in.

    Args:
        conn: Reads.
        contracts: Those looked at.
        refreshed: The last batch that the marts take in.
        now: The time.
    """
    row = conn.execute(
        "select min(committed_at) from batuta.batches where batch > %s", (refreshed,)
    ).fetchone()
    oldest = row[0] if row else None
    if oldest is None:
        return {}
    age = now - oldest
    return {c.name: age for c in contracts if c.fresh_within is not None and age > c.fresh_within}


def _dense(values: Mapping[date, float], last: date) -> dict[date, float]:
    first = min(values)
    return {
        day: values.get(day, 0.0)
        for ago in range((last - first).days + 1)
        if (day := first + timedelta(days=ago))
    }


_KPI_DAYS: Final = f"""
select daily.product, daily.business_date, {", ".join(f"daily.{kpi}" for kpi in KPIS)}
from batuta_marts.fct_product_daily as daily
join (
    select ends.product, least(max(ends.business_date), (%(now)s at time zone products.timezone)::date - 1) as last_day
    from batuta_marts.fct_product_daily as ends
    join batuta.products as products on products.product = ends.product
    group by ends.product, products.timezone
) as ends on ends.product = daily.product
where daily.business_date <= ends.last_day and daily.business_date > ends.last_day - %(days)s
order by daily.product, daily.business_date
"""

_VOLUMES: Final = """
select
    counts.product, counts.dataset, (counts.hour at time zone products.timezone)::date as day,
    (%(now)s at time zone products.timezone)::date - 1 as yesterday, sum(counts.landed)
from batuta.intake_counts as counts
join batuta.products as products on products.product = counts.product
where
    counts.connector = %(connector)s
    and counts.hour > %(now)s - make_interval(days => %(days)s + 2)
    and (counts.hour at time zone products.timezone)::date < (%(now)s at time zone products.timezone)::date
group by 1, 2, 3, 4
order by 1, 2, 3
"""

_ORDER_VALUES: Final = """
select
    orders.product, ends.last_day, round(orders.gross_sales - orders.discounts, 2) as value,
    count(*) filter (where orders.business_date > ends.last_day - %(recent)s),
    count(*) filter (where orders.business_date <= ends.last_day - %(recent)s)
from batuta_marts.fct_orders as orders
join (
    select ends.product, least(max(ends.business_date), (%(now)s at time zone products.timezone)::date - 1) as last_day
    from batuta_marts.fct_product_daily as ends
    join batuta.products as products on products.product = ends.product
    group by ends.product, products.timezone
) as ends on ends.product = orders.product
where
    orders.is_sale and orders.gross_sales is not null and orders.discounts is not null
    and orders.business_date <= ends.last_day
    and orders.business_date > ends.last_day - %(recent)s - %(before)s
group by 1, 2, 3
"""
