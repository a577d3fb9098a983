"""Launches a run at once while there is a place for it, and queues it otherwise.

Dagster's own queues every run and looks into the queue once a second. The limits are the same, those of
`concurrency.runs` in `dagster.yaml`, and what is queued is launched by the daemon as ever. Who gets a place is
decided by one process at a time; a run that has been submitted already is left as it is, so that it is
launched once however many submit it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from batuta_assets import compat
from batuta_assets.storage import PooledRuns

_of_this_process = threading.Lock()


class PromptRunCoordinator(compat.QueuedRunCoordinator[dg.DagsterInstance]):
    """Queues only what has to wait."""

    def submit_run(self, context: compat.SubmitRunContext) -> dg.DagsterRun:
        """Launch or queue a run that has been created; one that is submitted already is only given back."""
        run_id = context.dagster_run.run_id
        with submitting(self._instance):
            run = self._latest(run_id)
            if run.status != dg.DagsterRunStatus.NOT_STARTED:
                return run
            if not self._has_place(run):
                return super().submit_run(context)
            starting = compat.DagsterEvent(
                event_type_value=compat.DagsterEventType.PIPELINE_STARTING.value, job_name=run.job_name
            )
            self._instance.report_dagster_event(starting, run_id=run_id)
        run = self._latest(run_id)
        self._instance.run_launcher.launch_run(compat.LaunchRunContext(run, context.workspace))
        return self._latest(run_id)

    def _latest(self, run_id: str) -> dg.DagsterRun:
        run = self._instance.get_run_by_id(run_id)
        if run is None:
            raise dg.DagsterInvariantViolationError(f"run {run_id} has been deleted")
        return run

    def _has_place(self, run: dg.DagsterRun) -> bool:
        """Whether a run may start now.

        What waits in the queue counts as if it ran: nobody overtakes. Runs whose first steps are in pools
        are left to the daemon, which knows the pools.
        """
        limits = self._instance.get_concurrency_config().run_queue_config
        concurrency = run.run_op_concurrency
        if limits is None or (concurrency is not None and concurrency.root_key_counts):
            return False
        statuses = [dg.DagsterRunStatus.QUEUED, *compat.ACTIVE_RUN_STATUSES]
        ahead = list(self._instance.get_runs(filters=dg.RunsFilter(statuses=statuses)))
        if limits.max_concurrent_runs != -1 and len(ahead) >= limits.max_concurrent_runs:
            return False
        counter = compat.TagConcurrencyLimitsCounter(list(limits.tag_concurrency_limits), ahead)
        return not counter.is_blocked(run)


@contextmanager
def submitting(instance: dg.DagsterInstance) -> Iterator[None]:
    """The only one that gives runs their place, of all processes that share the instance's storage."""
    runs = instance.run_storage
    if isinstance(runs, PooledRuns):
        with runs.submitting():
            yield
    else:
        with _of_this_process:
            yield
