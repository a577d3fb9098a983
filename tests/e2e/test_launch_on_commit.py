"""With a real daemon, listener and warm process: each event has one run, whoever is killed when.

The test holds a lock of the database to stop a process at the point where it is to be killed.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
import psutil
import psycopg
import pytest

from batuta.settings import get_settings
from batuta.warehouse.connection import connect, dagster_url
from batuta_assets.gates import record_structure
from batuta_assets.launcher import worker_of
from batuta_assets.sockets import socket_path
from batuta_assets.storage import SUBMITTING
from batuta_cli.stack import dagster_home, probes
from sensors import run_tags
from tests.support import database as databases
from tests.support.daemon import Running, running, wait_for
from tests.support.dbt import PROJECT
from tests.support.score import company, log_batch, pipeline, product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

CREATED = "com.shopify.orders.created"
GRAPH = company([product("arcsat")], [pipeline("arcsat-review", ["arcsat"], events=[CREATED])])
JOB = "arcsat_review"
PATIENCE_S = 90.0


@dataclass
class Installation:
    """A daemon, and the warm process with its listener."""

    stack: Running
    warm: "subprocess.Popen[bytes]"

    def listener(self) -> psutil.Process | None:
        """The warm process's first child: the only one in its session."""
        children = psutil.Process(self.warm.pid).children()
        return next((c for c in children if os.getsid(c.pid) == os.getsid(self.warm.pid)), None)

    def land(self) -> str:
        """Put one event into the log."""
        event = str(uuid.uuid4())
        with connect(self.stack.url, "owner") as conn:
            log_batch(conn, [("arcsat", CREATED, event)])
        return event

    def windows(self, event: str) -> list[tuple[str, str | None]]:
        """Digest and run of the windows that hold an event."""
        query = """
            select w.digest, w.run_id from batuta.trigger_events as e
            inner join batuta.trigger_windows as w using (digest) where e.id = %s
        """
        with connect(self.stack.url, "owner") as conn:
            return conn.execute(query, (event,)).fetchall()

    def runs_of(self, event: str) -> list[dg.DagsterRun]:
        """The runs whose window holds an event."""
        wanted = [{run_tags.TRIGGER: digest} for digest, _ in self.windows(event)]
        return [r for tags in wanted for r in self.stack.instance.get_runs(dg.RunsFilter(tags=tags))]

    def finished(self, event: str) -> dg.DagsterRun:
        """The one run of an event, when it has ended."""

        def look() -> dg.DagsterRun | None:
            return next((r for r in self.runs_of(event) if r.is_finished), None)

        return wait_for(f"the end of the run of {event}", look, PATIENCE_S)

    def starts(self, run: dg.DagsterRun) -> int:
        """How often a run was begun."""
        return len(self.stack.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_START))


@contextmanager
def warm_process(stack: Running) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {
        **os.environ,
        **dagster_home.environment(stack.settings, stack.url),
        "PYTHONPATH": str(PROJECT),
    }
    with (stack.settings.home / "warm.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "batuta_assets.warm"],
            env=environment,
            cwd=PROJECT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = socket_path(stack.settings.home, "launcher")
    try:
        wait_for("the warm process", lambda: probes.socket_answers(address), PATIENCE_S)
        yield process
    finally:
        kill_group(process)


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


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
        with connect(url, "owner") as conn:
            record_structure(conn, [], "run")
        with running(settings, url, GRAPH) as found:
            yield found


@pytest.fixture(scope="module")
def installation(stack: Running) -> Iterator[Installation]:
    with warm_process(stack) as process:
        found = Installation(stack, process)
        wait_for("the listener", found.listener, PATIENCE_S)
        yield found


@contextmanager
def held(url: str, statement: str) -> Iterator[None]:
    """A lock that the test holds."""
    with psycopg.connect(url) as conn:
        conn.execute(statement.encode())
        yield


def held_back(stack: Running, what: str) -> bool:
    """Whether a statement waits for a lock of the test."""
    query = """
        select 1 from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database() and query ilike %s
    """
    with psycopg.connect(dagster_url(stack.url)) as conn:
        return conn.execute(query, (f"%{what}%",)).fetchone() is not None


def assert_one_run(installation: Installation, event: str) -> dg.DagsterRun:
    run = installation.finished(event)
    assert [r.run_id for r in installation.runs_of(event)] == [run.run_id]
    assert installation.starts(run) == 1
    assert len(installation.windows(event)) == 1
    return run


def test_an_event_is_launched_by_the_listener_in_a_forked_worker(installation: Installation) -> None:
    run = assert_one_run(installation, installation.land())
    worker = worker_of(run)
    assert worker is not None
    assert run.tags["dagster/sensor_name"] == "event_triggers"
    log = installation.stack.settings.home / "dagster" / "runs" / f"{run.run_id}.log"
    assert log.is_file()


def test_a_listener_killed_between_creation_and_submission_leaves_a_run_that_is_launched(
    installation: Installation,
) -> None:
    with held(dagster_url(installation.stack.url), f"select pg_advisory_lock({SUBMITTING})"):
        event = installation.land()
        wait_for("the creation", lambda: installation.runs_of(event), PATIENCE_S)
        wait_for("the submission", lambda: held_back(installation.stack, "pg_advisory_lock"), PATIENCE_S)
        listener = installation.listener()
        assert listener is not None
        listener.kill()
    assert_one_run(installation, event)


def test_daemon_and_listener_that_ask_for_the_same_run_get_one(installation: Installation) -> None:
    with held(dagster_url(installation.stack.url), "lock table run_tags in exclusive mode"):
        event = installation.land()
        wait_for("the claim", lambda: installation.windows(event), PATIENCE_S)

        def both() -> bool:
            with psycopg.connect(dagster_url(installation.stack.url)) as conn:
                row: Any = conn.execute(
                    "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
                    "and datname = current_database()"
                ).fetchone()
                return row[0] >= 2

        wait_for("daemon and listener", both, PATIENCE_S)
    assert_one_run(installation, event)


def test_a_forked_worker_that_is_killed_is_found_and_its_run_tried_again(installation: Installation) -> None:
    with held(installation.stack.url, "lock table batuta.horizons in exclusive mode"):
        event = installation.land()

        def at_work() -> dg.DagsterRun | None:
            runs = installation.runs_of(event)
            return next((r for r in runs if r.status == dg.DagsterRunStatus.STARTED and worker_of(r)), None)

        run = wait_for("the run", at_work, PATIENCE_S)
        worker = worker_of(run)
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        assert installation.finished(event).status == dg.DagsterRunStatus.FAILURE

    def retried() -> dg.DagsterRun | None:
        runs = installation.runs_of(event)
        return next((r for r in runs if r.parent_run_id == run.run_id and r.is_finished), None)

    assert installation.starts(wait_for("the retry", retried, PATIENCE_S)) == 1


def test_what_comes_while_a_run_works_is_one_run_when_it_has_ended(installation: Installation) -> None:
    with held(installation.stack.url, "lock table batuta.horizons in exclusive mode"):
        first = installation.land()
        wait_for("the first run", lambda: installation.runs_of(first), PATIENCE_S)
        later = [installation.land(), installation.land()]
        assert installation.windows(later[0]) == []
    assert_one_run(installation, first)
    assert_one_run(installation, later[0])
    assert installation.windows(later[0]) == installation.windows(later[1])


def test_a_listener_killed_between_claim_and_creation_leaves_a_window_that_gets_its_run(
    installation: Installation,
) -> None:
    """The last test: it leaves no warm process, and the daemon does what the listener did."""
    with held(dagster_url(installation.stack.url), "lock table runs in exclusive mode"):
        event = installation.land()
        wait_for("the claim", lambda: installation.windows(event), PATIENCE_S)
        wait_for("the creation", lambda: held_back(installation.stack, "insert into runs"), PATIENCE_S)
        kill_group(installation.warm)
    assert_one_run(installation, event)
