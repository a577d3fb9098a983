"""With a real daemon: a clock makes a pipeline run, and a run whose process was killed is found and ended."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from batuta.settings import get_settings
from batuta_assets.launcher import worker_of
from batuta_assets.workers import pulse
from tests.support import database as databases
from tests.support.daemon import Running, running, wait_for
from tests.support.score import company, pipeline, product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# A machine that runs all tests at once is slow, which no test is about.
PATIENCE_S = 400

GRAPH = company(
    [product("arcsat")],
    [pipeline("arcsat-review", ["arcsat"], crons=["* * * * *"], events=["com.shopify.orders.created"])],
)


@pytest.fixture(scope="module")
def stack(
    database_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    with databases.database(database_server, template_database) as url:
        settings = get_settings().model_copy(
            update={
                "home": home,
                "reports_dir": home / "reports",
                "outbox_dir": home / "outbox",
                "database_url": url,
            }
        )
        with running(settings, url, GRAPH) as found:
            yield found


def working(stack: Running) -> dg.DagsterRun | None:
    """A refresh whose process is at work."""
    return next(
        (r for r in stack.runs("refresh_marts") if r.status == dg.DagsterRunStatus.STARTED and worker_of(r)),
        None,
    )


def test_a_run_whose_process_is_killed_is_found_ended_and_tried_again(stack: Running) -> None:
    run = wait_for("the first refresh", lambda: working(stack), PATIENCE_S)
    worker = worker_of(run)
    assert worker is not None
    assert pulse(worker) == "alive"

    os.kill(worker.pid, signal.SIGKILL)

    def ended() -> dg.DagsterRun | None:
        latest = stack.instance.get_run_by_id(run.run_id)
        return latest if latest is not None and latest.is_finished else None

    assert wait_for("the end of the dead run", ended, PATIENCE_S).status == dg.DagsterRunStatus.FAILURE

    def retried() -> dg.DagsterRun | None:
        return next((r for r in stack.runs("refresh_marts") if r.parent_run_id == run.run_id), None)

    assert wait_for("its retry", retried, PATIENCE_S)


def test_every_minute_the_marts_are_refreshed_and_then_the_pipeline_runs_for_that_day(stack: Running) -> None:
    def finished() -> dg.DagsterRun | None:
        return next(
            (r for r in stack.runs("arcsat_review") if r.is_finished and "batuta/due_at" in r.tags), None
        )

    run = wait_for("a run of the pipeline", finished, PATIENCE_S)

    due_at = datetime.fromisoformat(run.tags["batuta/due_at"])
    assert (due_at.second, due_at.tzinfo) == (0, UTC)
    local = due_at.astimezone(ZoneInfo("America/Sao_Paulo"))
    assert run.tags["dagster/partition"] == f"{local.date()}|arcsat"
    refreshes = stack.runs("refresh_marts", due_at=run.tags["batuta/due_at"])
    assert [r.status for r in refreshes][:1] == [dg.DagsterRunStatus.SUCCESS]
    assert run.status == dg.DagsterRunStatus.SUCCESS
