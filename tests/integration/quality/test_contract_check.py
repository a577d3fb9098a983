"""The example company keeps its contracts, and what breaks one is found, for whom and by which events."""

from dataclasses import replace

import psycopg
import pytest

from batuta.quality.check import Outcome, check, reading
from batuta.quality.contract import DataContract
from batuta.warehouse.connection import connect
from tests.integration.quality.conftest import WITHOUT_KEYS, spoil

Contracts = dict[str, DataContract]


def outcome(url: str, contract: DataContract, product: str | None = None) -> Outcome:
    with connect(url, "reader") as conn, reading(conn):
        return check(conn, contract, None if product is None else [product])


def test_the_example_company_keeps_every_contract(company: str, contracts: Contracts) -> None:
    for contract in contracts.values():
        found = outcome(company, contract)
        assert found.problem is None
        assert [(b.product, b.text, b.evidence[:2]) for b in found.broken] == []
        if contract.expected_products is not None or not contract.by_product:
            assert set(found.rows) == ({"arcsat", "lojablock"} if contract.by_product else {""})


def test_a_row_that_breaks_a_rule_is_found_for_its_product_with_its_event(
    company: str, contracts: Contracts
) -> None:
    spoil(
        company,
        "update batuta_marts.fct_orders set net_sales = net_sales + 0.01 where (product, order_id) in "
        "(select product, min(order_id) from batuta_marts.fct_orders where product = 'arcsat' group by product)",
    )
    (broken,) = outcome(company, contracts["fct_orders"]).broken
    assert (broken.rule.name, broken.product, broken.count) == ("net_sales_adds_up", "arcsat", 1)
    (row,) = broken.evidence
    assert row.key["product"] == "arcsat"
    with connect(company, "reader") as conn:
        there = conn.execute(
            "select event_source, event_id from batuta_marts.fct_orders where order_id = %s",
            (row.key["order_id"],),
        ).fetchone()
    assert row.events == (there,)


def test_rows_that_share_a_key_are_found(company: str, contracts: Contracts) -> None:
    spoil(company, WITHOUT_KEYS)
    spoil(
        company,
        "insert into batuta_marts.fct_refunds select * from batuta_marts.fct_refunds where product = 'arcsat' limit 1",
    )
    (broken,) = outcome(company, contracts["fct_refunds"]).broken
    assert (broken.rule.name, broken.product, broken.count) == ("key", "arcsat", 2)
    assert len(broken.evidence) == 2


def test_a_mart_that_lost_a_products_rows_is_broken_for_that_product(
    company: str, contracts: Contracts
) -> None:
    spoil(company, "delete from batuta_marts.fct_orders where product = 'lojablock'")
    (broken,) = outcome(company, contracts["fct_orders"]).broken
    assert (broken.rule.name, broken.product, broken.count) == ("has_rows", "lojablock", 0)
    assert outcome(company, contracts["fct_orders"], "arcsat").broken == ()


def test_an_empty_mart_is_no_good_mart(company: str, contracts: Contracts) -> None:
    for name in ("fct_product_daily", "dim_customers"):
        spoil(company, f"delete from batuta_marts.{name}")
        found = outcome(company, contracts[name])
        assert {b.product for b in found.broken} == {"arcsat", "lojablock"}
        assert not found.passed


def test_a_day_that_is_missing_is_found_with_the_events_of_its_neighbour(
    company: str, contracts: Contracts
) -> None:
    spoil(
        company,
        "delete from batuta_marts.fct_product_daily where product = 'arcsat' and business_date = '2025-10-01'",
    )
    (broken,) = outcome(company, contracts["fct_product_daily"]).broken
    assert broken.rule.name == "no_day_is_missing"
    (row,) = broken.evidence
    assert row.key == {"product": "arcsat", "business_date": "2025-10-02"}
    assert row.events


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("alter table batuta_marts.fct_orders drop column net_sales cascade", "has no column net_sales"),
        ("drop table batuta_marts.fct_orders cascade", "batuta_marts.fct_orders is not there"),
    ],
)
def test_a_relation_of_another_shape_is_a_problem_and_never_a_pass(
    company: str, contracts: Contracts, statement: str, said: str
) -> None:
    spoil(company, statement)
    found = outcome(company, contracts["fct_orders"])
    assert said in str(found.problem)
    assert not found.passed


def test_a_column_of_another_type_is_a_problem(company: str, contracts: Contracts) -> None:
    contract = contracts["fct_orders"]
    fields = tuple(
        replace(f, physical_type="bigint") if f.name == "line_count" else f for f in contract.fields
    )
    found = outcome(company, replace(contract, fields=fields))
    assert f"line_count is integer; {contract.reference} promises bigint" in str(found.problem)


def test_a_condition_that_cannot_be_computed_is_a_problem(company: str, contracts: Contracts) -> None:
    contract = contracts["fct_orders"]
    rules = tuple(
        replace(r, condition="no_such_column > 1") if r.kind == "condition" else r for r in contract.rules
    )
    found = outcome(company, replace(contract, rules=rules))
    assert "no_such_column" in str(found.problem)
    assert not found.passed


def test_a_check_cannot_write(company: str) -> None:
    with (
        connect(company, "owner") as conn,
        reading(conn),
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        conn.execute("insert into batuta.horizons values ('x', '2025-01-01')")
