"""Checks of Dagster: code location, daemons, sensors and schedules, runs whose process is gone.

While the webserver answers it is asked; otherwise Dagster's storage is, which knows what somebody stopped by hand.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from batuta.settings import Settings
from batuta_assets import sockets
from batuta_cli.checkup.finding import Finding, note, ok, problem
from batuta_cli.stack import dagster_home, probes, state
from batuta_cli.stack.services import addresses

INSTIGATORS_QUERY = """
query { repositoriesOrError { __typename ... on RepositoryConnection { nodes {
  sensors { name defaultStatus sensorState { status } }
  schedules { name defaultStatus scheduleState { status } } } } } }
"""


def services(settings: Settings) -> list[Finding]:
    """Everything that `batuta up` runs answers; nothing to say while it does not run."""
    running = state.read(settings.home)
    if running is None:
        return [note("services", "`batuta up` does not run")]
    if running.phase != "ready":
        return [note("services", f"`batuta up` is {running.phase}")]
    found: list[Finding] = []
    log_folder = settings.home / "logs"
    gateway = addresses(settings)["Gateway"]
    if not probes.http_ok(f"{gateway}/healthz"):
        found.append(problem("gateway", f"{gateway} does not answer", f"See {log_folder / 'gateway.log'}."))
    trouble = probes.code_problem(settings.dagster_port)
    if trouble is not None:
        found.append(problem("code location", trouble, f"See {log_folder / 'code.log'}."))
    sick = probes.sick_daemons(settings.dagster_port) or []
    found += [
        problem("daemon", f"{name} gives no sign of life", f"See {log_folder / 'daemon.log'}.")
        for name in sick
    ]
    if not probes.socket_answers(sockets.socket_path(settings.home, "launcher")):
        words = "the launcher does not answer: runs start seconds later than they could"
        found.append(problem("launcher", words, f"See {log_folder / 'launcher.log'}."))
    return found or [ok("services", "gateway, Dagster, launcher and data docs answer")]


def triggers(settings: Settings, url: str | None) -> list[Finding]:
    """No sensor or schedule that should run has been stopped."""
    data = probes.graphql(settings.dagster_port, INSTIGATORS_QUERY) if state.read(settings.home) else None
    if data is not None:
        stopped = list(stopped_triggers(data))
    elif url is not None:
        stopped = _stopped_in_storage(settings, url)
    else:
        return [note("triggers", "cannot be looked at while the database does not run")]
    mend = f"Start it in the Dagster UI ({addresses(settings)['Dagster']}/automation)."
    return [problem("triggers", f"{kind} {name} is stopped", mend) for kind, name in stopped] or [
        ok("triggers", "no sensor or schedule has been stopped")
    ]


def stopped_triggers(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Sensors and schedules, as Dagster's GraphQL lists them, that should run and do not."""
    for repository in data["repositoriesOrError"].get("nodes", []):
        for kind, state_field in (("sensor", "sensorState"), ("schedule", "scheduleState")):
            for entry in repository[f"{kind}s"]:
                if entry["defaultStatus"] == "RUNNING" and entry[state_field]["status"] == "STOPPED":
                    yield kind, entry["name"]


def dead_runs(settings: Settings, url: str | None) -> list[Finding]:
    """No run is shown as running whose process has died."""
    if url is None:
        return [note("runs", "cannot be looked at while the database does not run")]
    from dagster import RunsFilter

    from batuta_assets.launcher import worker_of
    from batuta_assets.reaper import UNFINISHED
    from batuta_assets.workers import pulse

    dead: list[str] = []
    with _instance(settings, url) as instance:
        if instance is None:
            return [note("runs", "Dagster's storage is not made yet; `batuta up` makes it")]
        for run in instance.get_runs(filters=RunsFilter(statuses=list(UNFINISHED))):
            worker = worker_of(run)
            if worker is not None and pulse(worker) == "dead":
                dead.append(f"{run.run_id[:8]} ({run.job_name})")
    mend = "`batuta up` finds and ends it within seconds."
    return [problem("runs", f"the process of run {run} has died", mend) for run in dead] or [
        ok("runs", "every unfinished run has its process")
    ]


def _stopped_in_storage(settings: Settings, url: str) -> list[tuple[str, str]]:
    from dagster._core.scheduler.instigation import InstigatorStatus

    with _instance(settings, url) as instance:
        if instance is None:
            return []
        return [
            (each.instigator_type.value.lower(), each.instigator_name)
            for each in instance.all_instigator_state()
            if each.status == InstigatorStatus.STOPPED
        ]


@contextmanager
def _instance(settings: Settings, url: str) -> Iterator[Any]:
    """Dagster's instance of this home; None before its storage has been made."""
    import psycopg
    from dagster import DagsterInstance

    if not (settings.home / "dagster" / "dagster.yaml").is_file():
        yield None
        return
    environment = dagster_home.environment(settings, url)
    try:
        with psycopg.connect(environment["BATUTA_DAGSTER_PG_URL"]) as connection:
            made = connection.execute("select to_regclass('runs')").fetchone()
    except psycopg.OperationalError:
        made = None
    if made is None or made[0] is None:
        yield None
        return
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        with DagsterInstance.from_config(str(settings.home / "dagster")) as instance:
            yield instance
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
