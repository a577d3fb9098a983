"""Facts of runs in the warehouse, where dbt can read them: who ended how, when, on whose account.

Whoever orchestrates gives the facts (`batuta_assets.platform`); here they are written, once per run.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, TypeAlias

import psycopg

from batuta.landing.cursors import get_cursor, move_cursor

Cause: TypeAlias = Literal["code", "data", "infrastructure"]
Asker: TypeAlias = Literal["schedule", "event", "sensor", "backfill", "retry", "person"]

RECORDED: Final = "platform:runs"
"""The consumer under which it is kept how far runs are recorded."""
DUE: Final = "platform:due"
"""The consumer under which it is kept up to when each pipeline's clock has been read."""
_RECORDER: Final = 0x6261_7472_7563_6F72


@dataclass(frozen=True, slots=True)
class StepFact:
    """A step that began; times are aware, UTC."""

    step: str
    skill: str | None
    status: Literal["succeeded", "failed", "interrupted"]
    failure_cause: Cause | None
    attempts: int
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class RunFact:
    """A run that has ended; times are aware, UTC."""

    run_id: str
    job: str
    pipeline: str | None
    product: str | None
    business_date: date | None
    asked_by: Asker
    parent_run_id: str | None
    root_run_id: str
    status: Literal["succeeded", "failed", "cancelled"]
    failure_cause: Cause | None
    failed_step: str | None
    due_at: datetime | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime
    batch_to: int | None
    steps: tuple[StepFact, ...] = ()

    @property
    def compute_seconds(self) -> float:
        """How long its process worked."""
        return 0.0 if self.started_at is None else (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """A pipeline that was due for a product at a scheduled instant; `day` is its local date there."""

    pipeline: str
    product: str
    due_at: datetime
    day: date


def be_the_recorder(conn: psycopg.Connection[Any]) -> None:
    """Wait to be the only one that records, until the caller's transaction ends."""
    conn.execute("select pg_advisory_xact_lock(%s)", (_RECORDER,))


def recorded_to(conn: psycopg.Connection[Any]) -> datetime | None:
    """Up to which change of a run everything is recorded; None before the first."""
    position = get_cursor(conn, RECORDED)
    return None if position is None else datetime.fromisoformat(position)


def unrecorded(conn: psycopg.Connection[Any], run_ids: Collection[str]) -> set[str]:
    """Those of these runs that are not recorded yet."""
    known = conn.execute("select run_id from batuta.pipeline_runs where run_id = any(%s)", (list(run_ids),))
    return set(run_ids) - {run_id for (run_id,) in known}


def record_runs(conn: psycopg.Connection[Any], facts: Sequence[RunFact], upto: datetime) -> None:
    """Write down runs with their steps, and that everything up to `upto` is; in the caller's transaction."""
    with conn.cursor() as cursor:
        cursor.executemany(_RUN, [_run_row(fact) for fact in facts])
        cursor.executemany(_STEP, [_step_row(fact, step) for fact in facts for step in fact.steps])
    move_cursor(conn, RECORDED, upto.isoformat())


def due_read_to(conn: psycopg.Connection[Any]) -> dict[str, datetime]:
    """Up to when each pipeline and product (`pipeline/product`) has been asked when it was due."""
    found: Mapping[str, str] = get_cursor(conn, DUE) or {}
    return {name: datetime.fromisoformat(at) for name, at in found.items()}


def record_due(conn: psycopg.Connection[Any], found: Iterable[Due], read_to: Mapping[str, datetime]) -> None:
    """Write down what was due, and up to when everybody has been asked; in the caller's transaction."""
    with conn.cursor() as cursor:
        cursor.executemany(_DUE, [(due.pipeline, due.product, due.due_at, due.day) for due in found])
    move_cursor(conn, DUE, {name: at.isoformat() for name, at in sorted(read_to.items())})


def _run_row(fact: RunFact) -> tuple[Any, ...]:
    return (
        fact.run_id,
        fact.job,
        fact.pipeline,
        fact.product,
        fact.business_date,
        fact.asked_by,
        fact.parent_run_id,
        fact.root_run_id,
        fact.status,
        fact.failure_cause,
        fact.failed_step,
        fact.due_at,
        fact.queued_at,
        fact.started_at,
        fact.finished_at,
        round(max(fact.compute_seconds, 0.0), 3),
        fact.batch_to,
    )


def _step_row(fact: RunFact, step: StepFact) -> tuple[Any, ...]:
    return (
        fact.run_id,
        step.step,
        step.skill,
        step.status,
        step.failure_cause,
        step.attempts,
        step.started_at,
        step.finished_at,
    )


_RUN: Final = """
insert into batuta.pipeline_runs (
    run_id, job, pipeline, product, business_date, asked_by, parent_run_id, root_run_id, status, failure_cause,
    failed_step, due_at, queued_at, started_at, finished_at, compute_seconds, batch_to
)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (run_id) do nothing
"""

_STEP: Final = """
insert into batuta.pipeline_steps (run_id, step, skill, status, failure_cause, attempts, started_at, finished_at)
values (%s, %s, %s, %s, %s, %s, %s, %s)
on conflict (run_id, step) do nothing
"""

_DUE: Final = """
insert into batuta.due_publications (pipeline, product, due_at, business_date) values (%s, %s, %s, %s)
on conflict (pipeline, product, due_at) do nothing
"""
