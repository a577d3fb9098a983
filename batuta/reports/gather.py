"""Reads what a review is made from. Live values as reader, records as the connection's own role, which is writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from batuta.blobs import digest_of
from batuta.kpis import marts_built
from batuta.reports.model import (
    SKILLS,
    Freshness,
    HeldDeliveries,
    Intake,
    KpiPoint,
    KpiSeries,
    ProductInfo,
    ReviewInputs,
)
from batuta.skill_records import Analysis, load_analysis

if TYPE_CHECKING:
    import psycopg

DAYS: Final = 90

SERIES_RELATION: Final = "live_kpi_daily"
SERIES_SQL: Final = """
select k.kpi, k.business_date, k.value, k.unit, k.currency, k.sample_size, k.low, k.high, k.reason,
    d.title_en, d.title_pt, d.definition_en, d.definition_pt, d.direction, d.time_window, d.owner, d.is_headline
from batuta_live.live_kpi_daily as k
inner join batuta_marts.dim_kpis as d using (kpi)
where k.product = %(product)s and k.business_date between %(first)s and %(last)s
order by d.position, k.business_date
"""
SERIES_DIGEST: Final = digest_of(SERIES_SQL.encode())


def gather(
    conn: psycopg.Connection[Any],
    product: ProductInfo,
    pipeline: str,
    family: str,
    business_date: date,
    *,
    dagster_run_id: str | None = None,
    batch_to: int | None = None,
) -> ReviewInputs:
    """Everything of a product up to a business date.

    Args:
        conn: An idle connection of the writer role.
        product: The product and how its numbers are written.
        pipeline: Name of the pipeline.
        family: The pipeline's family (`daily_review`).
        business_date: Last day looked at.
        dagster_run_id: Analyses of this run are taken; where it made none, the latest of the day.
        batch_to: Batch the run was fixed to; by default the newest of the product.

    Raises:
        KpisNotBuilt: the models have never been built.
    """
    with conn.transaction(), acting_as_reader(conn):
        series = kpi_series(conn, product, business_date)
    with conn.transaction():
        return ReviewInputs(
            product=product,
            pipeline=pipeline,
            family=family,
            business_date=business_date,
            series=series,
            analyses={
                analysis.skill: analysis
                for analysis in _analyses(conn, product, business_date, dagster_run_id)
            },
            intake=_intake(conn, product),
            held=_held(conn, product),
            freshness=_freshness(conn, product, batch_to),
        )


@contextmanager
def acting_as_reader(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Act as reader until the end of the surrounding transaction."""
    conn.execute("set local role batuta_reader")
    yield


def kpi_series(conn: psycopg.Connection[Any], product: ProductInfo, last: date) -> tuple[KpiSeries, ...]:
    """A product's KPIs over the `DAYS` business days up to `last`, in the catalogue's order (role: reader).

    Raises:
        KpisNotBuilt: the models have never been built.
    """
    first = last - timedelta(days=DAYS - 1)
    with marts_built():
        rows = conn.execute(SERIES_SQL, {"product": product.name, "first": first, "last": last}).fetchall()
    by_kpi: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        by_kpi.setdefault(row[0], []).append(tuple(row))
    portuguese = product.locale.startswith("pt")
    return tuple(_one_series(kpi, found, portuguese) for kpi, found in by_kpi.items())


def _one_series(kpi: str, rows: Iterable[tuple[Any, ...]], portuguese: bool) -> KpiSeries:
    found = list(rows)
    last = found[-1]
    title_en, title_pt, definition_en, definition_pt, direction, window, owner, headline = last[9:]
    unit = f"money:{last[4]}" if last[3] == "currency" else last[3]
    return KpiSeries(
        kpi=kpi,
        title=title_pt if portuguese else title_en,
        definition=definition_pt if portuguese else definition_en,
        unit=unit,
        direction=direction,
        window=window,
        owner=owner,
        headline=headline,
        points=tuple(
            KpiPoint(day, value, size, low, high, reason)
            for _kpi, day, value, _unit, _currency, size, low, high, reason, *_ in found
        ),
    )


def _analyses(
    conn: psycopg.Connection[Any], product: ProductInfo, day: date, run: str | None
) -> Iterator[Analysis]:
    for skill in SKILLS:
        found = load_analysis(conn, skill, product.name, day, dagster_run_id=run) if run else None
        found = found or load_analysis(conn, skill, product.name, day)
        if found is not None:
            yield found


def _intake(conn: psycopg.Connection[Any], product: ProductInfo) -> tuple[Intake, ...]:
    rows = conn.execute(
        "select connector, sum(landed)::bigint, sum(duplicate)::bigint, sum(quarantined)::bigint, "
        "sum(filtered)::bigint "
        "from batuta.intake_counts where product = %s group by connector order by connector",
        (product.name,),
    ).fetchall()
    return tuple(Intake(*row) for row in rows)


def _held(conn: psycopg.Connection[Any], product: ProductInfo) -> tuple[HeldDeliveries, ...]:
    rows = conn.execute(
        "select connector, reason_code, count(*) from batuta.quarantine "
        "where product = %s and state = 'held' group by 1, 2 order by 3 desc, 1, 2",
        (product.name,),
    ).fetchall()
    return tuple(HeldDeliveries(*row) for row in rows)


def _freshness(conn: psycopg.Connection[Any], product: ProductInfo, batch_to: int | None) -> Freshness:
    row = conn.execute(
        "select max(batch), max(time) from batuta.history "
        "where product = %(product)s and (%(batch)s::bigint is null or batch <= %(batch)s)",
        {"product": product.name, "batch": batch_to},
    ).fetchone()
    batch, newest = row or (None, None)
    return Freshness(batch_to if batch_to is not None else batch, newest)
