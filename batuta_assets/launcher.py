"""Runs each run in a process of its own, in a session of its own, so that it outlives the daemon and code
server.

The worker names itself by pid and kernel start time (`workers.py`), so run monitoring finds one that was killed.
Output of the process, which is all there is when it dies before its first event, goes to `runs/<run id>.log`
in Dagster's home.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import dagster as dg

from batuta.settings import get_settings
from batuta_assets import compat
from batuta_assets.sockets import socket_path
from batuta_assets.warm_call import ask
from batuta_assets.workers import WORKER_TAG, Worker, pulse

LOG_DAYS = 30
LOG_TAIL_BYTES = 4_000


class SubprocessRunLauncher(compat.RunLauncher[dg.DagsterInstance], compat.ConfigurableClass):
    """Launches runs as processes of this machine; needs no code server to run or to find a dead run."""

    def __init__(self, inst_data: compat.ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> compat.ConfigurableClassData | None:
        """The configuration this launcher was made from."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """No settings."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: compat.ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """Make the launcher from `dagster.yaml`."""
        del config_value
        return cls(inst_data=inst_data)

    def launch_run(self, context: compat.LaunchRunContext) -> None:
        """Start the run's process and record who it is."""
        run = context.dagster_run
        origin = context.job_code_origin
        if origin is None:
            raise dg.DagsterInvariantViolationError(
                f"run {run.run_id} has no code origin and cannot be launched"
            )
        args = compat.ExecuteRunArgs(
            job_origin=origin,
            run_id=run.run_id,
            instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=True,
        )
        executable = origin.repository_origin.executable_path or sys.executable
        self._start(run.run_id, compat.serialize_value(args), executable)

    def _start(self, run_id: str, args: str, executable: str) -> None:
        """Start a process of the run, and the thread that waits for it."""
        with self._log_path(run_id).open("ab") as log:
            process = subprocess.Popen(
                [executable, "-m", "batuta_assets.run_worker"],
                env={**os.environ, compat.EXECUTE_RUN_VARIABLE: args},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watch(run_id, process.pid, process.wait)

    def _watch(self, run_id: str, pid: int, wait: Callable[[], int | None]) -> None:
        threading.Thread(
            target=self._await, args=(run_id, pid, wait), name=f"wait-{pid}", daemon=True
        ).start()

    def _await(self, run_id: str, pid: int, wait: Callable[[], int | None]) -> None:
        """Wait for a process; end its run where it died before the run began, which monitoring finds late.

        A process that leaves the run to another ends well.
        """
        if not (code := wait()):
            return
        run = self._instance.get_run_by_id(run_id)
        if run is not None and run.status == dg.DagsterRunStatus.STARTING and not _is_at_work(run):
            said = self.get_run_worker_debug_info(run) or ""
            self._instance.report_run_failed(
                run, f"The run's process (pid {pid}) ended with {code} before it began.\n{said}"
            )

    def terminate(self, run_id: str) -> bool:
        """Ask the run's process to end; False where there is nothing to end."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        worker = worker_of(run)
        if worker is None:
            return False
        self._instance.report_run_canceling(run)
        if pulse(worker) == "alive":
            os.kill(worker.pid, signal.SIGTERM)
            return True
        if pulse(worker) == "dead":
            self._instance.report_run_canceled(
                run, message=f"The run's process (pid {worker.pid}) was gone already."
            )
        return False

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring may ask for the worker's health."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> compat.CheckRunHealthResult:
        """FAILED only where the process is known to be gone while the run is not finished."""
        worker = worker_of(run)
        if worker is None or pulse(worker) != "dead":
            return compat.CheckRunHealthResult(compat.WorkerStatus.RUNNING)
        latest = self._instance.get_run_by_id(run.run_id)
        if latest is None or latest.is_finished:
            return compat.CheckRunHealthResult(compat.WorkerStatus.SUCCESS, "the run has finished")
        return compat.CheckRunHealthResult(
            compat.WorkerStatus.FAILED,
            f"the run's process (pid {worker.pid}) is gone",
            run_worker_id=worker.tag(),
        )

    def get_run_worker_debug_info(
        self, run: dg.DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """The end of what the run's process wrote."""
        path = self._log_folder() / f"{run.run_id}.log"
        if not path.is_file():
            return None
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            return f"End of {path}:\n{log.read().decode(errors='replace')}"

    def _log_folder(self) -> Path:
        return Path(self._instance.root_directory) / "runs"

    def _log_path(self, run_id: str) -> Path:
        folder = self._log_folder()
        folder.mkdir(parents=True, exist_ok=True)
        oldest = time.time() - LOG_DAYS * 86_400
        for path in folder.glob("*.log"):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
        return folder / f"{run_id}.log"


class WarmRunLauncher(SubprocessRunLauncher):
    """Has the run's process forked by the service `launcher` (`warm.py`), whose imports are done.

    Where that does not answer at once, or cannot run this run, a process is started as ever.
    """

    def _start(self, run_id: str, args: str, executable: str) -> None:
        address = socket_path(get_settings().home, "launcher")
        forked = ask(address, args, executable, self._log_path(run_id))
        if forked is None:
            super()._start(run_id, args, executable)
        else:
            self._watch(run_id, forked.pid, forked.wait)


def _is_at_work(run: dg.DagsterRun) -> bool:
    worker = worker_of(run)
    return worker is not None and pulse(worker) == "alive"


def worker_of(run: dg.DagsterRun) -> Worker | None:
    """The process recorded for a run, if any."""
    value = run.tags.get(WORKER_TAG)
    return None if value is None else Worker.from_tag(value)
