"""Predictions in the warehouse: which are due, the rows they are made of, and where they are kept.

Reads the marts and the changes they are made of, writes `batuta.ltv_predictions`. Importing this imports no statistics:
they load when a prediction is made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from psycopg import IsolationLevel
from psycopg.types.json import Jsonb

from batuta.errors import UsageError
from batuta.kpis import marts_built
from batuta.landing.cursors import get_cursor, move_cursor
from batuta.warehouse.connection import Connect, Connection

if TYPE_CHECKING:
    from batuta.lifetime.predict import Histories, Outlook

CONSUMER: Final = "predicted_ltv"
"""The cursor, one per product: the refresh of the marts up to which its purchases are in its newest prediction."""
METHOD: Final = "bg-nbd-gamma-gamma/1"
"""Changes whenever the same rows would give another figure."""
DATASETS: Final = ("orders", "order_transactions", "refunds", "customer_merges")
"""What purchases are made of."""


@dataclass(frozen=True, slots=True)
class LtvPrediction:
    """Mean net sales to expect per acquired customer in the horizon after `as_of`, as it is kept.

    `low` and `high` bound the 95 % interval of the mean. `value` is None where nothing can be said; `reason` says why.
    `batch` is the last batch the marts took in.
    """

    product: str
    as_of: date
    horizon_days: int
    value: Decimal | None
    low: Decimal | None
    high: Decimal | None
    currency: str
    customers: int
    repeat_customers: int
    parameters: Mapping[str, Any]
    reason: str | None
    batch: int
    method: str
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class DuePrediction:
    """A product whose purchases changed since its newest prediction, and the last day of its series."""

    product: str
    as_of: date


@dataclass(frozen=True, slots=True)
class _Series:
    """How far the marts of a product reach: day and batch, and the number of the refresh that took them there."""

    last_day: date
    currency: str
    batch: int
    refresh: int


def due_predictions(connect: Connect, products: Collection[str], horizon_days: int) -> list[DuePrediction]:
    """Products whose purchases in the marts are not in a prediction yet, by name.

    Reads the marts' series, and which orders each refresh since the oldest position took in. Positions of products
    without news move, so that the next look begins there. After a full rebuild of the marts all are due.

    Raises:
        KpisNotBuilt: dbt has not run on this database.
    """
    with _snapshot(connect) as conn:
        series = _series(conn, products)
        seen = {name: get_cursor(conn, CONSUMER, name) for name in series}
        predicted = _predicted(conn, horizon_days)
        known = {name: int(at) for name, at in seen.items() if at is not None and name in predicted}
        news = _news(conn, min(known.values(), default=0))
    unchanged = [name for name, at in known.items() if news.get(name, 0) <= at < series[name].refresh]
    if unchanged:
        with connect("writer") as conn:
            for name in unchanged:
                move_cursor(conn, CONSUMER, series[name].refresh, name)
    return [
        DuePrediction(name, found.last_day)
        for name, found in sorted(series.items())
        if name not in known or news.get(name, 0) > known[name] or found.refresh < known[name]
    ]


def predict_and_store(
    connect: Connect, product: str, as_of: date, now: datetime, outlook: Outlook | None = None
) -> LtvPrediction:
    """Predict the value of a product's customers as of the end of a day, and keep it.

    The same rows give the same figures; a second prediction for the day and horizon takes the place of the first.

    Args:
        connect: Opens connections; none stays open while the statistics are made.
        product: A product with facts.
        as_of: A day its series in the marts has reached.
        now: What the row says of when it was computed; no figure depends on it.
        outlook: Horizon and discount rate; a year without discount by default.

    Raises:
        KpisNotBuilt: dbt has not run on this database.
        UsageError: the product has no facts, or they do not reach the day.
    """
    from batuta.lifetime.predict import Outlook, predict

    outlook = outlook or Outlook()
    with _snapshot(connect) as conn:
        series = _series(conn, [product]).get(product)
        if series is None:
            raise UsageError(
                f'the marts have nothing of a product "{product}"',
                hint="Land its events and refresh the marts.",
            )
        if as_of > series.last_day:
            raise UsageError(
                f"the series of {product} ends on {series.last_day}, before {as_of}",
                hint=f"Predict as of {series.last_day}, or refresh the marts first.",
            )
        histories = read_histories(conn, product, as_of)
    found = predict(histories, outlook)
    made = LtvPrediction(
        product=product,
        as_of=as_of,
        horizon_days=outlook.horizon_days,
        value=_money(found.value),
        low=_money(found.low),
        high=_money(found.high),
        currency=series.currency,
        customers=found.customers,
        repeat_customers=found.repeat_customers,
        parameters=found.parameters,
        reason=found.reason,
        batch=series.batch,
        method=METHOD,
        computed_at=now,
    )
    with connect("writer") as conn:
        _keep(conn, made)
        if as_of == series.last_day:
            move_cursor(conn, CONSUMER, series.refresh, product)
    return made


def read_histories(conn: Connection, product: str, as_of: date) -> Histories:
    """The purchases of the customers acquired by a day, up to that day, in the order of their keys.

    A purchase day is worth its sales less what of them had come back by `as_of`, and never less than 0.
    """
    import numpy as np

    from batuta.lifetime.predict import Histories

    # Every row is read once. A planner that knows nothing yet of rows just written would read all of them for each.
    conn.execute("set local enable_nestloop = off")
    with marts_built():
        rows = conn.execute(_HISTORIES, {"product": product, "as_of": as_of}).fetchall()
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return Histories(*columns)


def _snapshot(connect: Connect) -> Connection:
    """A reader that sees one state of the marts, also where a refresh ends meanwhile."""
    conn = connect("reader")
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    return conn


def _series(conn: Connection, products: Collection[str]) -> dict[str, _Series]:
    with marts_built():
        rows = conn.execute(
            """
            select daily.product, max(daily.business_date), max(daily.currency), position.read_to, position.done
            from batuta_marts.fct_product_daily as daily
            inner join batuta_intermediate.int_log_position as position on position.model = 'fct_customer_purchases'
            where daily.product = any(%s)
            group by daily.product, position.read_to, position.done
            """,
            (list(products),),
        ).fetchall()
    return {product: _Series(*row) for product, *row in rows}


def _predicted(conn: Connection, horizon_days: int) -> set[str]:
    """Products that have a prediction by today's method."""
    rows = conn.execute(
        "select distinct product from batuta.ltv_predictions where horizon_days = %s and method = %s",
        (horizon_days, METHOD),
    ).fetchall()
    return {product for (product,) in rows}


def _news(conn: Connection, after: int) -> dict[str, int]:
    """The newest refresh that touched orders of each product, where there was one after `after`."""
    rows = conn.execute(
        "select product, max(refresh) from batuta_intermediate.int_order_customers where refresh > %s group by product",
        (after,),
    ).fetchall()
    return dict(rows)


def _keep(conn: Connection, made: LtvPrediction) -> None:
    conn.execute(
        """
        insert into batuta.ltv_predictions (
            product, as_of, horizon_days, value, low, high, currency, customers, repeat_customers, parameters, reason,
            batch, method, computed_at
        )
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (product, as_of, horizon_days) do update set
            value = excluded.value, low = excluded.low, high = excluded.high, currency = excluded.currency,
            customers = excluded.customers, repeat_customers = excluded.repeat_customers,
            parameters = excluded.parameters, reason = excluded.reason, batch = excluded.batch,
            method = excluded.method, computed_at = excluded.computed_at
        """,
        (
            *(made.product, made.as_of, made.horizon_days, made.value, made.low, made.high, made.currency),
            *(made.customers, made.repeat_customers, Jsonb(dict(made.parameters)), made.reason),
            *(made.batch, made.method, made.computed_at),
        ),
    )


def _money(value: float | None) -> Decimal | None:
    """A figure of the statistics as money: four digits after the point."""
    return None if value is None else Decimal(f"{value:.4f}")


_HISTORIES: Final = """
with buyers as (
    select customer_key from batuta_marts.dim_customers
    where product = %(product)s and acquired_on <= %(as_of)s
),
returned as (
    select orders.customer_key, orders.business_date, sum(changes.returns) as returns
    from buyers
    inner join batuta_marts.fct_orders as orders
        on orders.product = %(product)s and orders.customer_key = buyers.customer_key
    inner join batuta_intermediate.int_order_changes as changes
        on changes.product = %(product)s and changes.entity = orders.order_id
    where changes.returns <> 0 and changes.business_date <= %(as_of)s
    group by orders.customer_key, orders.business_date
),
days as (
    select
        customer_key,
        business_date,
        purchases.purchase_day,
        greatest(purchases.sales - coalesce(returned.returns, 0), 0) as worth
    from batuta_marts.fct_customer_purchases as purchases
    inner join buyers using (customer_key)
    left join returned using (customer_key, business_date)
    where purchases.product = %(product)s and business_date <= %(as_of)s
)
select
    (count(*) - 1)::float8,
    (max(business_date) - min(business_date))::float8,
    (%(as_of)s::date - min(business_date))::float8,
    coalesce(avg(worth) filter (where purchase_day > 1), 0)::float8
from days
group by customer_key
order by customer_key collate "C"
"""
