"""Constructed facts about the platform, for tests of its models: what recorders would have written."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from tests.support.score import log_batch

DAY = date(2025, 11, 12)
BEFORE = DAY - timedelta(days=2)
CREATED = "com.shopify.orders.created"


def at(hour: int, minute: int = 0, *, day: date = DAY) -> datetime:
    """A moment of a day, UTC."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def insert(conn: psycopg.Connection[Any], table: str, *rows: Mapping[str, Any]) -> None:
    """Put rows into a table of ours."""
    for row in rows:
        statement = sql.SQL("insert into batuta.{} ({}) values ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join([sql.Placeholder()] * len(row)),
        )
        conn.execute(statement, list(row.values()))


def run(run_id: str, product: str, finished_at: datetime, **other: Any) -> dict[str, Any]:
    """A run of the pipeline `review` that succeeded, begun ten minutes before it ended."""
    begun = finished_at.replace(minute=max(0, finished_at.minute - 10))
    return {
        "run_id": run_id,
        "job": "review",
        "pipeline": "review",
        "product": product,
        "business_date": finished_at.date(),
        "asked_by": "schedule",
        "root_run_id": run_id,
        "status": "succeeded",
        "queued_at": begun,
        "started_at": begun,
        "finished_at": finished_at,
        "compute_seconds": 600,
        "batch_to": 0,
        **other,
    }


def failed(cause: str = "code") -> dict[str, Any]:
    """What makes a run a failed one."""
    return {"status": "failed", "failure_cause": cause}


def step(run_id: str, skill: str, finished_at: datetime, **other: Any) -> dict[str, Any]:
    """A step that ran a skill and succeeded."""
    return {
        "run_id": run_id,
        "step": skill.replace(".", "_"),
        "skill": skill,
        "status": "succeeded",
        "attempts": 1,
        "started_at": finished_at,
        "finished_at": finished_at,
        **other,
    }


def two_days(conn: psycopg.Connection[Any]) -> None:
    """A day that was published in time, and one on which the first run died and its retry was late."""
    before = BEFORE
    first = log_batch(conn, [("casa", CREATED, "1")], at=at(8, day=before))
    second = log_batch(conn, [("casa", CREATED, "2"), ("casa", CREATED, "3")], at=at(8))
    conn.execute(
        "insert into batuta.intake_counts values ('casa', 'shopify', 'orders', %s, 1, 5, 0, 0, 0), "
        "('casa', 'shopify', 'orders', %s, 2, 0, 1, 0, 0)",
        (at(8, day=before), at(8)),
    )
    insert(conn, "due_publications", due(before), due(DAY))
    insert(
        conn,
        "pipeline_runs",
        run("a", "casa", at(9, 10, day=before), batch_to=first),
        run("b", "casa", at(9, 20), batch_to=second, **failed("infrastructure")),
        run("c", "casa", at(11), batch_to=second, parent_run_id="b", root_run_id="b", asked_by="retry"),
    )
    skill = "sigma.finance.reconcile"
    insert(
        conn,
        "pipeline_steps",
        step("a", skill, at(9, 5, day=before)),
        step("b", skill, at(9, 15), status="interrupted"),
        step("c", skill, at(10, 55)),
    )
    insert(
        conn,
        "storage_days",
        *({"day": d, "part": "log", "bytes": 2**30, "measured_at": at(1, day=d)} for d in (before, DAY)),
    )
    insert(
        conn,
        "connector_hours",
        {"product": "casa", "connector": "shopify", "hour": at(8), "polls": 12, "polls_failed": 3},
    )


def due(day: date) -> dict[str, Any]:
    """The pipeline `review` due for a product, at nine."""
    return {"pipeline": "review", "product": "casa", "due_at": at(9, day=day), "business_date": day}
