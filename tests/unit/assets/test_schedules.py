"""Schedules ask for one refresh per scheduled time, at the hour of the product's zone."""

from collections.abc import Collection, Iterator
from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest

from batuta_assets.compat import fires_at
from batuta_assets.partitions import products
from batuta_assets.pipelines import due_schedules, hourly_refresh
from sensors import run_tags
from sensors.due import DueRun, due_runs
from sensors.factory import due_request, due_sensor
from tests.support.score import company, pipeline, product

SIX = "0 6 * * *"
GRAPH = company(
    [product("arcsat"), product("nova", "America/New_York")],
    [pipeline("arcsat-review", ["arcsat"], crons=[SIX]), pipeline("nova-review", ["nova"], crons=[SIX])],
)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as on_disk:
        yield on_disk


@dg.op
def nothing() -> None: ...


@dg.job(name=run_tags.REFRESH_JOB)
def refresh() -> None:
    nothing()


def schedules() -> dict[str, dg.ScheduleDefinition]:
    return {str(schedule.execution_timezone): schedule for schedule in due_schedules(GRAPH, refresh)}


def tick(instance: dg.DagsterInstance, timezone: str, at: str) -> dg.RunRequest | str:
    context = dg.build_schedule_context(instance, scheduled_execution_time=datetime.fromisoformat(at))
    data = schedules()[timezone].evaluate_tick(context)
    return next(iter(data.run_requests or []), None) or str(data.skip_message)


def test_there_is_one_schedule_per_zone_and_it_is_running() -> None:
    found = schedules()
    assert set(found) == {"America/Sao_Paulo", "America/New_York"}
    assert all(s.cron_schedule == SIX for s in found.values())
    assert all(s.default_status == dg.DefaultScheduleStatus.RUNNING for s in found.values())


@pytest.mark.parametrize(
    ("timezone", "at", "due_at", "pipelines"),
    [
        ("America/Sao_Paulo", "2025-03-08T06:00:00-03:00", "2025-03-08T09:00:00+00:00", ["arcsat-review"]),
        ("America/Sao_Paulo", "2025-03-10T06:00:00-03:00", "2025-03-10T09:00:00+00:00", ["arcsat-review"]),
        ("America/New_York", "2025-03-08T06:00:00-05:00", "2025-03-08T11:00:00+00:00", ["nova-review"]),
        ("America/New_York", "2025-03-10T06:00:00-04:00", "2025-03-10T10:00:00+00:00", ["nova-review"]),
        ("America/New_York", "2025-11-02T06:00:00-05:00", "2025-11-02T11:00:00+00:00", ["nova-review"]),
    ],
)
def test_a_tick_asks_for_the_refresh_of_its_time(
    instance: dg.DagsterInstance, timezone: str, at: str, due_at: str, pipelines: list[str]
) -> None:
    request = tick(instance, timezone, at)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == due_at
    assert request.tags[run_tags.DUE_AT] == due_at
    assert [run.pipeline for run in due_runs(GRAPH, datetime.fromisoformat(due_at), fires_at)] == pipelines


def test_two_schedules_of_one_instant_share_one_refresh(instance: dg.DagsterInstance) -> None:
    at = "2025-11-12T09:00:00+00:00"
    first = tick(instance, "America/Sao_Paulo", at)
    assert isinstance(first, dg.RunRequest)
    instance.add_run(dg.DagsterRun(job_name=run_tags.REFRESH_JOB, tags=dict(first.tags)))
    assert "already asked for" in str(tick(instance, "America/New_York", at))


def launched_after(
    instance: dg.DagsterInstance, tags: dict[str, str], published: Collection[DueRun] = ()
) -> dg.SensorResult:
    """What the sensor asks for when a refresh with these tags has succeeded."""
    sensor = due_sensor(
        GRAPH,
        refresh,
        [],
        products=products,
        fires_at=fires_at,
        connect=lambda: cast("Any", nullcontext()),
        unchanged=lambda _conn, _due: published,
    )
    outcome = refresh.execute_in_process(instance=instance, tags=tags)
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_event=outcome.get_run_success_event(),
        dagster_instance=instance,
        dagster_run=outcome.dagster_run,
    )
    result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_refresh_that_succeeded_launches_what_was_due_with_that_days_date(
    instance: dg.DagsterInstance,
) -> None:
    result = launched_after(instance, {run_tags.DUE_AT: "2025-11-12T09:00:00+00:00"})
    (request,) = result.run_requests or []
    assert request.job_name == "daily_review", "the job of all pipelines that make the same"
    assert request.partition_key == "2025-11-12|arcsat"
    assert request.tags[run_tags.PIPELINE] == "arcsat-review"


def test_a_refresh_that_served_no_schedule_launches_nothing(instance: dg.DagsterInstance) -> None:
    result = launched_after(instance, {})
    assert not result.run_requests
    assert result.skip_reason


def test_the_run_of_a_due_pipeline_is_one_per_scheduled_time() -> None:
    (run,) = due_runs(GRAPH, datetime(2025, 11, 12, 9, tzinfo=UTC), fires_at)
    assert run.day == date(2025, 11, 12)
    job_of = {"arcsat-review": "review"}
    assert due_request(run, "t", job_of).run_key == "arcsat-review/arcsat/t"
    assert due_request(run, "t", job_of).job_name == "review"


def test_what_is_published_already_is_not_launched_again(instance: dg.DagsterInstance) -> None:
    due_at = "2025-11-12T09:00:00+00:00"
    known = due_runs(GRAPH, datetime.fromisoformat(due_at), fires_at)
    result = launched_after(instance, {run_tags.DUE_AT: due_at}, known)
    assert not result.run_requests
    assert str(result.skip_reason) != ""
    assert "arcsat-review for arcsat" in str(result.skip_reason)


class Marts:
    """A warehouse of which only the last refresh and the log's end are known."""

    def __init__(self, refreshed: dict[str, object] | None, end: int) -> None:
        self.refreshed, self.end = refreshed, end

    def __enter__(self) -> "Marts":
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, query: str, _parameters: object = None) -> "Marts":
        self.answer = self.end if "batches" in query else self.refreshed
        return self

    def fetchone(self) -> tuple[object] | None:
        return None if self.answer is None else (self.answer,)


@pytest.mark.parametrize(
    ("refreshed", "runs"),
    [
        pytest.param(None, True, id="never-refreshed"),
        pytest.param({"batch": 6, "models": "m"}, True, id="something-landed"),
        pytest.param({"batch": 7, "models": "old"}, True, id="models-changed"),
        pytest.param({"batch": 7, "models": "m"}, False, id="nothing-new"),
    ],
)
def test_the_hourly_refresh_runs_only_where_something_is_new(
    instance: dg.DagsterInstance, refreshed: dict[str, object] | None, runs: bool
) -> None:
    schedule = hourly_refresh(refresh, "m", lambda: Marts(refreshed, 7))  # pyright: ignore[reportArgumentType]
    at = datetime(2025, 11, 12, 9, 50, tzinfo=UTC)
    data = schedule.evaluate_tick(dg.build_schedule_context(instance, scheduled_execution_time=at))
    assert bool(data.run_requests) == runs
    assert bool(data.skip_message) != runs
