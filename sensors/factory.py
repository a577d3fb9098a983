"""Makes Dagster sensors of what starts pipelines: which events trigger them, which of them are due.

One sensor for all triggers, one for all clocks, however many products there are. Each reads the event log by
batch number, and each may be killed at any moment: nothing is lost, nothing runs twice.
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import dagster as dg
import psycopg

from batuta.landing.reader import last_batch
from batuta.manifests.graph import CompiledGraph
from sensors import run_tags
from sensors.due import DueRun, FiresAt, due_runs
from sensors.triggers import Trigger, Window, claim, concerned, mark_launched, requested, triggers

Connect: TypeAlias = Callable[[], psycopg.Connection[Any]]
Gate: TypeAlias = Callable[[psycopg.Connection[Any]], str | None]
"""Why nothing may run on the marts at present; None where it may."""

LISTEN_S = 4.5
"""The daemon looks at sensors every 5 s; a tick that waits for news in between answers it at once."""
LISTEN_STEP_S = 0.2

ACTIVE = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def add_products(
    instance: dg.DagsterInstance, products: dg.DynamicPartitionsDefinition, names: Collection[str]
) -> list[Any]:
    """The request that adds the products Dagster does not know yet, if any."""
    known = set(products.get_partition_keys(dynamic_partitions_store=instance))
    missing = sorted(set(names) - known)
    return [products.build_add_request(missing)] if missing else []


@dataclass(frozen=True, slots=True)
class TriggerPosition:
    """How far the log has been looked through, and which triggers wait for a run to end or a gate to open."""

    scanned: int
    waiting: frozenset[str]

    @classmethod
    def parse(cls, cursor: str | None, among: Iterable[Trigger]) -> "TriggerPosition":
        """Read a cursor; without one every trigger is looked at once, from its own cursor."""
        try:
            document = json.loads(cursor or "")
            return cls(int(document["scanned"]), frozenset(map(str, document["waiting"])))
        except (ValueError, KeyError, TypeError):
            return cls(-1, frozenset(trigger.name for trigger in among))

    def text(self) -> str:
        """The cursor to keep."""
        return json.dumps({"scanned": self.scanned, "waiting": sorted(self.waiting)})


def trigger_sensor(
    graph: CompiledGraph,
    jobs: Sequence[Any],
    *,
    products: dg.DynamicPartitionsDefinition,
    connect: Connect,
    gate: Gate,
    refresh: Any,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    listen_s: float = LISTEN_S,
) -> dg.SensorDefinition:
    """Launches a pipeline for a product when events it waits for have landed; exactly once for each event."""
    listed = triggers(graph)

    @dg.sensor(
        name="event_triggers",
        description="Launches the pipelines that events trigger, one run for all that came since.",
        jobs=[*jobs, refresh],
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def event_triggers(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        position = TriggerPosition.parse(context.cursor, listed)
        with connect() as conn:
            again = _unseen_windows(conn, context.instance)
            end = listen(conn, position.scanned, 0 if again or position.waiting else listen_s)
            news = concerned(conn, listed, min(position.scanned, end), end)
            restored = end < position.scanned
            waiting = position.waiting | {t.name for t in (listed if restored else news)}
            candidates = [t for t in listed if t.name in waiting]
            closed = gate(conn) if candidates else None
            windows, left = list(again), set[str]()
            unseen = {(window.pipeline, window.product) for window in again}
            for trigger in candidates:
                open_window = (trigger.pipeline, trigger.product) in unseen
                if closed or open_window or _is_active(context.instance, trigger):
                    left.add(trigger.name)
                elif (window := claim(conn, trigger, end, clock())) is not None:
                    windows.append(window)
        zones = {(t.pipeline, t.product): t.timezone for t in listed}
        asked = [w for w in windows if (w.pipeline, w.product) in zones]
        requests = [window_request(w, zones[w.pipeline, w.product]) for w in asked]
        if closed == NEVER_REFRESHED:
            requests.extend(first_refresh(end))
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _skip_reason(closed, left, end),
            dynamic_partitions_requests=add_products(context.instance, products, {w.product for w in asked}),
            cursor=TriggerPosition(end, frozenset(left)).text(),
        )

    return event_triggers


NEVER_REFRESHED = "the marts have never been refreshed"


def first_refresh(end: int) -> list[dg.RunRequest]:
    """The refresh without which there is nothing to read yet; asked for anew when more has landed."""
    return [
        dg.RunRequest(job_name=run_tags.REFRESH_JOB, run_key=f"first-{end}", tags=run_tags.refresh_tags())
    ]


def listen(conn: psycopg.Connection[Any], scanned: int, seconds: float) -> int:
    """The log's end: at once if it lies beyond `scanned`, else when it does, else after `seconds`."""
    deadline = time.monotonic() + seconds
    while (end := last_batch(conn)) == scanned and time.monotonic() < deadline:
        conn.rollback()
        time.sleep(LISTEN_STEP_S)
    conn.rollback()
    return end


def window_request(window: Window, timezone: str) -> dg.RunRequest:
    """The run of a window; its digest is the run key, so asking twice gives one run."""
    return dg.RunRequest(
        job_name=run_tags.job_name(window.pipeline),
        run_key=window.digest,
        partition_key=dg.MultiPartitionKey(
            {"day": window.day(timezone).isoformat(), "product": window.product}
        ),
        tags={**run_tags.pipeline_tags(window.pipeline, window.product), run_tags.TRIGGER: window.digest},
    )


def _unseen_windows(conn: psycopg.Connection[Any], instance: dg.DagsterInstance) -> list[Window]:
    unseen: list[Window] = []
    for window in requested(conn):
        runs = instance.get_runs(filters=dg.RunsFilter(tags={run_tags.TRIGGER: window.digest}), limit=1)
        if runs:
            mark_launched(conn, window.digest, runs[0].run_id)
        else:
            unseen.append(window)
    conn.commit()
    return unseen


def _is_active(instance: dg.DagsterInstance, trigger: Trigger) -> bool:
    tags = {run_tags.PIPELINE: trigger.pipeline, run_tags.PRODUCT: trigger.product}
    return bool(instance.get_runs(filters=dg.RunsFilter(statuses=list(ACTIVE), tags=tags), limit=1))


def _skip_reason(closed: str | None, left: Collection[str], end: int) -> str:
    if closed:
        return f"held back: {', '.join(sorted(left))}: {closed}"
    if left:
        return f"waiting for the active run of {', '.join(sorted(left))}"
    return f"no event that triggers a pipeline up to batch {end}"


def due_sensor(
    graph: CompiledGraph,
    refresh: Any,
    jobs: Sequence[Any],
    *,
    products: dg.DynamicPartitionsDefinition,
    fires_at: FiresAt,
) -> dg.SensorDefinition:
    """Launches what is due at a scheduled time, when the refresh of the marts for that time has succeeded."""

    @dg.run_status_sensor(
        name="due_pipelines",
        description="Launches the pipelines that are due when their refresh of the marts has succeeded.",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[refresh],
        request_jobs=list(jobs),
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def due_pipelines(context: dg.RunStatusSensorContext) -> dg.SensorResult:
        due_at = context.dagster_run.tags.get(run_tags.DUE_AT)
        if due_at is None:
            return dg.SensorResult(skip_reason="this refresh served no schedule")
        due = due_runs(graph, datetime.fromisoformat(due_at), fires_at)
        if not due:
            return dg.SensorResult(skip_reason=f"no pipeline is due at {due_at} any more")
        return dg.SensorResult(
            run_requests=[due_request(run, due_at) for run in due],
            dynamic_partitions_requests=add_products(
                context.instance, products, {run.product for run in due}
            ),
        )

    return due_pipelines


def due_request(run: DueRun, due_at: str) -> dg.RunRequest:
    """The run of a due pipeline; one per pipeline, product and scheduled time."""
    return dg.RunRequest(
        job_name=run_tags.job_name(run.pipeline),
        run_key=f"{run.pipeline}/{run.product}/{due_at}",
        partition_key=dg.MultiPartitionKey({"day": run.day.isoformat(), "product": run.product}),
        tags={**run_tags.pipeline_tags(run.pipeline, run.product), run_tags.DUE_AT: due_at},
    )
