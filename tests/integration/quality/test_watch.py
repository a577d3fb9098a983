"""What is odd or late is warned of and stops nothing; the suites are asked for once after each refresh."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from batuta.landing.reader import last_batch
from batuta.quality.breaks import record
from batuta.quality.check import Outcome
from batuta.quality.contract import DataContract
from batuta.warehouse.connection import connect
from batuta_assets.gates import record_refresh
from batuta_assets.quality.checks import SUITE, quality_job, quality_sensor, watch_checks
from batuta_assets.runtime import Runtime
from tests.integration.quality.conftest import TestRuntime, spoil
from tests.integration.quality.test_suites import keys
from tests.support.score import log_batch

Contracts = dict[str, DataContract]
WATCHED = dg.AssetCheckKey(dg.AssetKey(["marts", "fct_product_daily"]), "odd_days")


def definitions(url: str, home: Path, contracts: Contracts) -> dg.Definitions:
    checks = watch_checks(list(contracts.values()), keys(contracts))
    assets = {key.asset_key for definition in checks for key in definition.check_keys}
    return dg.Definitions(
        assets=[dg.AssetSpec(key) for key in assets],
        asset_checks=checks,
        jobs=[quality_job(checks)],
        resources={"runtime": TestRuntime(url=url, home=str(home))},
    )


def looked(url: str, home: Path, contracts: Contracts) -> dict[str, dg.AssetCheckEvaluation]:
    result = definitions(url, home, contracts).resolve_job_def("data_quality").execute_in_process()
    assert result.success
    return {f"{'/'.join(e.asset_key.path)}:{e.check_name}": e for e in result.get_asset_check_evaluations()}


def refreshed(url: str) -> None:
    with connect(url, "writer") as conn:
        record_refresh(conn, last_batch(conn), "models", "manifest")
        conn.commit()


def test_each_look_says_something_and_odd_days_and_late_marts_are_warned_of(
    company: str, contracts: Contracts, tmp_path: Path
) -> None:
    refreshed(company)
    before = looked(company, tmp_path, contracts)
    assert {name for name in before if name.endswith(":fresh")} == {f"marts/{n}:fresh" for n in contracts}
    assert all(found.passed for name, found in before.items() if name.endswith(":fresh"))
    assert "marts/fct_orders:odd_values" in before
    assert "shopify/accounts:odd_volume" in before
    spoil(
        company,
        "update batuta_marts.fct_product_daily set orders = 10 * orders + 100 "
        "where product = 'arcsat' and business_date = '2025-11-12'",
    )
    with connect(company, "owner") as conn:
        log_batch(
            conn,
            [("arcsat", "com.shopify.orders.created", "late")],
            at=datetime(2025, 11, 13, 6, 30, tzinfo=UTC),
        )
    after = looked(company, tmp_path, contracts)
    odd = after["marts/fct_product_daily:odd_days"]
    assert not odd.passed
    assert odd.severity is dg.AssetCheckSeverity.WARN
    assert "arcsat: orders" in str(odd.description)
    late = after["marts/fct_orders:fresh"]
    assert not late.passed
    assert late.severity is dg.AssetCheckSeverity.WARN
    assert "does not have what landed 2:30:00 ago" in str(late.description)


def test_what_cannot_be_looked_at_is_said_and_the_others_still_are(
    company: str, contracts: Contracts, tmp_path: Path
) -> None:
    spoil(company, "alter table batuta_marts.fct_orders rename column gross_sales to gross")
    found = looked(company, tmp_path, contracts)
    assert not found["marts/fct_orders:odd_values"].passed
    assert "could not be looked at" in str(found["marts/fct_orders:odd_values"].description)
    assert "series" in found["marts/fct_product_daily:odd_days"].metadata


def test_suites_are_asked_for_once_after_each_check_and_lateness_is_told_when_it_changes(
    database_url: str, contracts: Contracts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2025, 11, 13, 9, 0, tzinfo=UTC)
    monkeypatch.setattr(Runtime, "now", lambda _self: now)

    @dg.job(name="data_quality")
    def job() -> None: ...

    sensor = quality_sensor(
        job,
        list(contracts.values()),
        keys(contracts),
        connect=lambda: connect(database_url, "reader"),
        platform={"prices"},
        watched=[WATCHED],
    )

    def tick(cursor: str | None) -> dg.SensorResult:
        found = sensor(dg.build_sensor_context(cursor=cursor))
        assert isinstance(found, dg.SensorResult)
        return found

    first = tick(None)
    assert first.run_requests == []
    assert len(first.asset_events) == len(contracts)
    with connect(database_url, "writer") as conn:
        for name in ("fct_orders", "kpi_daily"):
            record(conn, Outcome(contracts[name], {}), batch=1, now=now, run_id="run")
    second = tick(first.cursor)
    (request,) = second.run_requests or []
    assert request.run_key == f"quality-{now.isoformat()}"
    asked = [dg.AssetCheckKey(dg.AssetKey(["marts", name]), SUITE) for name in ("fct_orders", "kpi_daily")]
    assert request.asset_check_keys == [*asked, WATCHED]
    assert second.asset_events == []
    with connect(database_url, "writer") as conn:
        later = now + timedelta(minutes=1)
        record(conn, Outcome(contracts["prices"], {}), batch=1, now=later, run_id="run")
    second = tick(second.cursor)
    (request,) = second.run_requests or []
    assert request.asset_check_keys == [dg.AssetCheckKey(dg.AssetKey(["marts", "prices"]), SUITE)]
    assert tick(second.cursor).run_requests == []
    with connect(database_url, "owner") as conn:
        log_batch(conn, [("arcsat", "com.shopify.orders.created", "1")], at=now - timedelta(days=3))
    third = tick(second.cursor)
    told = [event for event in third.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    assert {event.passed for event in told} == {False}
    assert len(told) == len(contracts)
    assert tick(third.cursor).asset_events == []
