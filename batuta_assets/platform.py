"""The platform looks at itself: runs that have ended, what was due, what is stored, and the models made of these.

Dagster keeps its runs in a database of its own, which dbt cannot read: here they become facts in the warehouse, each
once, whoever ended them. The platform's models are refreshed by a job of their own, so that a mistake in them holds up
no product.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import dagster as dg
import psycopg

from batuta.landing.cursors import get_cursor, move_cursor
from batuta.manifests.graph import CompiledGraph
from batuta.platform.runs import (
    Due,
    be_the_recorder,
    due_read_to,
    record_due,
    record_runs,
    recorded_to,
    unrecorded,
)
from batuta.platform.storage import measure, measured_on
from batuta.quality.contract import DataContract
from batuta.settings import Settings
from batuta_assets.compat import fires_between
from batuta_assets.dbt import check_result, check_spec, made_by, model_metadata, model_spec
from batuta_assets.dbt_manifest import DbtManifest
from batuta_assets.dbt_refresh import models_in, refresh
from batuta_assets.gates import hold_models, models_of, structural_problem
from batuta_assets.locations import locations
from batuta_assets.quality.checks import JOB as QUALITY_JOB
from batuta_assets.quality.checks import PLATFORM_REFRESHED
from batuta_assets.quality.holding import hold, platform_contracts
from batuta_assets.quality.standing import (
    CONTRACT,
    check_of,
    contract_keys,
    contract_result,
    contract_spec,
    marts_digest,
)
from batuta_assets.run_facts import changed_at, finished_since, run_fact, skills_by_step
from batuta_assets.runtime import Runtime, connector_to
from sensors import run_tags
from sensors.factory import Connect

Job: TypeAlias = Any

REFRESH_JOB: Final = PLATFORM_REFRESHED
MEASURE_JOB: Final = "measure_storage"
LOOK_S: Final = 60
RUNS_A_LOOK: Final = 200
OVERLAP: Final = timedelta(minutes=10)
"""So much earlier than the last change it is looked again: clocks differ, and a commit may come late."""
LOOKED_BACK: Final = timedelta(days=35)
"""What was due longer ago is nobody's promise any more."""
HOURLY: Final = "25 * * * *"


def record(
    instance: dg.DagsterInstance, conn: psycopg.Connection[Any], graph: CompiledGraph, now: datetime
) -> int:
    """Write down the runs that have ended, and what was due, up to now (role: writer); how many runs. Commits.

    May be killed at any moment and called by any number at once: each run is recorded once.
    """
    be_the_recorder(conn)
    _record_due(conn, graph, now)
    position, done = recorded_to(conn), 0
    skills = skills_by_step(graph)
    after = None if position is None else position - OVERLAP
    found = finished_since(instance, after, RUNS_A_LOOK)
    while found:
        missing = unrecorded(conn, [one.dagster_run.run_id for one in found])
        facts = [run_fact(instance, one, skills) for one in found if one.dagster_run.run_id in missing]
        record_runs(conn, facts, changed_at(found[-1]))
        done += len(facts)
        if len(found) < RUNS_A_LOOK:
            break
        found = finished_since(instance, changed_at(found[-1]), RUNS_A_LOOK)
    conn.commit()
    return done


def _record_due(conn: psycopg.Connection[Any], graph: CompiledGraph, now: datetime) -> None:
    """A pipeline that is seen for the first time is promised from now on."""
    before = due_read_to(conn)
    read_to: dict[str, datetime] = {}
    found: list[Due] = []
    for pipeline in graph.pipelines:
        for name in pipeline.products if pipeline.schedules else ():
            product = graph.product(name)
            if product is None:
                continue
            after = max(before.get(f"{pipeline.name}/{name}", now), now - LOOKED_BACK)
            zone = ZoneInfo(product.timezone)
            found += [
                Due(pipeline.name, name, at, at.astimezone(zone).date())
                for schedule in pipeline.schedules
                for at in fires_between(schedule.cron, product.timezone, after, now)
            ]
            read_to[f"{pipeline.name}/{name}"] = now
    record_due(conn, found, read_to)


@dg.op(description="Measures what is stored, by part, for the day.", out=dg.Out(dg.Nothing))
def measure_stored(context: dg.OpExecutionContext, runtime: Runtime) -> None:
    """Keep the day's sizes of tables, databases and folders."""
    with runtime.connect("owner") as conn:
        sizes = measure(conn, runtime.database_url(), stored_folders(runtime.settings()), runtime.now())
    context.log.info("%s", ", ".join(f"{part}: {size:,} bytes" for part, size in sorted(sizes.items())))


def stored_folders(settings: Settings) -> dict[str, Path]:
    """Where files are kept, by part."""
    return {"files": settings.home / "blobs", "reports": settings.reports_dir}


def measure_job() -> dg.JobDefinition:
    """The job that measures storage."""

    @dg.job(name=MEASURE_JOB, description="Measures what is stored; once a day is enough.")
    def job() -> None:
        measure_stored()

    return job


def platform_sensor(
    graph: CompiledGraph, job: dg.JobDefinition, connect: Connect | None = None
) -> dg.SensorDefinition:
    """Records runs that have ended and what was due, and asks for the day's measurement of storage."""
    opened = connect or connector_to("writer")

    @dg.sensor(
        name="platform_facts",
        job=job,
        minimum_interval_seconds=LOOK_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes facts of ended runs into the warehouse; once a day, asks for a measurement of storage.",
    )
    def look(context: dg.SensorEvaluationContext) -> Any:
        now = Runtime().now()
        with opened() as conn:
            done = record(context.instance, conn, graph, now)
            measured = measured_on(conn, now.date())
        if not measured:
            return dg.RunRequest(run_key=f"storage-{now:%Y%m%d}")
        return dg.SkipReason(f"{done} runs recorded")

    return look


def platform_assets(
    manifest: DbtManifest, graph: CompiledGraph, docs_url: str, contracts: Sequence[DataContract] = ()
) -> dg.AssetsDefinition:
    """Every model, test and contract about the platform itself, as one step; `contracts` are all there are."""
    models = models_in(manifest, "platform")
    keys = {unique_id: dg.AssetKey(model.key) for unique_id, model in manifest.models.items()}
    tests = {u: test for u, test in manifest.tests.items() if test.model in models}
    own = platform_contracts(contracts, manifest)
    promised = contract_keys(own, manifest)
    digest = platform_digest(manifest, contracts)

    @dg.multi_asset(
        name="dbt_platform",
        specs=[model_spec(model, manifest, docs_url) for model in models.values()],
        check_specs=[
            *(check_spec(test, keys) for test in tests.values()),
            *(contract_spec(contract, promised[contract.name]) for contract in own),
        ],
    )
    def dbt_platform(context: dg.AssetExecutionContext, runtime: Runtime) -> Iterator[Any]:
        with runtime.connect("writer") as conn:
            record(context.instance, conn, graph, runtime.now())
            hold_models(conn)
            facts = facts_position(conn)
            anew = models_of(conn, REFRESH_JOB) not in {None, manifest.digest}
            conn.commit()
            found, url = locations(runtime.settings()), runtime.database_url()
            results = refresh(conn, found, url, manifest, "platform", anew=anew, log=context.log.info)
            failed = sorted(manifest.node_name(r.unique_id) for r in results if not r.ok)
            stale = {keys[r.unique_id] for r in results if not r.ok and r.unique_id in models}
            try:
                outcomes = hold(
                    runtime.connect,
                    [contract for contract in own if promised[contract.name] not in stale],
                    batch=facts[-1],
                    now=runtime.now(),
                    run_id=context.run.run_id,
                    manifest=manifest,
                )
            except psycopg.Error as error:
                outcomes = []
                failed.append(f"the check of data contracts ({' '.join(str(error).split())})")
            if not failed:
                move_cursor(conn, REFRESH_JOB, {"facts": facts, "models": digest, "made_by": manifest.digest})
            conn.commit()
        for result in (r for r in results if r.unique_id in models and r.ok):
            yield dg.MaterializeResult(
                asset_key=keys[result.unique_id], metadata=model_metadata(result, facts[-1])
            )
        for result in (r for r in results if r.unique_id in tests):
            test = tests[result.unique_id]
            yield check_result(test, keys[test.model], result)
        for outcome in outcomes:
            contract = outcome.contract
            yield contract_result(outcome, check_of(contract, promised[contract.name], CONTRACT))
        if failed:
            raise dg.Failure(description=f"dbt failed on {', '.join(failed)}.", allow_retries=False)

    return dbt_platform


def platform_digest(manifest: DbtManifest, contracts: Sequence[DataContract]) -> str:
    """Digest of all that a refresh of the platform's models makes and holds to."""
    return marts_digest(manifest, platform_contracts(contracts, manifest))


def refresh_platform_job(dbt: dg.AssetsDefinition) -> Job:
    """The refresh of the models about the platform; never beside that of the marts."""
    return dg.define_asset_job(
        REFRESH_JOB,
        selection=made_by(dbt),
        description="Builds and tests the models about the platform itself.",
        tags=run_tags.refresh_tags(),
        executor_def=dg.in_process_executor,
    )


def hourly_platform_refresh(
    refresh: Job, models: str, connect: Connect | None = None
) -> dg.ScheduleDefinition:
    """A refresh of the platform's models every hour, unless nothing has happened since the last one."""
    connect = connect or connector_to("writer")

    @dg.schedule(
        name="refresh_platform_hourly",
        job=refresh,
        cron_schedule=HOURLY,
        execution_timezone="UTC",
        description="Refreshes the models about the platform when there are facts that they do not have.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        with connect() as conn:
            closed = structural_problem(conn)
            done: Any = get_cursor(conn, REFRESH_JOB)
            current = {"facts": facts_position(conn), "models": models}
        if closed:
            return dg.SkipReason(f"its models stand on others: {closed}")
        if done == current:
            return dg.SkipReason("the models have all facts")
        return dg.RunRequest(
            run_key=f"platform-{context.scheduled_execution_time:%Y%m%dT%H}", tags=run_tags.refresh_tags()
        )

    return hourly


def facts_position(conn: psycopg.Connection[Any]) -> list[Any]:
    """How far the facts about the platform reach; the last batch stands at the end.

    Its own refreshes are left out, and the suites that follow them: each would be a reason for the next one.
    """
    row = conn.execute(_POSITION, ([REFRESH_JOB, QUALITY_JOB],)).fetchone()
    return list(row) if row else []


_POSITION: Final = """
select
    (select coalesce(max(number), 0) from batuta.pipeline_runs where job <> all(%s)),
    (select count(*) from batuta.due_publications),
    (select coalesce(sum(polls + deliveries), 0)::bigint from batuta.connector_hours),
    (select coalesce(max(measured_at)::text, '') from batuta.storage_days),
    (select coalesce(max(finished_at)::text, '') from batuta.skill_runs),
    (select coalesce(max(applied_at)::text, '') from batuta.objectives),
    (select coalesce(max(batch), 0) from batuta.batches)
"""
