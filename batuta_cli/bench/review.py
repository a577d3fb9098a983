"""`batuta bench review`: the refresh of the marts and the daily review of a new day, beside `dbt build` as a process.

Ours are the runs of a `batuta up`: `refresh_marts`, then `arcsat-daily-review` for the day, asked for over Dagster's
own interface, launched as in production (the service `launcher` forks the run's process). Each is counted from the
moment its process is asked for to the end of its last step; the time between the two runs, a sensor's, is not in it.
The peer is the command `dbt build` of the same models and tests on the same database. Each side gets a new day of the
same size, and they take turns in going first. A day's orders come as updates, which start no pipeline of their own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import psycopg
from psycopg import sql

from batuta.settings import Settings
from batuta.warehouse.connection import dagster_url, database_name, dbt_environment, with_database
from batuta.warehouse.database import ensure_database
from batuta_assets.dbt_run import DATA_NODES
from batuta_cli.bench.days import Shop, day_of
from batuta_cli.bench.installation import BenchFailed, Say, land
from batuta_cli.bench.scratch import free_port, scratch_database
from batuta_cli.demo.company import AS_OF
from batuta_cli.stack.dagster_home import LOCATION
from sensors import run_tags

RUNS: Final = 5
SHOP: Final = Shop("arcsat", "arcsat-demo.myshopify.com")
PIPELINE: Final = "arcsat-daily-review"
ORDERS_PER_DAY: Final = 70
OF_PEER: Final = 1.5
PATIENCE_S: Final = 300.0
_LAUNCH: Final = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""


@dataclass(slots=True)
class _Taken:
    """Seconds of each round."""

    refresh: list[float] = field(default_factory=list)
    review: list[float] = field(default_factory=list)
    dbt: list[float] = field(default_factory=list)

    @property
    def ours(self) -> list[float]:
        """Both runs of each round together."""
        return [a + b for a, b in zip(self.refresh, self.review, strict=True)]


@dataclass(frozen=True, slots=True)
class _Stack:
    """A running `batuta up` with the example company."""

    settings: Settings
    url: str
    environment: Mapping[str, str]


def run(
    settings: Settings, say: Say, *, scale: str = "demo", runs: int = RUNS, warm_up: bool = True
) -> dict[str, Any]:
    """Measure; the document that the bench prints as its last line.

    Args:
        settings: Where the warehouse's server is.
        say: Shows progress.
        scale: Scale of the example company that is the history.
        runs: Rounds; in each, both are measured.
        warm_up: Begin with a round that does not count.
    """
    server = ensure_database(settings, say)
    taken = _Taken()
    days = (AS_OF + timedelta(days=n) for n in range(1, 10_000))
    with (
        TemporaryDirectory(prefix="batuta-bench-") as folder,
        _stack(settings, server, Path(folder), scale, say) as stack,
    ):
        for number in range(0 if warm_up else 1, runs + 1):
            found = taken if number else _Taken()
            for side in (_ours, _dbt) if number % 2 else (_dbt, _ours):
                side(stack, next(days), found)
            if number:
                say(f"round {number}: ours {taken.ours[-1]:.2f} s, dbt build {taken.dbt[-1]:.2f} s")
    value, plain = statistics.median(taken.ours), statistics.median(taken.dbt)
    return {
        "bench": "review",
        "value": round(value, 3),
        "unit": "s",
        "peers": {"dbt_build": round(plain, 3)},
        "ratios": {"dbt_build": round(value / plain, 3)},
        "runs": runs,
        "spread": [round(min(taken.ours), 3), round(max(taken.ours), 3)],
        "budget": f"<= {OF_PEER:g} x dbt build as a process",
        "meets": value <= OF_PEER * plain,
        "peer_spread": [round(min(taken.dbt), 3), round(max(taken.dbt), 3)],
        "runs_s": {
            "refresh_marts": round(statistics.median(taken.refresh), 3),
            PIPELINE: round(statistics.median(taken.review), 3),
        },
        "launched": "forked by the warm process of `batuta up`",
    }


def _ours(stack: _Stack, day: date, taken: _Taken) -> None:
    _new_day(stack, day)
    taken.refresh.append(_run(stack, run_tags.REFRESH_JOB, run_tags.refresh_tags()))
    tags = run_tags.pipeline_tags(PIPELINE, SHOP.product) | {
        "dagster/partition": f"{day.isoformat()}|{SHOP.product}",
        "dagster/partition/day": day.isoformat(),
        "dagster/partition/product": SHOP.product,
    }
    taken.review.append(_run(stack, run_tags.job_name(PIPELINE), tags))


def _dbt(stack: _Stack, day: date, taken: _Taken) -> None:
    _new_day(stack, day)
    project, target = stack.settings.project / "dbt_project", stack.settings.home / "peer"
    command = [
        str(Path(sys.executable).with_name("dbt")), "--quiet", "build", *DATA_NODES,
        "--project-dir", str(project), "--profiles-dir", str(project),
        "--target-path", str(target), "--log-path", str(target),
    ]  # fmt: skip
    begun = time.perf_counter()
    done = subprocess.run(
        command, env=dict(stack.environment), cwd=project, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise BenchFailed(f"dbt build failed: {(done.stdout + done.stderr).strip()[-800:]}")
    taken.dbt.append(seconds)


def _new_day(stack: _Stack, day: date) -> None:
    land(stack.settings, stack.url, day_of(SHOP, day, ORDERS_PER_DAY, topic="orders/updated"))


def _run(stack: _Stack, job: str, tags: Mapping[str, str]) -> float:
    """Launch a run and wait for it; seconds from the call for its process to the end of its last step."""
    run_id = _launch(stack, job, tags)
    with psycopg.connect(dagster_url(stack.url), autocommit=True) as events:
        _wait(lambda: _ended(events, run_id, job), f"the end of {job}")
        row = events.execute(
            """
            select
                extract(epoch from max(timestamp) filter (where dagster_event_type = 'STEP_SUCCESS'))
                - extract(epoch from min(timestamp) filter (where dagster_event_type = 'PIPELINE_STARTING'))
            from event_logs where run_id = %s
            """,
            (run_id,),
        ).fetchone()
    if row is None or row[0] is None:
        raise BenchFailed(f"the run {run_id} of {job} left no steps")
    return float(row[0])


def _ended(events: psycopg.Connection[Any], run_id: str, job: str) -> bool | None:
    row = events.execute("select status from runs where run_id = %s", (run_id,)).fetchone()
    status = row[0] if row else None
    if status in {"FAILURE", "CANCELED"}:
        raise BenchFailed(f"the run {run_id} of {job} failed")
    return True if status == "SUCCESS" else None


def _launch(stack: _Stack, job: str, tags: Mapping[str, str]) -> str:
    selector = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__", "jobName": job}
    params = {
        "selector": selector,
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
    }
    answer = httpx.post(
        f"http://127.0.0.1:{stack.settings.dagster_port}/graphql",
        json={"query": _LAUNCH, "variables": {"params": params}},
        timeout=60,
        trust_env=False,
    ).json()
    launched = (answer.get("data") or {}).get("launchRun") or {}
    if launched.get("__typename") != "LaunchRunSuccess":
        raise BenchFailed(f"Dagster did not launch {job}: {launched or answer.get('errors')}")
    return str(launched["run"]["runId"])


def _wait(look: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while look() is None:
        if time.monotonic() > deadline:
            raise BenchFailed(f"{what} did not come within {PATIENCE_S:.0f} s")
        time.sleep(0.05)


@contextmanager
def _stack(settings: Settings, server: str, folder: Path, scale: str, say: Say) -> Iterator[_Stack]:
    with scratch_database(server) as url:
        own = Settings(
            project=settings.project,
            home=folder / "home",
            cache=settings.cache,
            database_url=url,
            gateway_port=free_port(),
            dagster_port=free_port(),
            docs_port=free_port(),
        )
        environment = {
            **os.environ,
            **dbt_environment(url),
            "BATUTA_PROJECT": str(own.project),
            "BATUTA_HOME": str(own.home),
            "BATUTA_DATABASE_URL": url,
            "BATUTA_GATEWAY_PORT": str(own.gateway_port),
            "BATUTA_DAGSTER_PORT": str(own.dagster_port),
            "BATUTA_DOCS_PORT": str(own.docs_port),
        }
        try:
            _batuta(environment, "demo", "--scale", scale, "--json", say=say)
            _batuta(environment, "up", "--detach", "--json", say=say)
            try:
                yield _Stack(own, url, environment)
            finally:
                _batuta(environment, "down", say=say)
        finally:
            with psycopg.connect(with_database(url, "postgres"), autocommit=True) as conn:
                name = database_name(dagster_url(url))
                conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _batuta(environment: Mapping[str, str], *arguments: str, say: Say) -> None:
    say(f"batuta {' '.join(arguments)}")
    command = [sys.executable, "-m", "batuta_cli.main", *arguments]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(f"batuta {arguments[0]} failed: {done.stderr.strip()[-800:]}")
