"""The process of one run: makes sure to be the only one, says who it is, then runs the run.

`launcher.SubprocessRunLauncher` starts it; the warm process (`warm.py`) forks it.
"""

import os
import sys

from dagster import DagsterInstance, DagsterRunStatus

from batuta_assets import compat
from batuta_assets.storage import PooledRuns, do_not_wait_for_disk
from batuta_assets.workers import own_tags

READY = (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING)


def work(arguments: str) -> int:
    """Run the run named by Dagster's serialized arguments; 1 where the run failed.

    A run that another process executes, or has executed, is left to it.
    """
    do_not_wait_for_disk()
    with compat.capture_interrupts():
        args = compat.deserialize_value(arguments, compat.ExecuteRunArgs)
        if args.instance_ref is None:
            raise SystemExit("the launcher named no Dagster instance")
        with DagsterInstance.from_ref(args.instance_ref) as instance:
            if not _is_mine(instance, args.run_id):
                sys.stderr.write("Another process executes this run, or has.\n")
                return 0
            instance.add_run_tags(args.run_id, own_tags())
            return compat.execute_run(args.run_id, instance)


def _is_mine(instance: DagsterInstance, run_id: str) -> bool:
    runs = instance.run_storage
    if isinstance(runs, PooledRuns) and not runs.begin_work(run_id):
        return False
    run = instance.get_run_by_id(run_id)
    return run is None or run.status in {*READY, DagsterRunStatus.CANCELED}


if __name__ == "__main__":
    sys.exit(work(os.environ.pop(compat.EXECUTE_RUN_VARIABLE)))
