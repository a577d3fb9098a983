"""The log lets go of what its policies no longer keep: a daily job, in the lane of the marts' refresh."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from batuta.manifests.graph import CompiledGraph
from batuta.retention.letting_go import carry_out
from batuta.retention.steps import Step, periods_of, readers_of
from batuta_assets.gates import hold_models
from batuta_assets.runtime import Runtime
from sensors.run_tags import refresh_tags

JOB: Final = "retention"
DAILY: Final = "20 3 * * *"
"""Off the hour, and not at the hour of the reviews."""


def retention_job(graph: CompiledGraph) -> dg.JobDefinition:
    """The job, one run at a time and never beside a refresh of the marts."""

    @dg.op(
        name="let_go",
        description="Moves the newest words on entities out of old chunks and drops the chunks.",
        out=dg.Out(dg.Nothing),
    )
    def let_go(context: dg.OpExecutionContext, runtime: Runtime) -> None:
        from batuta.blob_store import open_blobs
        from batuta.keys import keys_for

        # Brings numpy with it, which takes long to import.
        from batuta_agents.retrieval.embed import CONSUMER

        settings = runtime.settings()
        with runtime.connect("owner") as lock, runtime.connect("owner") as conn:
            hold_models(lock)
            store = open_blobs(settings, keys_for(conn, settings.home))
            conn.commit()
            steps = carry_out(
                conn,
                periods_of(graph),
                readers_of(graph, CONSUMER),
                settings.quarantine_days,
                runtime.now,
                store,
                lambda step: context.log.info("%s", sentence(step)),
            )
        context.add_output_metadata(totals(steps))

    @dg.job(
        name=JOB,
        tags=refresh_tags(),
        description="Lets go of events older than the products' policies say, and of old quarantine.",
    )
    def job() -> None:
        let_go()

    return job


def daily_retention(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Every night."""
    return dg.ScheduleDefinition(
        name="retention_daily",
        job=job,
        cron_schedule=DAILY,
        execution_timezone="UTC",
        description="Lets go of what the policies no longer keep.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def sentence(step: Step) -> str:
    """A step in words, for logs."""
    where = step.place
    if step.chunk_from is not None and step.chunk_to is not None:
        where = f"{step.place} {step.chunk_from:%Y-%m-%d} to {step.chunk_to:%Y-%m-%d}"
    counts = f"{step.found} rows, {step.kept} kept, {step.removed} removed"
    waits = f"; waits for {step.waits_for}" if step.waits_for else ""
    return f"{step.product}: {where} ({step.policy}): {counts}{waits}"


def totals(steps: Sequence[Step]) -> dict[str, int]:
    """What a run came to, as metadata."""
    done = [step for step in steps if step.waits_for is None]
    return {
        "removed": sum(step.removed for step in done),
        "kept": sum(step.kept for step in done if step.place == "log"),
        "waiting": len(steps) - len(done),
    }
