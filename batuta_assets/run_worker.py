"""The process of one run, started by `launcher.SubprocessRunLauncher`: says who it is, then runs the run."""

import os
import sys

from dagster import DagsterInstance

from batuta_assets import compat
from batuta_assets.workers import own_tags


def main() -> int:
    """Run the run named by the arguments in the environment; 1 where the run failed."""
    arguments = os.environ.pop(compat.EXECUTE_RUN_VARIABLE)
    with compat.capture_interrupts():
        args = compat.deserialize_value(arguments, compat.ExecuteRunArgs)
        if args.instance_ref is None:
            raise SystemExit("the launcher named no Dagster instance")
        with DagsterInstance.from_ref(args.instance_ref) as instance:
            instance.add_run_tags(args.run_id, own_tags())
            return compat.execute_run(args.run_id, instance)


if __name__ == "__main__":
    sys.exit(main())
