"""A contract is counted again for the products whose data were written since, and what is said of all is the same."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.quality.breaks import breaks
from batuta.quality.check import Outcome, check, reading
from batuta.quality.contract import DataContract
from batuta.warehouse.connection import connect
from batuta_assets.dbt_manifest import DbtManifest
from batuta_assets.quality.holding import hold, product_contracts
from batuta_assets.quality.touched import contract_tables
from tests.integration.quality.conftest import TestRuntime, spoil
from tests.support.dbt import manifest

Contracts = dict[str, DataContract]
OF_PRODUCTS = ("fct_orders", "fct_product_daily", "kpi_daily", "fct_cohorts", "dim_customers")
CHANGES = {
    "an order of less than nothing": (
        "update batuta_marts.fct_orders set gross_sales = -gross_sales where (product, order_id) in (select product, "
        "min(order_id) from batuta_marts.fct_orders where product = %s and gross_sales <> 0 group by product)"
    ),
    "a day that is missing": (
        "update batuta_marts.fct_product_daily set business_date = business_date - 1000 where (product, "
        "business_date) in (select product, max(business_date) from batuta_marts.fct_product_daily where product = %s "
        "group by product)"
    ),
    "a customer without sales": (
        "update batuta_marts.dim_customers set net_sales = sales - returns + 1 where (product, customer_key) in "
        "(select product, min(customer_key) from batuta_marts.dim_customers where product = %s group by product)"
    ),
    "the customer mended": "update batuta_marts.dim_customers set net_sales = sales - returns where product = %s",
    "another margin": "update batuta.products set gross_margin = 0.5 where product = %s",
}


def held(
    url: str, contracts: list[DataContract], hours: int = 0, models: DbtManifest | None = None
) -> list[Outcome]:
    runtime = TestRuntime(url=url, home="unused", hours=hours)
    return hold(
        runtime.connect, contracts, batch=1, now=runtime.now(), run_id="run", manifest=models or manifest()
    )


def whole(url: str, contract: DataContract) -> Outcome:
    with connect(url, "reader") as conn, reading(conn):
        return check(conn, contract)


def test_the_tables_of_every_contract_of_products_are_known(contracts: Contracts) -> None:
    found = contract_tables(product_contracts(contracts.values(), manifest()), manifest())
    unknown = {name for name, tables in found.items() if tables is None}
    assert unknown == {name for name in found if not contracts[name].by_product}
    assert found["kpi_daily"] == {
        "batuta_marts.fct_product_daily", "batuta.products", "batuta.ltv_predictions"
    }  # fmt: skip
    assert found["fct_orders"] == {"batuta_marts.fct_orders", "batuta_intermediate.int_orders"}


def test_nothing_is_counted_again_where_nothing_was_written(company: str, contracts: Contracts) -> None:
    own = [c for c in product_contracts(contracts.values(), manifest()) if c.by_product]
    first = held(company, own)
    assert {outcome.counted for outcome in first} == {None}
    second = held(company, own)
    assert {outcome.counted for outcome in second} == {frozenset()}
    assert [outcome.rows for outcome in second] == [outcome.rows for outcome in first]


def test_only_the_product_that_was_written_is_counted(company: str, contracts: Contracts) -> None:
    own = [contracts[name] for name in OF_PRODUCTS]
    held(company, own)
    spoil(company, CHANGES["an order of less than nothing"], "arcsat")
    orders, daily, kpis, cohorts, customers = held(company, own)
    assert orders.counted == cohorts.counted == customers.counted == {"arcsat"}
    assert daily.counted == {"arcsat"}  # its products are expected where there are orders
    assert kpis.counted == frozenset()
    assert {b.product for b in orders.broken} == {"arcsat"}
    again, *_ = held(company, own)
    assert again.counted == {"arcsat"}, "what is broken is looked at until it is mended"
    assert [b.text for b in again.broken] == [b.text for b in orders.broken]


@pytest.mark.parametrize("change", ["a day later", "other models", "another contract"])
def test_all_are_counted(company: str, contracts: Contracts, change: str) -> None:
    contract, models, hours = contracts["fct_orders"], manifest(), 0
    held(company, [contract])
    match change:
        case "a day later":
            (soon,) = held(company, [contract], hours=23)
            assert soon.counted == frozenset(), "the day begins with the last count of all"
            hours = 24
        case "other models":
            models = replace(models, digest="another")
        case _:
            contract = replace(contract, digest="another")
    (found,) = held(company, [contract], hours, models)
    assert found.counted is None


def test_a_table_restored_from_another_server_is_counted_whole(company: str, contracts: Contracts) -> None:
    contract = contracts["fct_orders"]
    held(company, [contract])
    with connect(company, "owner") as conn:
        conn.execute("update batuta.contract_checks set seen_before = seen_before + 1000000")
    (found,) = held(company, [contract])
    assert found.counted is None


def test_whatever_was_written_the_outcome_is_that_of_counting_all(company: str, contracts: Contracts) -> None:
    own = [contracts[name] for name in OF_PRODUCTS]
    held(company, own)
    counted: set[frozenset[str] | None] = set()

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(
            st.tuples(st.sampled_from(sorted(CHANGES)), st.sampled_from(["arcsat", "lojablock"])), max_size=2
        )
    )
    def same(changes: list[tuple[str, str]]) -> None:
        for name, product in changes:
            spoil(company, CHANGES[name], product)
        for contract, found in zip(own, held(company, own), strict=True):
            counted.add(found.counted)
            expected = whole(company, contract)
            assert dict(found.rows) == dict(expected.rows)
            assert found.broken == expected.broken
            with connect(company, "reader") as conn:
                open_now = {(b.rule, b.product) for b in breaks(conn, contracts=[contract.name])}
            assert open_now == {(b.rule.name, b.product) for b in expected.broken}

    same()
    assert counted > {None, frozenset()}
