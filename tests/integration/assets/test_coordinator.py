"""A run is launched at once where there is a place for it, queued where there is none, and submitted once."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest
import yaml

from batuta_assets import compat
from batuta_assets.storage import PooledRuns
from sensors import run_tags
from tests.support.dbt import PROJECT
from tests.support.shelf import ShelfLauncher

STARTING, QUEUED = dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.QUEUED


@pytest.fixture
def home(tmp_path: Path, dagster_storage_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home with the instance file that we ship, whose launcher launches nothing."""
    shipped = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())
    shipped["run_launcher"] = {"module": "tests.support.shelf", "class": "ShelfLauncher"}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(shipped))
    monkeypatch.setenv("BATUTA_DAGSTER_PG_URL", dagster_storage_url)
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as found:
        yield found


ORIGIN = compat.RemoteRepositoryOrigin(
    compat.GrpcServerCodeLocationOrigin(host="localhost", socket="nowhere", location_name="batuta"),
    "repository",
).get_job_origin("review")


def add(instance: dg.DagsterInstance, **more: Any) -> dg.DagsterRun:
    run = dg.DagsterRun(
        job_name="review", run_id=str(uuid.uuid4()), remote_job_origin=cast("Any", ORIGIN), **more
    )
    return instance.add_run(run)


def submit(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    context = compat.SubmitRunContext(run, workspace=cast("Any", None))
    return instance.run_coordinator.submit_run(context).status


def launched(instance: dg.DagsterInstance) -> list[str]:
    launcher = instance.run_launcher
    assert isinstance(launcher, ShelfLauncher)
    return launcher.launched


def lane(name: str) -> dict[str, str]:
    return {run_tags.LANE: name}


def test_a_run_with_a_place_is_launched_at_once(instance: dg.DagsterInstance) -> None:
    run = add(instance)
    assert submit(instance, run) == STARTING
    assert launched(instance) == [run.run_id]


def test_one_lane_holds_one_run_and_the_next_is_queued(instance: dg.DagsterInstance) -> None:
    first, second, other = (add(instance, tags=lane(name)) for name in ("a", "a", "b"))
    assert [submit(instance, run) for run in (first, second, other)] == [STARTING, QUEUED, STARTING]
    assert launched(instance) == [first.run_id, other.run_id]


def test_nobody_overtakes_what_is_queued(instance: dg.DagsterInstance) -> None:
    add(instance, tags=lane("a"), status=QUEUED)
    assert submit(instance, add(instance, tags=lane("a"))) == QUEUED
    assert launched(instance) == []


def test_no_more_runs_than_places(instance: dg.DagsterInstance) -> None:
    states = [submit(instance, add(instance)) for _ in range(12)]
    assert states == [STARTING] * 10 + [QUEUED] * 2


def test_a_run_that_begins_in_a_pool_is_left_to_the_daemon(instance: dg.DagsterInstance) -> None:
    from dagster._core.storage.dagster_run import RunOpConcurrency

    pooled = RunOpConcurrency(root_key_counts={"shopify": 1}, has_unconstrained_root_nodes=False)
    assert submit(instance, add(instance, run_op_concurrency=pooled)) == QUEUED


def test_a_run_that_many_submit_is_launched_once(instance: dg.DagsterInstance, home: Path) -> None:
    run = add(instance)
    with dg.DagsterInstance.from_config(str(home)) as second, ThreadPoolExecutor(8) as pool:
        both = [instance, second]
        states = list(pool.map(lambda n: submit(both[n % 2], run), range(8)))
        assert states == [STARTING] * 8
        assert launched(instance) + launched(second) == [run.run_id]


def test_many_runs_of_a_lane_submitted_at_once_take_one_place(
    instance: dg.DagsterInstance, home: Path
) -> None:
    runs = [add(instance, tags=lane("a")) for _ in range(6)]
    with dg.DagsterInstance.from_config(str(home)) as second, ThreadPoolExecutor(6) as pool:
        both = [instance, second]
        states = list(pool.map(lambda n: submit(both[n % 2], runs[n]), range(6)))
    assert sorted(state.value for state in states) == ["QUEUED"] * 5 + ["STARTING"]


def triggered(run_id: str | None = None, **more: Any) -> dg.DagsterRun:
    tags = {run_tags.TRIGGER: "digest"}
    return dg.DagsterRun(job_name="review", run_id=run_id or str(uuid.uuid4()), tags=tags, **more)


def test_a_trigger_has_one_run_whoever_creates_it(instance: dg.DagsterInstance, home: Path) -> None:
    def create(at: dg.DagsterInstance) -> bool:
        try:
            at.add_run(triggered())
        except compat.DagsterRunAlreadyExists:
            return False
        return True

    with dg.DagsterInstance.from_config(str(home)) as second, ThreadPoolExecutor(6) as pool:
        created = list(pool.map(create, [instance, second] * 4))
    assert sum(created) == 1
    assert len(instance.get_runs(dg.RunsFilter(tags={run_tags.TRIGGER: "digest"}))) == 1


def test_a_retry_of_a_triggered_run_is_another_run(instance: dg.DagsterInstance) -> None:
    first = instance.add_run(triggered())
    again = triggered(parent_run_id=first.run_id, root_run_id=first.run_id)
    assert instance.add_run(again).run_id == again.run_id


def test_a_run_whose_tags_cannot_be_stored_is_not_there_at_all(instance: dg.DagsterInstance) -> None:
    run = dg.DagsterRun(job_name="review", tags={"broken": "a\0b"})
    with pytest.raises(ValueError, match="NUL"):
        instance.add_run(run)
    assert instance.get_run_by_id(run.run_id) is None


def test_a_run_is_worked_on_by_one_process_until_that_ends(
    instance: dg.DagsterInstance, home: Path, dagster_storage_url: str
) -> None:
    run, runs = add(instance), instance.run_storage
    assert isinstance(runs, PooledRuns)
    held = {"BATUTA_DAGSTER_PG_URL": dagster_storage_url, "PYTHONPATH": str(PROJECT)}
    words = f"""
import dagster as dg
with dg.DagsterInstance.from_config({str(home)!r}) as instance:
    print(instance.run_storage.begin_work({run.run_id!r}), flush=True)
    input()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", words],
        env={**os.environ, **held},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert not runs.begin_work(run.run_id)
    assert runs.begin_work(add(instance).run_id)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while not runs.begin_work(run.run_id):
        assert time.monotonic() < deadline
        time.sleep(0.05)
