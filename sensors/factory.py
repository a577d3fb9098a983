"""Makes Dagster sensors of what starts pipelines: which events trigger them, which of them are due.

One sensor for all triggers, one for all clocks, however many products there are. Each reads the event log by
batch number, and each may be killed at any moment: nothing is lost, nothing runs twice.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import dagster as dg
import psycopg

from batuta.landing.reader import last_batch
from batuta.manifests.graph import CompiledGraph
from sensors import run_tags
from sensors.claims import (
    NEVER_REFRESHED,
    SENSOR,
    Gate,
    Open,
    TriggerPosition,
    claim_due,
    open_windows,
    window_request,
)
from sensors.due import DueRun, FiresAt, due_runs
from sensors.jobs import job_names, pipeline_jobs, shortened
from sensors.triggers import listener_lives, triggers

Connect: TypeAlias = Callable[[], psycopg.Connection[Any]]
Unchanged: TypeAlias = Callable[[psycopg.Connection[Any], Sequence[DueRun]], Collection[DueRun]]
"""Which due runs would only repeat what is published already."""

LISTEN_S = 4.5
"""The daemon looks at sensors every 5 s; a tick that waits for news in between answers it at once."""
LISTEN_STEP_S = 0.2

GRACE: Final = timedelta(seconds=10)
"""What is younger is the listener's, while it lives: the sensor takes what the listener has left."""


def add_products(
    instance: dg.DagsterInstance, products: dg.DynamicPartitionsDefinition, names: Collection[str]
) -> list[Any]:
    """The request that adds the products Dagster does not know yet, if any."""
    known = set(products.get_partition_keys(dynamic_partitions_store=instance))
    missing = sorted(set(names) - known)
    return [products.build_add_request(missing)] if missing else []


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
    job_of = job_names(pipeline_jobs(graph))

    @dg.sensor(
        name=SENSOR,
        description="Launches the pipelines that events trigger, one run for all that came since.",
        jobs=[*jobs, refresh],
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def event_triggers(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        position, now = TriggerPosition.parse(context.cursor, listed), clock()
        with connect() as conn:
            found = open_windows(conn, context.instance)
            grace = listener_lives(conn) and gate(conn) != NEVER_REFRESHED
            again = [o.window for o in found if is_to_ask(o, now - GRACE if grace else now)]
            if grace:
                end = settled(conn, position.scanned, GRACE)
            else:
                end = listen(conn, position.scanned, 0 if again or position.waiting else listen_s)
            claims = claim_due(
                *(conn, context.instance, listed, position, end),
                gate=gate,
                taken=[o.window for o in found],
                now=now,
            )
        zones = {(t.pipeline, t.product): t.timezone for t in listed}
        asked = [w for w in (*again, *claims.windows) if (w.pipeline, w.product) in zones]
        requests = [window_request(w, zones[w.pipeline, w.product], job_of[w.pipeline]) for w in asked]
        if claims.closed == NEVER_REFRESHED:
            requests.extend(first_refresh(end))
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else claims.why_nothing(),
            dynamic_partitions_requests=add_products(context.instance, products, {w.product for w in asked}),
            cursor=claims.position.text(),
        )

    return event_triggers


def first_refresh(end: int) -> list[dg.RunRequest]:
    """The refresh without which there is nothing to read yet; asked for anew when more has landed."""
    return [
        dg.RunRequest(job_name=run_tags.REFRESH_JOB, run_key=f"first-{end}", tags=run_tags.refresh_tags())
    ]


def is_to_ask(found: Open, since: datetime) -> bool:
    """Whether the run of an open window is to be asked for: the window is old enough, and no run was promised."""
    unasked = found.run is None or found.run.status == dg.DagsterRunStatus.NOT_STARTED
    return unasked and found.window.requested_at <= since


def settled(conn: psycopg.Connection[Any], scanned: int, age: timedelta) -> int:
    """The log's end without the batches younger than `age`, which the listener is at; never before `scanned`."""
    end = last_batch(conn)
    row = conn.execute(
        "select batch from batuta.batches where committed_at < clock_timestamp() - %s order by batch desc limit 1",
        (age,),
    ).fetchone()
    return end if end < scanned else max(scanned, row[0] if row else 0)


def listen(conn: psycopg.Connection[Any], scanned: int, seconds: float) -> int:
    """The log's end: at once if it lies beyond `scanned`, else when it does, else after `seconds`."""
    deadline = time.monotonic() + seconds
    while (end := last_batch(conn)) == scanned and time.monotonic() < deadline:
        conn.rollback()
        time.sleep(LISTEN_STEP_S)
    conn.rollback()
    return end


def due_sensor(
    graph: CompiledGraph,
    refresh: Any,
    jobs: Sequence[Any],
    *,
    products: dg.DynamicPartitionsDefinition,
    fires_at: FiresAt,
    connect: Connect,
    unchanged: Unchanged,
) -> dg.SensorDefinition:
    """Launches what is due at a scheduled time, when the refresh of the marts for that time has succeeded.

    What is published for its day already, from the same data and by the same definitions, is not launched again.
    """
    job_of = job_names(pipeline_jobs(graph))

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
        with connect() as conn:
            known = unchanged(conn, due)
        wanted = [run for run in due if run not in known]
        named = shortened([f"{run.pipeline} for {run.product}" for run in sorted(known)])
        return dg.SensorResult(
            run_requests=[due_request(run, due_at, job_of) for run in wanted],
            skip_reason=None if wanted else f"published already, and nothing is new: {named}",
            dynamic_partitions_requests=add_products(
                context.instance, products, {run.product for run in wanted}
            ),
        )

    return due_pipelines


def due_request(run: DueRun, due_at: str, job_of: Mapping[str, str]) -> dg.RunRequest:
    """The run of a due pipeline; one per pipeline, product and scheduled time."""
    return dg.RunRequest(
        job_name=job_of[run.pipeline],
        run_key=f"{run.pipeline}/{run.product}/{due_at}",
        partition_key=dg.MultiPartitionKey({"day": run.day.isoformat(), "product": run.product}),
        tags={**run_tags.pipeline_tags(run.pipeline, run.product), run_tags.DUE_AT: due_at},
    )
