"""The suites of Great Expectations find what the quick rules find, say something of every check, and leave a page."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from batuta.quality.breaks import breaks
from batuta.quality.check import check, reading
from batuta.quality.contract import DataContract
from batuta.warehouse.connection import connect
from batuta_assets.quality.checks import SUITE, suite_checks
from batuta_assets.quality.suites import suites
from tests.integration.quality.conftest import WITHOUT_KEYS, TestRuntime, spoil

Contracts = dict[str, DataContract]
NOW = datetime(2025, 11, 13, 9, 0, tzinfo=UTC)

SPOILED = {
    "fct_orders": [
        "update batuta_marts.fct_orders set net_sales = net_sales + 0.01 where product = 'arcsat' and line_count = 1",
        """
        update batuta_marts.fct_orders set gross_sales = -1, net_sales = -1 - discounts - returns
        where order_id in (select max(order_id) from batuta_marts.fct_orders)
        """,
        """
        update batuta_marts.fct_orders set event_id = null
        where order_id in (select min(order_id) from batuta_marts.fct_orders where product = 'lojablock')
        """,
        """
        update batuta_marts.fct_orders set customer_key = 'maria@example.com'
        where order_id in (
            select min(order_id) from batuta_marts.fct_orders where product = 'arcsat' and customer_key is not null
        )
        """,
    ],
    "fct_refunds": [
        WITHOUT_KEYS,
        "insert into batuta_marts.fct_refunds select * from batuta_marts.fct_refunds where product = 'arcsat' limit 2",
    ],
    "fct_product_daily": [
        "delete from batuta_marts.fct_product_daily where product = 'arcsat' and business_date = '2025-10-01'",
    ],
    "dim_customers": [
        "update batuta_marts.dim_customers set net_sales = net_sales + 1 where product = 'lojablock'",
        "delete from batuta_marts.dim_customers where product = 'arcsat'",
    ],
}


def keys(contracts: Contracts) -> dict[str, dg.AssetKey]:
    return {name: dg.AssetKey(["marts", name]) for name in contracts}


def made(
    url: str, home: Path, contracts: Contracts, selected: list[str]
) -> tuple[bool, dict[str, dg.AssetCheckEvaluation]]:
    """What the suites say in a run of these contracts' checks."""
    selection = dg.AssetSelection.checks(*(dg.AssetCheckKey(keys(contracts)[n], SUITE) for n in selected))
    defs = dg.Definitions(
        assets=[dg.AssetSpec(key) for key in keys(contracts).values()],
        asset_checks=suite_checks(list(contracts.values()), keys(contracts)),
        jobs=[dg.define_asset_job("by_hand", selection=selection, executor_def=dg.in_process_executor)],
        resources={"runtime": TestRuntime(url=url, home=str(home))},
    )
    result = defs.resolve_job_def("by_hand").execute_in_process(raise_on_error=False)
    return result.success, {e.asset_key.path[-1]: e for e in result.get_asset_check_evaluations()}


def test_suites_agree_with_the_rules_on_what_is_sound_and_on_what_is_broken(
    company: str, contracts: Contracts, tmp_path: Path
) -> None:
    with suites(company, tmp_path / "docs") as ready:
        for contract in contracts.values():
            verdict = ready.run(contract)
            assert verdict.outcome.problem is None
            assert verdict.failed == ()
            assert verdict.expectations == len(contract.rules) + 1
            assert verdict.page is not None
            assert verdict.page.is_file()
        for name, statements in SPOILED.items():
            for statement in statements:
                spoil(company, statement)
            with connect(company, "reader") as conn, reading(conn):
                expected = check(conn, contracts[name])
            found = ready.run(contracts[name]).outcome
            assert {(b.rule.name, b.product, b.count) for b in found.broken} == {
                (b.rule.name, b.product, b.count) for b in expected.broken
            }
            assert expected.broken
            assert found.problem is None


def test_a_broken_suite_fails_the_run_and_shows_rows_events_and_a_page(
    company: str, contracts: Contracts, tmp_path: Path
) -> None:
    spoil(company, SPOILED["fct_orders"][0])
    success, found = made(company, tmp_path, contracts, ["fct_orders", "fct_refunds"])
    assert not success
    assert set(found) == {"fct_orders", "fct_refunds"}
    assert found["fct_refunds"].passed
    orders = found["fct_orders"]
    assert not orders.passed
    assert orders.severity is dg.AssetCheckSeverity.ERROR
    assert orders.metadata["not_met"].value == "net_sales_adds_up"
    assert "webhook" in str(orders.metadata["rows"].value) or "order_id" in str(orders.metadata["rows"].value)
    assert Path(str(orders.metadata["data_docs"].value).removeprefix("file://")).is_file()
    with connect(company, "reader") as conn:
        (kept,) = breaks(conn)
    assert (kept.contract, kept.rule, kept.product, kept.found_by) == (
        "fct_orders",
        "net_sales_adds_up",
        "arcsat",
        "suite",
    )
    assert kept.events


@pytest.mark.parametrize(
    "statement",
    [
        "alter table batuta_marts.fct_orders drop column net_sales cascade",
        "drop table batuta_marts.fct_orders cascade",
    ],
)
def test_a_suite_that_cannot_be_run_has_failed_and_the_others_still_speak(
    company: str, contracts: Contracts, tmp_path: Path, statement: str
) -> None:
    spoil(company, statement)
    success, found = made(company, tmp_path, contracts, ["fct_orders", "dim_kpis"])
    assert not success
    assert not found["fct_orders"].passed
    assert found["fct_orders"].severity is dg.AssetCheckSeverity.ERROR
    assert found["dim_kpis"].passed


def test_a_library_that_fails_is_a_failure_of_every_check(
    company: str, contracts: Contracts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "batuta_assets.quality.suites._address", lambda *_: "postgresql+psycopg://127.0.0.1:1/none"
    )
    success, found = made(company, tmp_path, contracts, ["fct_orders", "dim_kpis"])
    assert not success
    assert {name: result.passed for name, result in found.items()} == {"fct_orders": False, "dim_kpis": False}
    assert "could not be run" in str(found["dim_kpis"].description)
