"""Constructed facts about the platform, for tests of its models: what recorders would have written."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg import sql

DAY = date(2025, 11, 12)


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
