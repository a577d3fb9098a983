"""Reads of a Dagster instance how its runs ended, as facts for the warehouse. Writes nothing.

A run fails by its code (a step raised), by its data (a contract held it up), or by what it ran on (its process, its
machine or a database went away). Which of them is told by the events of the run and the kinds of its errors.
"""

import builtins
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import dagster as dg
import psycopg

from batuta.manifests.graph import CompiledGraph
from batuta.platform.runs import Asker, Cause, RunFact, StepFact
from batuta_assets import compat
from batuta_assets.partitions import product_and_day
from sensors import run_tags

FINISHED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_STATUSES: Final[Mapping[dg.DagsterRunStatus, Any]] = {
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "cancelled",
}
_OF_OURS: Final = frozenset({"DatabaseUnreachable", "NotRecorded"})
_OF_OTHERS: Final = frozenset(
    {"ChildProcessCrashException", "DagsterUserCodeUnreachableError", "PoolTimeout"}
)
_INTERRUPTED: Final = "DagsterExecutionInterruptedError"
_HELD_UP: Final = "DagsterAssetCheckFailedError"


@dataclass(frozen=True, slots=True)
class _Failures:
    """What the events of a run say of its failure."""

    steps: Mapping[str, Cause | None]
    """By step, in the order they failed; None for one that was interrupted."""
    run: Cause


def skills_by_step(graph: CompiledGraph) -> dict[str, str]:
    """The skill behind each step that runs one."""
    return {"__".join(asset.asset_key): asset.use for asset in graph.assets if asset.kind == "skill"}


def finished_since(
    instance: dg.DagsterInstance, after: datetime | None, limit: int
) -> Sequence[compat.RunRecord]:
    """Runs that have ended and changed after a moment, in the order they changed."""
    filters = dg.RunsFilter(statuses=list(FINISHED), updated_after=after)
    return instance.get_run_records(filters, limit=limit, order_by="update_timestamp", ascending=True)


def changed_at(record: compat.RunRecord) -> datetime:
    """When a run changed last."""
    return _utc(record.update_timestamp)


def run_fact(instance: dg.DagsterInstance, record: compat.RunRecord, skills: Mapping[str, str]) -> RunFact:
    """The fact of a run that has ended; `skills` are those of `skills_by_step`."""
    run = record.dagster_run
    finished_at = _moment(record.end_time) or changed_at(record)
    failures = _failures(instance, run) if run.status == dg.DagsterRunStatus.FAILURE else None
    product, day = _partition(run)
    due_at, batch = run.tags.get(run_tags.DUE_AT), run.tags.get(run_tags.BATCH_TO)
    return RunFact(
        run_id=run.run_id,
        job=run.job_name,
        pipeline=run.tags.get(run_tags.PIPELINE),
        product=product,
        business_date=day,
        asked_by=_asked_by(run),
        parent_run_id=run.parent_run_id,
        root_run_id=run.root_run_id or run.run_id,
        status=_STATUSES[run.status],
        failure_cause=failures.run if failures else None,
        failed_step=next(iter(failures.steps), None) if failures else None,
        due_at=datetime.fromisoformat(due_at) if due_at else None,
        queued_at=_utc(record.create_timestamp),
        started_at=_moment(record.start_time),
        finished_at=finished_at,
        batch_to=int(batch) if batch else None,
        steps=tuple(_steps(instance, run, finished_at, failures, skills)),
    )


def cause_of(names: Sequence[str]) -> Cause:
    """The cause of a failure, by the names of its error and of those it came from."""
    if _HELD_UP in names:
        return "data"
    return "infrastructure" if any(map(_is_infrastructure, names)) else "code"


def _is_infrastructure(name: str) -> bool:
    if name in _OF_OURS or name in _OF_OTHERS or name == _INTERRUPTED:
        return True
    if name == "QueryCanceled":
        return False
    known = (
        getattr(psycopg.errors, name, None) or getattr(psycopg, name, None) or getattr(builtins, name, None)
    )
    broken = (psycopg.OperationalError, psycopg.InterfaceError, ConnectionError, MemoryError)
    return isinstance(known, type) and issubclass(known, broken)


def _asked_by(run: dg.DagsterRun) -> Asker:
    tags = run.tags
    if run.parent_run_id is not None:
        return "retry" if compat.RETRY_NUMBER_TAG in tags else "person"
    if compat.BACKFILL_ID_TAG in tags:
        return "backfill"
    if run_tags.TRIGGER in tags:
        return "event"
    if run_tags.DUE_AT in tags or compat.SCHEDULE_NAME_TAG in tags:
        return "schedule"
    return "sensor" if compat.SENSOR_NAME_TAG in tags else "person"


def _partition(run: dg.DagsterRun) -> tuple[str | None, date | None]:
    key = run.tags.get(compat.PARTITION_NAME_TAG)
    named = run.tags.get(run_tags.PRODUCT)
    if key is None or "|" not in key:
        return named, None
    try:
        product, day = product_and_day(key)
    except (dg.DagsterInvariantViolationError, dg.DagsterInvalidInvocationError, KeyError, ValueError):
        return named, None
    return named or product, day


def _failures(instance: dg.DagsterInstance, run: dg.DagsterRun) -> _Failures:
    kinds = {compat.DagsterEventType.STEP_FAILURE, compat.DagsterEventType.RUN_FAILURE}
    steps: dict[str, Cause | None] = {}
    ended: Cause | None = None
    for entry in instance.all_logs(run.run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_failure and event.step_key is not None:
            names = list(_names(event.step_failure_data.error))
            steps.setdefault(event.step_key, None if _INTERRUPTED in names else cause_of(names))
        elif event.event_type == compat.DagsterEventType.RUN_FAILURE:
            ended = _cause_of_ending(event)
    first = next(iter(steps.values()), None)
    return _Failures(steps, first or ended or "infrastructure")


def _cause_of_ending(event: compat.DagsterEvent) -> Cause:
    """Why a run failed of which no step did: most often its process was gone, and nothing more is said."""
    data = event.event_specific_data
    error = data.error if isinstance(data, compat.JobFailureData) else None
    return "infrastructure" if error is None else cause_of(list(_names(error)))


def _names(error: Any) -> Iterator[str]:
    """The names of an error's class and of all that it came from."""
    seen = 0
    while error is not None and seen < 20:
        if error.cls_name:
            yield error.cls_name
        error, seen = error.cause or error.context, seen + 1


def _steps(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    finished_at: datetime,
    failures: _Failures | None,
    skills: Mapping[str, str],
) -> Iterator[StepFact]:
    for stats in instance.get_run_step_stats(run.run_id):
        started_at = _moment(stats.start_time)
        if started_at is None:
            continue
        status = str(stats.status.value) if stats.status is not None else ""
        cause = failures.steps.get(stats.step_key) if failures else None
        failed = status == "FAILURE" and (failures is None or cause is not None)
        yield StepFact(
            step=stats.step_key,
            skill=skills.get(stats.step_key),
            status="succeeded" if status == "SUCCESS" else "failed" if failed else "interrupted",
            failure_cause=(cause or "code") if failed else None,
            attempts=max(1, stats.attempts or 1),
            started_at=started_at,
            finished_at=max(started_at, _moment(stats.end_time) or finished_at),
        )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
