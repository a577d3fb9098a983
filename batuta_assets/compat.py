"""The names of Dagster that are not public and that we need: one place to look at when Dagster is raised."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, cast

from dagster import DagsterInstance, DagsterRunStatus, JobDefinition
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._core.events import DagsterEvent, DagsterEventType, JobFailureData
from dagster._core.events.log import EventLogEntry
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES, RunRecord
from dagster._core.storage.tags import (
    BACKFILL_ID_TAG,
    PARTITION_NAME_TAG,
    RETRY_NUMBER_TAG,
    RUN_KEY_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
)
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, deserialize_value, serialize_value
from dagster._serdes.config_class import ConfigurableClassData
from dagster._utils.interrupts import capture_interrupts
from dagster._utils.schedules import schedule_execution_time_iterator
from dagster._utils.tags import TagConcurrencyLimitsCounter
from dagster_shared.utils.warnings import BetaWarning, PreviewWarning

EXECUTE_RUN_VARIABLE = "DAGSTER_EXECUTE_RUN_ARGS"

__all__ = [
    "ACTIVE_RUN_STATUSES",
    "BACKFILL_ID_TAG",
    "EXECUTE_RUN_VARIABLE",
    "PARTITION_NAME_TAG",
    "RETRY_NUMBER_TAG",
    "RUN_KEY_TAG",
    "SCHEDULE_NAME_TAG",
    "SENSOR_NAME_TAG",
    "BetaWarning",
    "CheckRunHealthResult",
    "ConfigurableClass",
    "ConfigurableClassData",
    "DagsterEvent",
    "DagsterEventType",
    "DagsterRunAlreadyExists",
    "EventLogEntry",
    "ExecuteRunArgs",
    "GrpcServerCodeLocationOrigin",
    "InstigatorStatus",
    "InstigatorType",
    "JobFailureData",
    "LaunchRunContext",
    "ModuleCodePointer",
    "PreviewWarning",
    "QueuedRunCoordinator",
    "ReconstructableRepository",
    "RemoteRepositoryOrigin",
    "RunLauncher",
    "RunRecord",
    "SubmitRunContext",
    "TagConcurrencyLimitsCounter",
    "WorkerStatus",
    "capture_interrupts",
    "create_run",
    "deserialize_value",
    "execute_run",
    "fires_at",
    "fires_between",
    "plan_snapshot",
    "repository_snapshot",
    "serialize_value",
    "submit_run",
]


def execute_run(run_id: str, instance: DagsterInstance) -> int:
    """Execute a launched run in this process, as `dagster api execute_run` does; 1 where it failed."""
    from dagster._cli.api import _execute_run_command_body

    return _execute_run_command_body(run_id, instance, lambda _event: None, set_exit_code_on_failure=True)


def create_run(
    instance: DagsterInstance,
    job: JobDefinition,
    run_id: str,
    tags: Mapping[str, str],
    plan: Any,
    code_origin: Any,
    remote_origin: Any,
) -> None:
    """Create a run of a whole job, not yet submitted, as the daemon does for a sensor.

    Raises:
        DagsterRunAlreadyExists: there is a run of this id, or of this trigger.
    """
    instance.create_run(
        job_name=job.name,
        run_id=run_id,
        run_config={},
        status=DagsterRunStatus.NOT_STARTED,
        tags=tags,
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=None,
        execution_plan_snapshot=plan,
        job_snapshot=job.get_job_snapshot(),
        parent_job_snapshot=None,
        asset_selection=None,
        asset_check_selection=None,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=remote_origin,
        job_code_origin=code_origin,
        asset_graph=job.asset_layer.asset_graph,
    )


def submit_run(instance: DagsterInstance, run_id: str) -> None:
    """Submit a created run. The workspace is for launchers that ask a code server; ours do not."""
    instance.submit_run(run_id, cast("Any", None))


def plan_snapshot(job: JobDefinition, repository: Any) -> Any:
    """The execution plan of a job without configuration, as the code server gives it to the daemon."""
    from dagster._core.execution.api import create_execution_plan
    from dagster._core.snap import snapshot_from_execution_plan

    plan = create_execution_plan(job, run_config={}, repository_load_data=repository.repository_load_data)
    return snapshot_from_execution_plan(plan, job.get_job_snapshot_id())


def repository_snapshot(repository: Any) -> str:
    """A repository as the code server sends it to daemon and web server; of its jobs, references."""
    from dagster._core.remote_representation.external_data import RepositorySnap

    return serialize_value(RepositorySnap.from_def(repository, defer_snapshots=True))


def fires_at(cron: str | Sequence[str], timezone: str, instant: datetime) -> bool:
    """Whether the scheduler fires this cron, in this zone, at exactly this instant.

    Asked of the scheduler's own iterator, so that the hours that daylight saving skips or repeats are read
    alike.
    """
    ticks: Iterator[datetime] = schedule_execution_time_iterator(instant.timestamp(), cron, timezone)
    return next(ticks).astimezone(UTC) == instant.astimezone(UTC)


def fires_between(cron: str, timezone: str, after: datetime, upto: datetime) -> Iterator[datetime]:
    """Every instant of (after, upto], in UTC, at which the scheduler fires this cron in this zone."""
    ticks: Iterator[datetime] = schedule_execution_time_iterator(after.timestamp(), cron, timezone)
    instants = (tick.astimezone(UTC) for tick in ticks)
    return (at for at in takewhile(lambda at: at <= upto, instants) if at > after)
