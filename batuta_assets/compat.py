"""The names of Dagster that are not public and that we need: one place to look at when Dagster is raised."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from dagster import DagsterInstance
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.storage.tags import RUN_KEY_TAG
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, deserialize_value, serialize_value
from dagster._serdes.config_class import ConfigurableClassData
from dagster._utils.interrupts import capture_interrupts
from dagster._utils.schedules import schedule_execution_time_iterator
from dagster_shared.utils.warnings import PreviewWarning

EXECUTE_RUN_VARIABLE = "DAGSTER_EXECUTE_RUN_ARGS"

__all__ = [
    "EXECUTE_RUN_VARIABLE",
    "RUN_KEY_TAG",
    "CheckRunHealthResult",
    "ConfigurableClass",
    "ConfigurableClassData",
    "ExecuteRunArgs",
    "LaunchRunContext",
    "PreviewWarning",
    "RunLauncher",
    "WorkerStatus",
    "capture_interrupts",
    "deserialize_value",
    "execute_run",
    "fires_at",
    "serialize_value",
]


def execute_run(run_id: str, instance: DagsterInstance) -> int:
    """Execute a launched run in this process, as `dagster api execute_run` does; 1 where it failed."""
    from dagster._cli.api import _execute_run_command_body

    return _execute_run_command_body(run_id, instance, lambda _event: None, set_exit_code_on_failure=True)


def fires_at(cron: str | Sequence[str], timezone: str, instant: datetime) -> bool:
    """Whether the scheduler fires this cron, in this zone, at exactly this instant.

    Asked of the scheduler's own iterator, so that the hours that daylight saving skips or repeats are read
    alike.
    """
    ticks: Iterator[datetime] = schedule_execution_time_iterator(instant.timestamp(), cron, timezone)
    return next(ticks).astimezone(UTC) == instant.astimezone(UTC)
