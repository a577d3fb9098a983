"""Ends runs whose process has died while nobody watched: the daemon itself was killed, or the machine went
down.

With a living daemon, run monitoring does the same through `SubprocessRunLauncher.check_run_worker_health`.
"""

from dataclasses import dataclass

import dagster as dg

from batuta_assets.launcher import worker_of
from batuta_assets.workers import pulse

UNFINISHED = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


@dataclass(frozen=True, slots=True)
class ReapedRun:
    """A run that was found dead and has been ended."""

    run_id: str
    job_name: str
    pid: int

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.job_name}, whose process had died"


def reap_dead_runs(instance: dg.DagsterInstance) -> list[ReapedRun]:
    """End every unfinished run of this host whose process is gone; leave all others alone."""
    reaped: list[ReapedRun] = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(UNFINISHED))):
        worker = worker_of(run)
        if worker is None or pulse(worker) != "dead":
            continue
        latest = instance.get_run_by_id(run.run_id)
        if latest is None or latest.is_finished:
            continue
        message = f"The run's process (pid {worker.pid}) died; found when BATUTA was started again."
        if latest.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(latest, message=message)
        else:
            instance.report_run_failed(latest, message=message)
        reaped.append(ReapedRun(run.run_id, run.job_name, worker.pid))
    return reaped
