"""Jobs and schedules: one job for all pipelines that make the same assets, one for the marts, one schedule per
(cron, zone).

A schedule never runs a pipeline itself. It asks for one refresh of the marts, shared by all that is due at
that instant; when it has succeeded, the sensor `due_pipelines` launches them.
"""

from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import dagster as dg

from batuta.landing.reader import last_batch
from batuta.manifests.graph import CompiledGraph, CompiledPipeline
from batuta_assets.dbt import made_by
from batuta_assets.gates import is_refreshed
from batuta_assets.partitions import product_and_day, product_days
from batuta_assets.runtime import connector_to
from sensors import run_tags
from sensors.due import Clock, clocks
from sensors.factory import Connect
from sensors.jobs import PipelineJob, shortened

Job: TypeAlias = Any
HOURLY: Final = "50 * * * *"
"""Off the hour, where the schedules of people are."""


def pipeline_job(job: PipelineJob) -> Job:
    """The assets of pipelines, as a job; a run of it is one product's day, also when it is launched by hand."""

    def tags(partition: str) -> dict[str, str]:
        product, _ = product_and_day(partition)
        pipeline = job.by_product.get(product)
        return {} if pipeline is None else run_tags.pipeline_tags(pipeline, product)

    lone = job.pipelines[0] if len(job.pipelines) == 1 else None
    return dg.define_asset_job(
        job.name,
        selection=dg.AssetSelection.assets(*(dg.AssetKey(key) for key in sorted(job.selection))),
        description=described(job),
        config=dg.PartitionedConfig(
            product_days, run_config_for_partition_key_fn=lambda _: {}, tags_for_partition_key_fn=tags
        ),
        tags={} if lone is None else {run_tags.PIPELINE: lone.name},
        executor_def=dg.in_process_executor,
    )


def described(job: PipelineJob) -> str:
    """What a job is for, and which pipelines it runs."""
    if len(job.pipelines) == 1:
        (lone,) = job.pipelines
        return lone.description or f"The pipeline {lone.name}, for a product and a day."
    served = shortened(sorted(pipeline.name for pipeline in job.pipelines))
    return f"{job.pipelines[0].description}\n\nChoose the product by its partition. Pipelines: {served}.".lstrip()


def refresh_job(dbt: dg.AssetsDefinition) -> Job:
    """The one refresh of all dbt models and tests."""
    return dg.define_asset_job(
        run_tags.REFRESH_JOB,
        selection=made_by(dbt),
        description="Builds and tests every dbt model, incrementally.",
        tags=run_tags.refresh_tags(),
        executor_def=dg.in_process_executor,
    )


def due_schedules(graph: CompiledGraph, refresh: Job) -> list[dg.ScheduleDefinition]:
    """One schedule per clock of the company."""
    return [_due_schedule(clock, graph, refresh) for clock in clocks(graph)]


def _due_schedule(clock: Clock, graph: CompiledGraph, refresh: Job) -> dg.ScheduleDefinition:
    served = sorted(
        {
            p.name
            for p in graph.pipelines
            for s in p.schedules
            if s.cron == clock.cron and _in_zone(p, graph, clock)
        }
    )

    @dg.schedule(
        name=clock.name,
        job=refresh,
        cron_schedule=clock.cron,
        execution_timezone=clock.timezone,
        description=f"At `{clock.cron}` in {clock.timezone}: refreshes the marts, then {shortened(served)}.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return refresh_for(context.instance, context.scheduled_execution_time)

    return due


def refresh_for(instance: dg.DagsterInstance, scheduled: datetime) -> dg.RunRequest | dg.SkipReason:
    """Ask for the refresh of a scheduled time, unless another schedule of the same instant has."""
    due_at = scheduled.astimezone(UTC).isoformat()
    wanted = {run_tags.DUE_AT: due_at, **run_tags.refresh_tags()}
    if instance.get_runs(filters=dg.RunsFilter(tags=wanted), limit=1):
        return dg.SkipReason(f"the refresh for {due_at} is already asked for")
    return dg.RunRequest(run_key=due_at, tags=wanted)


def hourly_refresh(refresh: Job, models: str, connect: Connect | None = None) -> dg.ScheduleDefinition:
    """A refresh every hour, unless nothing has landed since the last one."""
    connect = connect or connector_to("reader")

    @dg.schedule(
        name="refresh_marts_hourly",
        job=refresh,
        cron_schedule=HOURLY,
        execution_timezone="UTC",
        description="Refreshes the marts when something has landed since the last refresh.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        with connect() as conn:
            done, end = is_refreshed(conn, models), last_batch(conn)
        if done:
            return dg.SkipReason(f"the marts hold all that has landed, up to batch {end}")
        return dg.RunRequest(
            run_key=f"hourly-{end}-{context.scheduled_execution_time:%Y%m%dT%H}", tags=run_tags.refresh_tags()
        )

    return hourly


def _in_zone(pipeline: CompiledPipeline, graph: CompiledGraph, clock: Clock) -> bool:
    products = (graph.product(name) for name in pipeline.products)
    return any(product is not None and product.timezone == clock.timezone for product in products)
