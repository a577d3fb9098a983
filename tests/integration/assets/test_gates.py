"""Below a gate nothing runs on data that failed it, and a bad product stops nobody but itself."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest

from batuta.landing.cursors import get_cursor, move_cursor
from batuta.quality.breaks import breaks, record, withdraw
from batuta.quality.check import Broken, Evidence, Outcome
from batuta.quality.contract import NO_ROW, Breaking, DataContract, Rule
from batuta.settings import Settings
from batuta.warehouse.connection import Connection, Role, connect
from batuta_assets.gates import (
    is_refreshed,
    raise_horizons,
    record_refresh,
    record_structure,
    structural_problem,
)
from batuta_assets.ingest import ingest_asset
from batuta_assets.partitions import partition_key, product_days
from batuta_assets.runtime import Runtime
from sensors import run_tags
from sensors.claims import NEVER_REFRESHED
from tests.support.score import ORDERS, company, log_batch, pipeline, product

CREATED = "com.shopify.orders.created"
GRAPH = company([product("good"), product("bad")], [pipeline("review", ["good", "bad"])])
RELATIONS = {
    "live_orders": frozenset({("shopify", "orders")}),
    "live_releases": frozenset({("github", "releases")}),
}
CONTRACTS = {
    "fct_orders": frozenset({("shopify", "orders")}),
    "fct_releases": frozenset({("github", "releases")}),
}
DAY = date(2025, 11, 12)
CHECKED_AT = datetime(2025, 11, 12, 9, 50, tzinfo=UTC)


class TestRuntime(Runtime):
    """A run's surroundings with a database of the test's own."""

    __test__ = False
    url: str

    def settings(self) -> Settings:
        raise NotImplementedError

    def connect(self, role: Role) -> Connection:
        return connect(self.url, role)


@pytest.fixture
def warehouse(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database_url, "owner") as conn:
        conn.execute(
            """
            create table batuta_live.live_rule_violations (
                product text, rule text, relation text, entity_id text, detail text, event_source text, event_id text
            )
            """
        )
        conn.execute("grant usage on schema batuta_live to batuta_reader")
        conn.execute("grant select on batuta_live.live_rule_violations to batuta_reader")
        record_structure(conn, [], "run")
        for name in CONTRACTS:
            hold_to(conn, name)
        conn.commit()
        yield conn


def hold_to(
    conn: psycopg.Connection[Any],
    name: str,
    *broken: str,
    at: datetime = CHECKED_AT,
    problem: str | None = None,
) -> None:
    """Keep that a contract was checked, and is broken for these products."""
    rule = Rule("adds_up", "condition", ("net_sales",), "true", NO_ROW, "error", "accuracy", "It adds up.")
    contract = DataContract(
        *(
            name,
            "1.0.0",
            "active",
            "orders",
            "team:sigma",
            f"batuta_marts.{name}",
            name,
            "",
            "One row.",
            (),
            (rule,),
        ),
        *(None, Breaking((), 30, ""), None, None, "", ""),
    )
    rows = (Evidence({"order_id": "7"}, "12.00", (("shop", "event-7"),)),)
    found = tuple(Broken(rule, product_name, 1, 10, rows) for product_name in broken)
    record(conn, Outcome(contract, {}, found, problem), batch=5, now=at, run_id="run-1")
    conn.commit()


def violate(conn: psycopg.Connection[Any], name: str, relation: str = "live_orders") -> None:
    conn.execute(
        "insert into batuta_live.live_rule_violations values (%s, 'money_negative', %s, '7', 'total -1', 's', 'e')",
        (name, relation),
    )
    conn.commit()


@dg.asset(key=["below"], deps=[dg.AssetKey(ORDERS)], partitions_def=product_days)
def below() -> None:
    """What a gate guards."""


def run(url: str, name: str, **tags: str) -> dg.ExecuteInProcessResult:
    gate = ingest_asset(GRAPH.assets[0], GRAPH, RELATIONS, CONTRACTS)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("product", ["good", "bad"])
        return dg.materialize(
            [gate, below],
            instance=instance,
            resources={"runtime": TestRuntime(url=url)},
            partition_key=partition_key(name, DAY),
            tags={run_tags.PIPELINE: "review", **tags},
            raise_on_error=False,
        )


def made(result: dg.ExecuteInProcessResult) -> set[str]:
    return {
        event.step_materialization_data.materialization.asset_key.path[-1]
        for event in result.get_asset_materialization_events()
    }


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_a_bad_product_stops_only_itself(warehouse: psycopg.Connection[Any], database_url: str) -> None:
    violate(warehouse, "bad")
    bad, good = run(database_url, "bad"), run(database_url, "good")
    assert not bad.success
    assert "below" not in made(bad)
    assert checks(bad) == {"row_rules": False, "structure": True, "contracts": True}
    assert good.success
    assert made(good) == {"shopify_orders", "below"}
    assert checks(good) == {"row_rules": True, "structure": True, "contracts": True}
    assert {c.partition for c in bad.get_asset_check_evaluations()} == {"2025-11-12|bad"}


def test_a_rule_broken_by_another_dataset_does_not_stop_this_one(
    warehouse: psycopg.Connection[Any], database_url: str
) -> None:
    violate(warehouse, "good", "live_releases")
    assert run(database_url, "good").success


def test_a_structural_failure_stops_every_product_and_says_which(
    warehouse: psycopg.Connection[Any], database_url: str
) -> None:
    record_structure(warehouse, ["unique_int_orders"], "run-7")
    warehouse.commit()
    result = run(database_url, "good")
    assert "below" not in made(result)
    (said,) = [c.description for c in result.get_asset_check_evaluations() if c.check_name == "structure"]
    assert "unique_int_orders" in str(said)
    assert "run-7" in str(said)


def test_rules_that_cannot_be_read_are_a_failure(
    warehouse: psycopg.Connection[Any], database_url: str
) -> None:
    warehouse.execute("drop table batuta_live.live_rule_violations")
    warehouse.commit()
    result = run(database_url, "good")
    assert checks(result) == {"row_rules": False, "structure": True, "contracts": True}
    assert "below" not in made(result)


def test_before_the_first_refresh_the_gate_is_closed(database_url: str) -> None:
    with connect(database_url, "writer") as conn:
        assert structural_problem(conn) == NEVER_REFRESHED


def test_a_gate_says_what_the_run_takes(warehouse: psycopg.Connection[Any], database_url: str) -> None:
    first = log_batch(warehouse, [("good", CREATED, "1")])
    last = log_batch(
        warehouse, [("good", CREATED, "2"), ("good", "com.shopify.orders.paid", "3"), ("bad", CREATED, "4")]
    )
    move_cursor(warehouse, "pipeline:review", first, "good")
    warehouse.commit()
    (event,) = [
        e.step_materialization_data.materialization
        for e in run(database_url, "good").get_asset_materialization_events()
        if e.asset_key == dg.AssetKey(ORDERS)
    ]
    assert event.metadata["events"].value == 2
    assert (event.metadata["batch_after"].value, event.metadata["batch_to"].value) == (first, last)
    assert f"| `{CREATED}` | 1 |" in str(event.metadata["events_by_type"].value)


def test_a_gate_does_not_move_the_pipelines_cursor(
    warehouse: psycopg.Connection[Any], database_url: str
) -> None:
    log_batch(warehouse, [("good", CREATED, "1")])
    run(database_url, "good")
    assert get_cursor(warehouse, "pipeline:review", "good") is None


def test_a_product_without_the_pipeline_is_refused(
    warehouse: psycopg.Connection[Any], database_url: str
) -> None:
    result = run(database_url, "good", **{run_tags.PIPELINE: "other"})
    assert not result.success


def test_a_horizon_moves_on_and_never_back(database_url: str) -> None:
    with connect(database_url, "writer") as conn:
        assert raise_horizons(conn, {"good": date(2025, 11, 12)})
        assert not raise_horizons(conn, {"good": date(2025, 11, 11)})
        assert not raise_horizons(conn, {"good": date(2025, 11, 12)})
        assert raise_horizons(conn, {"good": date(2025, 11, 13), "bad": date(2025, 11, 1)})
        row = conn.execute("select as_of from batuta.horizons where product = 'good'").fetchone()
        assert row == (date(2025, 11, 13),)


def test_the_marts_are_refreshed_until_something_lands_or_a_model_changes(database_url: str) -> None:
    with connect(database_url, "owner") as conn:
        assert not is_refreshed(conn, "models")
        record_refresh(conn, log_batch(conn, [("good", CREATED, "1")]), "models", "manifest")
        assert is_refreshed(conn, "models")
        assert not is_refreshed(conn, "other models")
        log_batch(conn, [("good", CREATED, "2")])
        assert not is_refreshed(conn, "models")


def of_contracts(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "contracts"]
    return found


def test_a_contract_broken_for_one_product_stops_that_product_and_says_since_when_and_by_which_events(
    warehouse: psycopg.Connection[Any], database_url: str
) -> None:
    hold_to(warehouse, "fct_orders", "bad")
    hold_to(warehouse, "fct_orders", "bad", at=CHECKED_AT + timedelta(days=1))
    bad, good = run(database_url, "bad"), run(database_url, "good")
    assert "below" not in made(bad)
    found = of_contracts(bad)
    assert not found.passed
    assert "fct_orders 1.0.0 is broken for bad since 2025-11-12 09:50 UTC (batch 5)" in str(found.description)
    assert found.metadata["since"].value == CHECKED_AT.timestamp()
    assert "event-7" in str(found.metadata["breaks"].value)
    assert good.success
    assert made(good) == {"shopify_orders", "below"}


def test_a_gate_opens_again_when_a_later_check_finds_the_contract_kept(
    warehouse: psycopg.Connection[Any], database_url: str
) -> None:
    hold_to(warehouse, "fct_orders", "bad")
    assert not run(database_url, "bad").success
    later = CHECKED_AT + timedelta(hours=1)
    hold_to(warehouse, "fct_orders", at=later)
    assert run(database_url, "bad").success
    (mended,) = breaks(warehouse, mended=True)
    assert (mended.since, mended.mended_at) == (CHECKED_AT, later)


def test_a_contract_broken_on_what_is_made_of_other_data_does_not_stop_this_dataset(
    warehouse: psycopg.Connection[Any], database_url: str
) -> None:
    hold_to(warehouse, "fct_releases", "good")
    assert run(database_url, "good").success


def test_what_is_broken_for_the_whole_company_stops_every_product(
    warehouse: psycopg.Connection[Any], database_url: str
) -> None:
    hold_to(warehouse, "fct_orders", "")
    assert not run(database_url, "good").success
    assert not run(database_url, "bad").success


def test_a_contract_that_was_never_checked_or_could_not_be_is_a_failure(
    warehouse: psycopg.Connection[Any], database_url: str
) -> None:
    hold_to(warehouse, "fct_orders", problem="batuta_marts.fct_orders has no column net_sales")
    assert "has no column net_sales" in str(of_contracts(run(database_url, "good")).description)
    warehouse.execute("delete from batuta.contract_checks where contract = 'fct_orders'")
    warehouse.commit()
    found = of_contracts(run(database_url, "good"))
    assert not found.passed
    assert "fct_orders was never checked" in str(found.description)


def test_a_contract_that_is_no_longer_in_force_holds_nothing_back(
    warehouse: psycopg.Connection[Any],
) -> None:
    hold_to(warehouse, "fct_orders", "bad")
    withdraw(warehouse, ["fct_releases"], CHECKED_AT)
    assert breaks(warehouse) == []
