"""A run whose process is gone is found and ended; every other run is left alone."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest

from batuta_assets.compat import WorkerStatus
from batuta_assets.launcher import SubprocessRunLauncher
from batuta_assets.reaper import reap_dead_runs
from batuta_assets.workers import WORKER_TAG, Worker, identify

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def launcher(instance: dg.DagsterInstance) -> SubprocessRunLauncher:
    found = SubprocessRunLauncher()
    found.register_instance(instance)
    return found


def living() -> Worker:
    worker = identify()
    assert worker is not None
    return worker


def dead() -> Worker:
    return dataclasses.replace(living(), started_ticks=1)


def add_run(
    instance: dg.DagsterInstance, worker: Worker | None, status: dg.DagsterRunStatus = STARTED
) -> dg.DagsterRun:
    tags = {} if worker is None else {WORKER_TAG: worker.tag()}
    return instance.add_run(dg.DagsterRun(job_name="review", tags=tags, status=status))


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    latest = instance.get_run_by_id(run.run_id)
    assert latest is not None
    return latest.status


def test_a_run_with_a_living_process_is_healthy(
    instance: dg.DagsterInstance, launcher: SubprocessRunLauncher
) -> None:
    assert launcher.check_run_worker_health(add_run(instance, living())).status == WorkerStatus.RUNNING


def test_a_run_whose_process_is_gone_has_failed(
    instance: dg.DagsterInstance, launcher: SubprocessRunLauncher
) -> None:
    health = launcher.check_run_worker_health(add_run(instance, dead()))
    assert health.status == WorkerStatus.FAILED
    assert "pid" in str(health.msg)


def test_without_evidence_a_run_is_left_alone(
    instance: dg.DagsterInstance, launcher: SubprocessRunLauncher
) -> None:
    elsewhere = dataclasses.replace(living(), host="elsewhere")
    for run in (add_run(instance, None), add_run(instance, elsewhere)):
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING


def test_a_process_that_ended_after_its_run_had_finished_did_not_fail(
    instance: dg.DagsterInstance, launcher: SubprocessRunLauncher
) -> None:
    run = add_run(instance, dead())
    instance.report_run_canceled(run)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.SUCCESS


@pytest.mark.parametrize(
    ("status", "ends_as"),
    [
        (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTED),
        (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.SUCCESS),
    ],
)
def test_a_run_whose_process_ended_before_it_began_is_ended_at_once(
    instance: dg.DagsterInstance,
    launcher: SubprocessRunLauncher,
    status: dg.DagsterRunStatus,
    ends_as: dg.DagsterRunStatus,
) -> None:
    run = add_run(instance, None, status)

    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    launcher._await(run.run_id, process.pid, process.wait)

    assert status_of(instance, run) == ends_as


def test_terminating_a_run_whose_process_is_gone_ends_it(
    instance: dg.DagsterInstance, launcher: SubprocessRunLauncher
) -> None:
    run = add_run(instance, dead())
    assert launcher.terminate(run.run_id) is False
    assert status_of(instance, run) == dg.DagsterRunStatus.CANCELED


def test_terminating_what_has_finished_does_nothing(
    instance: dg.DagsterInstance, launcher: SubprocessRunLauncher
) -> None:
    assert launcher.terminate(add_run(instance, living(), dg.DagsterRunStatus.SUCCESS).run_id) is False


def test_the_reaper_ends_exactly_the_dead(instance: dg.DagsterInstance) -> None:
    gone = add_run(instance, dead())
    starting = add_run(instance, dead(), dg.DagsterRunStatus.STARTING)
    canceling = add_run(instance, dead(), dg.DagsterRunStatus.CANCELING)
    kept = [
        add_run(instance, living()),
        add_run(instance, None),
        add_run(instance, dead(), dg.DagsterRunStatus.SUCCESS),
        add_run(instance, dead(), dg.DagsterRunStatus.NOT_STARTED),
    ]
    before = [status_of(instance, run) for run in kept]

    assert {reaped.run_id for reaped in reap_dead_runs(instance)} == {
        gone.run_id,
        starting.run_id,
        canceling.run_id,
    }

    assert status_of(instance, gone) == status_of(instance, starting) == dg.DagsterRunStatus.FAILURE
    assert status_of(instance, canceling) == dg.DagsterRunStatus.CANCELED
    assert [status_of(instance, run) for run in kept] == before
    assert reap_dead_runs(instance) == []
