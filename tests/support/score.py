"""A small company as a compiled graph, and events put straight into the log: for tests of the asset graph."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from batuta.manifests.graph import (
    CompiledAsset,
    CompiledGraph,
    CompiledPipeline,
    CompiledProduct,
    CompiledSchedule,
    CompiledStep,
)
from batuta.manifests.models import Output

ORDERS = ("ingest", "shopify_orders")
RECONCILE = ("sigma", "finance_reconcile")
REPORT = ("reports", "daily_review")
NOON = datetime(2025, 11, 12, 15, 0, tzinfo=UTC)


def product(name: str, timezone: str = "America/Sao_Paulo") -> CompiledProduct:
    """A product with defaults."""
    return CompiledProduct(
        name=name,
        description="",
        locale="pt-BR",
        currency="BRL",
        timezone=timezone,
        owners=("sigma",),
        kpis=("LTV",),
        datasets={"orders": ("shopify/orders",)},
        policies=(),
        connectors=(),
    )


def pipeline(
    name: str,
    products: Sequence[str],
    *,
    crons: Sequence[str] = (),
    events: Sequence[str] = (),
    skill: str = "sigma.finance.reconcile",
) -> CompiledPipeline:
    """A pipeline of an ingest gate, a skill and a report."""
    return CompiledPipeline(
        name=name,
        family="daily_review",
        description="",
        products=tuple(products),
        schedules=tuple(CompiledSchedule(cron=cron) for cron in crons),
        events=tuple(events),
        steps=(
            CompiledStep(
                use="ingest.shopify.orders", kind="ingest", asset_key=ORDERS, deps=(("shopify", "orders"),)
            ),
            CompiledStep(
                use=skill, kind="skill", asset_key=RECONCILE, deps=(ORDERS, ("live", "live_orders"))
            ),
        ),
        outputs=(Output(type="Report"),),
        report_key=REPORT,
        report_deps=(RECONCILE,),
    )


def company(products: Sequence[CompiledProduct], pipelines: Sequence[CompiledPipeline]) -> CompiledGraph:
    """The graph of these products and pipelines."""
    names = tuple(p.name for p in pipelines)
    assets = (
        CompiledAsset(
            asset_key=ORDERS,
            kind="ingest",
            use="ingest.shopify.orders",
            deps=(("shopify", "orders"),),
            pipelines=names,
        ),
        CompiledAsset(
            asset_key=RECONCILE,
            kind="skill",
            use="sigma.finance.reconcile",
            deps=(ORDERS, ("live", "live_orders")),
            pipelines=names,
        ),
        CompiledAsset(asset_key=REPORT, kind="report", use="report", deps=(RECONCILE,), pipelines=names),
    )
    return CompiledGraph(
        products=tuple(products), pipelines=tuple(pipelines), assets=assets if pipelines else ()
    )


def log_batch(
    conn: psycopg.Connection[Any],
    events: Sequence[tuple[str, str, str]],
    *,
    connector: str = "shopify",
    dataset: str = "orders",
    at: datetime = NOON,
) -> int:
    """Put events (product, type, id) into the log as one committed batch; its number."""
    decision = hashlib.sha256(b"decision").digest()[:16]
    conn.execute(
        """
        insert into batuta.decisions values (%s, 'p', 't', 'default', 'd', 'c', 'd', true, '{}', %s)
        on conflict do nothing
        """,
        (decision, at),
    )
    row = conn.execute("select nextval('batuta.batch_numbers')").fetchone()
    batch = int(row[0]) if row else 0
    conn.execute("insert into batuta.batches values (%s, %s, 'post', %s)", (batch, at, len(events)))
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into batuta.events (
                received_at, batch, key, product, source, id, type, time, connector, dataset,
                dataschema, data, decision
            )
            values (%s, %s, %s, %s, 'test', %s, %s, %s, %s, %s, 'schema', '{}', %s)
            """,
            [
                (
                    *(at, batch, hashlib.sha256(f"{name}/{event_id}".encode()).digest()[:16], name),
                    *(event_id, event_type, at, connector, dataset, decision),
                )
                for name, event_type, event_id in events
            ],
        )
    conn.commit()
    return batch
