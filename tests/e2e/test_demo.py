"""The demo as a process: killed at any step and called again, it ends with the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from batuta.warehouse.connection import dagster_url
from tests.support import database as databases
from tests.support.daemon import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PROJECT = Path(__file__).parents[2]
UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


class Demo:
    """`batuta demo` at small scale, in a home and a database of its own."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BATUTA_")},
            "BATUTA_PROJECT": str(PROJECT),
            "BATUTA_HOME": str(home),
            "BATUTA_DATABASE_URL": url,
            "BATUTA_DAGSTER_PORT": str(databases.free_port()),
            "PYTHONPATH": str(PROJECT),
        }

    def start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "batuta_cli.main", "demo", "--scale", "small", "--json"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=PROJECT,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> dict[str, Any]:
        process = self.start()
        out, err = process.communicate(timeout=400)
        assert process.returncode == 0, err[-2000:]
        return json.loads(out.splitlines()[-1])

    def kill_at(self, step: str, *, after_s: float = 0.0, working: bool = False) -> None:
        """Kill the demo with -9 at a line that names a step; `working` waits for a run to be under way."""
        process = self.start()
        assert process.stderr is not None
        for line in process.stderr:
            if step in line:
                break
        if working:
            wait_for(f"a run at {step}", lambda: self.runs(*UNFINISHED), 240)
        time.sleep(after_s)
        end(process)

    def runs(self, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        os.environ["BATUTA_DAGSTER_PG_URL"] = dagster_url(self.url)
        with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
            return list(instance.get_runs(dg.RunsFilter(statuses=list(statuses))))


def end(process: "subprocess.Popen[str]") -> None:
    """Kill a demo and what it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture
def demo(database_server: str, tmp_path: Path) -> Iterator[Demo]:
    with databases.database(database_server, None) as url:
        yield Demo(tmp_path / "home", url)


def test_a_demo_killed_at_any_step_ends_with_the_same_numbers_when_called_again(demo: Demo) -> None:
    demo.kill_at("making the vendors' deliveries", after_s=0.5)
    demo.kill_at("landing", after_s=0.3)
    demo.kill_at("refreshing the marts", working=True, after_s=3.0)
    demo.kill_at("running arcsat-daily-review", working=True, after_s=0.5)
    assert len(demo.runs(*UNFINISHED)) == 1

    result = demo.finish()
    again = demo.finish()

    assert demo.runs(*UNFINISHED) == []
    expected = json.loads((demo.home / "demo" / "small" / "manifest.json").read_bytes())["files"]
    with psycopg.connect(demo.url) as conn:
        (landed,) = conn.execute("select count(*) from batuta.events").fetchone() or (0,)
        (held,) = conn.execute("select count(*) from batuta.quarantine").fetchone() or (0,)
    assert landed == sum(file["landed"] for file in expected)
    assert held == sum(file["quarantined"] for file in expected)
    assert again["counts"]["landed"] == 0
    for product in ("arcsat", "lojablock"):
        assert again["products"][product]["kpis"] == result["products"][product]["kpis"]
        assert Path(again["products"][product]["report"]).is_file()
        assert result["products"][product]["kpis"]["LTV"] is not None


def test_two_demos_do_not_run_at_once(demo: Demo) -> None:
    first = demo.start()
    try:
        assert first.stderr is not None
        first.stderr.readline()
        second = demo.start()
        _, err = second.communicate(timeout=120)
        assert second.returncode == 1
        assert "another `batuta demo` is running" in err
    finally:
        end(first)
