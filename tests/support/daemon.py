"""A code server and a Dagster daemon as `batuta up` starts them, for a company and a database of a test's own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import dagster as dg

from batuta.keys import bind_keys, create_keys
from batuta.manifests.bundle import write_bundle
from batuta.manifests.graph import CompiledGraph
from batuta.settings import Settings
from batuta.warehouse.connection import connect, dagster_url, database_name
from batuta.warehouse.migrate import ensure_database_exists
from batuta_cli.stack import dagster_home
from tests.support.dbt import PROJECT, manifest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Running:
    """The daemon's installation."""

    settings: Settings
    url: str
    instance: dg.DagsterInstance
    daemon: "subprocess.Popen[bytes]"

    def runs(self, job: str, **tags: str) -> list[dg.DagsterRun]:
        """The runs of a job, newest first; underscores in tag names stand for `batuta/`."""
        wanted = {f"batuta/{name}": value for name, value in tags.items()}
        return list(self.instance.get_runs(dg.RunsFilter(job_name=job, tags=wanted)))


def wait_for(what: str, look: Callable[[], T | None], seconds: float) -> T:
    """What `look` gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come within {seconds:.0f} s")


@contextmanager
def running(settings: Settings, url: str, graph: CompiledGraph) -> Iterator[Running]:
    """Set up a home for a company and run code server and daemon over it."""
    home = settings.home
    prepare(settings, url, graph)
    environment = {**os.environ, **dagster_home.environment(settings, url), "PYTHONPATH": str(PROJECT)}
    os.environ["BATUTA_DAGSTER_PG_URL"] = dagster_url(url)
    python = (sys.executable, "-m")
    socket = str(dagster_home.socket_path(home))
    workspace = str(dagster_home.workspace_path(home))
    commands = (
        (
            *python,
            "dagster",
            "api",
            "grpc",
            "--socket",
            socket,
            "-m",
            dagster_home.MODULE,
            "--location-name",
            "batuta",
        ),
        (*python, "dagster._daemon", "run", "-w", workspace, "--log-level", "warning"),
    )
    children: list[subprocess.Popen[bytes]] = []
    with (
        (home / "log.txt").open("wb") as log,
        dg.DagsterInstance.from_config(str(home / "dagster")) as instance,
    ):
        try:
            for command in commands:
                child = subprocess.Popen(
                    command, env=environment, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True
                )
                children.append(child)
                wait_for("the code server", lambda: Path(socket).exists(), 60)
            yield Running(settings, url, instance, children[1])
        finally:
            _stop(children, instance)


def prepare(settings: Settings, url: str, graph: CompiledGraph) -> None:
    """Keys, Dagster's home, dbt's manifest, the company's bundle and its products."""
    home = settings.home
    (home / "run").mkdir(parents=True, exist_ok=True)
    dagster_home.prepare(settings)
    ensure_database_exists(url, database_name(dagster_url(url)))
    known = manifest().path
    (home / "dbt").mkdir(exist_ok=True)
    for path in (known, known.with_name("manifest.stamp")):
        (home / "dbt" / path.name).write_bytes(path.read_bytes())
    write_bundle(home, graph)
    with connect(url, "owner") as conn:
        bind_keys(conn, create_keys(home))
        for product in graph.products:
            conn.execute(
                "insert into batuta.products values (%s, %s, %s, %s, now())",
                (product.name, product.currency, product.timezone, product.locale),
            )


def _stop(children: list["subprocess.Popen[bytes]"], instance: dg.DagsterInstance) -> None:
    for child in reversed(children):
        child.send_signal(signal.SIGTERM)
    for child in children:
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        instance.run_launcher.terminate(run.run_id)
