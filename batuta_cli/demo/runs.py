"""The demo's Dagster runs: in this process, recorded in the installation's own instance like any other run."""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial

import dagster as dg
import psutil
import psycopg

from batuta.manifests.graph import CompiledGraph
from batuta.quality.reading import enforced, in_force
from batuta.settings import Settings
from batuta.warehouse.connection import DatabaseUnreachable, connect
from batuta_agents.catalog import catalog
from batuta_assets.compat import BetaWarning
from batuta_assets.dbt_manifest import read_manifest
from batuta_assets.gates import is_refreshed, raise_horizons, structural_problem
from batuta_assets.graph import Score, definitions
from batuta_assets.locations import locations
from batuta_assets.partitions import partition_key, products
from batuta_assets.platform import MEASURE_JOB
from batuta_assets.platform import REFRESH_JOB as PLATFORM_JOB
from batuta_assets.predictions import JOB as PREDICTION_JOB
from batuta_assets.predictions import due_on_days, prediction_tags
from batuta_assets.reaper import reap_dead_runs
from batuta_assets.workers import own_tags
from batuta_cli.demo.company import DemoFailed, Progress
from batuta_cli.main import show_error
from sensors import run_tags
from sensors.jobs import job_names, pipeline_jobs

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The run's log is kept in Dagster; standard error is for the demo's steps."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The code location and the instance its runs are recorded in."""

    defs: dg.Definitions
    instance: dg.DagsterInstance
    models: str
    url: str
    job_of: Mapping[str, str]
    """The job of each pipeline."""


@contextmanager
def stage(settings: Settings, graph: CompiledGraph, url: str, progress: Progress) -> Iterator[Stage]:
    """Load the code location, open the instance, and end runs that died with an earlier demo or daemon."""
    # Dagster warns of how its own code makes sensors.
    warnings.simplefilter("ignore", BetaWarning)
    manifest = read_manifest(locations(settings).manifest)
    score = Score(
        graph,
        manifest,
        catalog(),
        settings.docs_address,
        data_contracts=enforced(in_force(settings.project, settings.home)),
    )
    with dg.DagsterInstance.from_config(str(settings.home / "dagster")) as instance:
        for reaped in reap_dead_runs(instance):
            progress(f"ended {reaped}")
        instance.add_dynamic_partitions(str(products.name), [p.name for p in graph.products])
        with _ended_with_database(url):
            yield Stage(definitions(score), instance, score.models, url, job_names(pipeline_jobs(graph)))


@contextmanager
def _ended_with_database(url: str) -> Iterator[None]:
    """End this process as soon as the database is gone.

    Dagster would try again for each of hundreds of messages, which takes half an hour. To end here is as safe as
    being killed here: the next demo ends the run and goes on.
    """
    finished = threading.Event()

    def watch() -> None:
        try:
            with connect(url, "reader", autocommit=True, application="batuta demo: watch") as conn:
                while not finished.wait(1.0):
                    conn.execute("select 1")
        except (psycopg.Error, DatabaseUnreachable):
            if not finished.is_set():
                show_error(
                    DemoFailed("the database ended", hint="Call the demo again: it goes on."), sys.argv[1:]
                )
                for child in psutil.Process().children(recursive=True):
                    child.kill()
                os._exit(DemoFailed.exit_code)

    # Of each of these attempts Dagster also warns on standard error.
    logging.getLogger().addHandler(logging.NullHandler())
    watcher = threading.Thread(target=watch, name="database watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()


def refresh(found: Stage, horizons: Mapping[str, date], progress: Progress) -> str | None:
    """Refresh the marts, unless they hold all that has landed; the run's id, if there was one."""
    with connect(found.url, "writer") as conn:
        moved = raise_horizons(conn, horizons)
        conn.commit()
        current = is_refreshed(conn, found.models) and structural_problem(conn) is None
    if current and not moved:
        progress("the marts hold all that has landed")
        return None
    progress("refreshing the marts")
    return _execute(found, run_tags.REFRESH_JOB, run_tags.refresh_tags(), None)


def predict(found: Stage, settings: Settings, names: Sequence[str], progress: Progress) -> list[str]:
    """Predict the LTV of the products whose purchases changed, as after any refresh; the runs' ids."""
    due = due_on_days(partial(connect, found.url), names, settings.ltv_horizon_days)
    made: list[str] = []
    for one in due:
        progress(f"predicting the lifetime value of {one.product}'s customers")
        key = partition_key(one.product, one.as_of)
        made.append(_execute(found, PREDICTION_JOB, prediction_tags(one.product), key))
    return made


def review(found: Stage, pipeline: str, product: str, day: date, progress: Progress) -> str:
    """Run a pipeline for a product and a day; the run's id."""
    progress(f"running {pipeline}")
    tags = run_tags.pipeline_tags(pipeline, product)
    return _execute(found, found.job_of[pipeline], tags, partition_key(product, day))


def look_at_platform(found: Stage, progress: Progress) -> str:
    """Measure what is stored, record the runs there have been, and build the platform's KPIs; the last run's id."""
    progress("looking at the platform itself")
    _execute(found, MEASURE_JOB, {}, None)
    return _execute(found, PLATFORM_JOB, run_tags.refresh_tags(), None)


def _execute(found: Stage, job: str, tags: Mapping[str, str], key: dg.MultiPartitionKey | None) -> str:
    outcome = found.defs.resolve_job_def(job).execute_in_process(
        instance=found.instance,
        tags={**tags, **own_tags()},
        run_config=QUIET,
        partition_key=key,
        raise_on_error=False,
    )
    if not outcome.success:
        reasons = [*map(_check, _failed_checks(outcome)), *map(_reason, _failed_steps(outcome))]
        raise DemoFailed(
            f"the run {outcome.run_id} of {job} failed:\n" + "\n".join(dict.fromkeys(reasons)),
            hint="Look at it in the Dagster UI: `batuta up`.",
        )
    return outcome.run_id


def _failed_checks(outcome: dg.ExecuteInProcessResult) -> list[dg.AssetCheckEvaluation]:
    found = outcome.get_asset_check_evaluations()
    return [check for check in found if not check.passed and check.blocking]


def _check(check: dg.AssetCheckEvaluation) -> str:
    return f"  {check.asset_key.to_user_string()} {check.check_name}: {check.description}"


def _failed_steps(outcome: dg.ExecuteInProcessResult) -> list[dg.DagsterEvent]:
    """The steps that failed for another reason than a check."""
    failed = [event for event in outcome.all_events if event.is_step_failure]
    return [event for event in failed if "AssetCheckFailed" not in str(event.step_failure_data.error)]


def _reason(event: dg.DagsterEvent) -> str:
    failure = event.step_failure_data
    said = failure.user_failure_data.description if failure.user_failure_data else None
    error = failure.error.message.strip() if failure.error else ""
    return f"  {event.step_key}: {said or error}"
