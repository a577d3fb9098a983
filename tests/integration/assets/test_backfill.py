"""A backfill is a job with a partition per product and month: it adds what is missing, resumes, and may be repeated."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from batuta.keys import create_keys
from batuta.manifests.models import ConnectorBinding
from batuta.settings import Settings, get_settings
from batuta.warehouse.connection import connect
from batuta_assets.backfill import backfill_jobs, month_window, months, product_months
from batuta_assets.runtime import Runtime
from examples.vendors.github import GitHub
from examples.vendors.serving import Fault
from sensors.connectors import CONNECTORS
from tests.support.listening import bound, repository, write_secrets

MARCH = "2025-03-01|arcsat"


@pytest.fixture
def vendor() -> Iterator[GitHub]:
    with GitHub() as served:
        for day in (3, 9, 27):
            served.issue(day, datetime(2025, 3, day, 12, tzinfo=UTC))
        served.issue(40, datetime(2025, 4, 2, 12, tzinfo=UTC))
        yield served


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        ephemeral.add_dynamic_partitions("product", ["arcsat"])
        yield ephemeral


@pytest.fixture
def installation(database_url: str, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Settings:
    monkeypatch.setenv("BATUTA_DATABASE_URL", database_url)
    create_keys(settings.home)
    write_secrets(settings)
    return get_settings()


def run(
    vendor: GitHub,
    instance: dg.DagsterInstance,
    partition: str = MARCH,
    *,
    binding: ConnectorBinding | None = None,
    **config: Any,
) -> dg.ExecuteInProcessResult:
    jobs = {job.name: job for job in backfill_jobs(bound({"arcsat": [binding or repository(vendor)]}))}
    return jobs["backfill_github"].execute_in_process(
        instance=instance,
        partition_key=partition,
        resources={"runtime": Runtime()},
        run_config={"ops": {"backfill_github_month": {"config": config}}},
        raise_on_error=False,
    )


def counts(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [e for e in result.all_events if e.event_type == dg.DagsterEventType.STEP_OUTPUT]
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [e for e in result.all_events if e.event_type == dg.DagsterEventType.STEP_FAILURE]
    said = event.step_failure_data.user_failure_data
    assert said is not None
    return str(said.description)


def test_a_month_brings_what_the_log_has_not_and_only_that(
    vendor: GitHub, instance: dg.DagsterInstance, installation: Settings, database_url: str
) -> None:
    result = run(vendor, instance)
    assert result.success
    assert counts(result)["landed"] == 3
    (seen,) = result.get_asset_observation_events()
    assert seen.asset_observation_data.asset_observation.partition == "arcsat"

    again = run(vendor, instance, again=True)
    assert (counts(again)["landed"], counts(again)["duplicate"]) == (0, 3)
    with connect(database_url, "reader") as conn:
        rows = conn.execute("select count(*) from batuta.events").fetchone()
    assert rows == (3,)


def test_a_month_that_is_done_costs_the_vendor_nothing(
    vendor: GitHub, instance: dg.DagsterInstance, installation: Settings
) -> None:
    run(vendor, instance)
    asked = len(vendor.requests)
    assert run(vendor, instance).success
    assert len(vendor.requests) == asked


def test_refused_credentials_fail_at_once_with_a_sentence(
    vendor: GitHub, instance: dg.DagsterInstance, installation: Settings
) -> None:
    (installation.secrets_dir / "github-token").write_text("withdrawn", "utf-8")
    result = run(vendor, instance)
    assert not result.success
    assert "refuses the credentials" in failure(result)
    assert not [e for e in result.all_events if e.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]


def test_a_fault_of_the_manifest_fails_at_once_with_what_is_wrong_and_what_to_do(
    vendor: GitHub, instance: dg.DagsterInstance, installation: Settings
) -> None:
    nameless = repository(vendor).model_copy(update={"account": None})
    result = run(vendor, instance, binding=nameless)
    assert not result.success
    assert failure(result).endswith(
        "the account is missing; name an owner or a repository in spec.connectors[].account"
    )
    assert not [e for e in result.all_events if e.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]


def test_a_rate_limit_is_waited_for_by_trying_again(
    vendor: GitHub, instance: dg.DagsterInstance, installation: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batuta_assets.backfill.SHORTEST_WAIT_S", 0.0)
    monkeypatch.setattr("batuta_assets.backfill.LONGEST_WAIT_S", 0.1)
    vendor.fail_next(Fault(429, {"retry-after": "7000"}))
    result = run(vendor, instance)
    assert result.success
    assert [e for e in result.all_events if e.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]
    assert counts(result)["landed"] == 3


def test_a_product_without_accounts_has_nothing_to_fetch(
    vendor: GitHub, instance: dg.DagsterInstance, installation: Settings
) -> None:
    instance.add_dynamic_partitions("product", ["loja"])
    result = run(vendor, instance, "2025-03-01|loja")
    assert counts(result) == {"landed": 0, "duplicate": 0, "quarantined": 0, "filtered": 0}
    assert vendor.requests == []


def test_an_account_that_is_not_there_is_told_what_to_do(
    vendor: GitHub, instance: dg.DagsterInstance, installation: Settings
) -> None:
    result = run(vendor, instance, account="other")
    assert "add it under spec.connectors" in failure(result)


def test_there_is_a_job_for_every_connector_that_can_fetch_the_past() -> None:
    jobs = {job.name: job for job in backfill_jobs(bound({}))}
    wanted = {f"backfill_{name}" for name in CONNECTORS if hasattr(CONNECTORS[name], "BACKFILL")}
    assert set(jobs) == wanted
    assert "backfill_github" in wanted
    for name, job in jobs.items():
        assert job.partitions_def == product_months
        (op,) = job.all_node_defs
        assert isinstance(op, dg.OpDefinition)
        assert op.pool == f"{name.removeprefix('backfill_')}_api"


def test_the_present_month_has_one_window_all_day_long_and_others_are_whole() -> None:
    morning = datetime(2026, 3, 2, 1, tzinfo=UTC)
    assert month_window("2026-03-01", morning) == month_window("2026-03-01", morning + timedelta(hours=22))
    assert month_window("2026-03-01", morning).end == datetime(2026, 3, 3, tzinfo=UTC)
    assert month_window("2026-02-01", morning).end == datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(dg.Failure, match="has not begun"):
        month_window("2026-04-01", morning)


def test_the_present_month_can_be_chosen() -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert months.get_partition_keys(current_time=now)[-1] == "2026-03-01"
