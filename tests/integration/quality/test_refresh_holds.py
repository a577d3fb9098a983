"""A refresh of the marts holds them to their contracts; a break for one product is kept and stops nobody else."""

from pathlib import Path

import dagster as dg
import pytest

from batuta.manifests.graph import CompiledGraph
from batuta.platform.objectives import write_objectives
from batuta.quality.breaks import blocked, breaks, last_checks, record
from batuta.quality.check import check, reading
from batuta.quality.contract import DataContract
from batuta.warehouse.connection import connect
from batuta_assets.dbt import dbt_assets
from batuta_assets.gates import is_refreshed, structural_problem
from batuta_assets.pipelines import refresh_job
from batuta_assets.platform import platform_assets, refresh_platform_job
from batuta_assets.quality.holding import platform_contracts, product_contracts
from batuta_assets.quality.standing import marts_digest, refusal, standing
from tests.integration.quality.conftest import NOW, TestRuntime, spoil
from tests.support.dbt import manifest
from tests.support.platform import DAY, at, two_days
from tests.support.score import company as example
from tests.support.score import pipeline, product

Contracts = dict[str, DataContract]
PROMISED = example([product("casa")], [pipeline("review", ["casa"], crons=["0 6 * * *"])])


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def refreshed(url: str, home: Path, contracts: Contracts) -> dg.ExecuteInProcessResult:
    models = dbt_assets(manifest(), CompiledGraph(), "http://docs", list(contracts.values()))
    defs = dg.Definitions(
        assets=[models],
        jobs=[refresh_job(models)],
        resources={"runtime": TestRuntime(url=url, home=str(home))},
    )
    return defs.resolve_job_def("refresh_marts").execute_in_process(raise_on_error=False)


def test_a_refresh_checks_every_contract_and_tells_the_gates_what_is_broken_for_whom(
    company: str, contracts: Contracts, home: Path
) -> None:
    spoil(
        company,
        "update batuta_marts.fct_orders set gross_sales = -5 where (product, order_id) in "
        "(select product, order_id from batuta_marts.fct_orders where product = 'lojablock' and is_sale limit 1)",
    )
    result = refreshed(company, home, contracts)
    assert result.success
    said = {
        e.asset_key.path[-1]: e for e in result.get_asset_check_evaluations() if e.check_name == "contract"
    }
    own = {contract.name for contract in product_contracts(contracts.values(), manifest())}
    assert set(said) == own
    assert {"fct_pipeline_runs", "prices"} <= set(contracts) - own
    assert not said["fct_orders"].passed
    assert said["dim_customers"].passed
    assert "lojablock" in str(said["fct_orders"].description)
    with connect(company, "reader") as conn:
        assert structural_problem(conn) is None
        assert is_refreshed(conn, marts_digest(manifest(), contracts.values()))
        assert {last.contract for last in last_checks(conn)} == own
        found = breaks(conn)
        assert {b.product for b in found} == {"lojablock"}
        assert ("fct_orders", "gross_sales_minimum") in {(b.contract, b.rule) for b in found}
        assert all(b.events for b in found if b.contract == "fct_orders")
        assert refusal(standing(conn, "arcsat"), own) is None
        broken = f"{contracts['fct_orders'].reference} is broken for lojablock"
        assert broken in str(refusal(standing(conn, "lojablock"), own))


def platform_refreshed(url: str, home: Path, contracts: Contracts) -> dg.ExecuteInProcessResult:
    models = platform_assets(manifest(), CompiledGraph(), "http://docs", list(contracts.values()))
    defs = dg.Definitions(
        assets=[models],
        jobs=[refresh_platform_job(models)],
        resources={"runtime": TestRuntime(url=url, home=str(home))},
    )
    return defs.resolve_job_def("refresh_platform").execute_in_process(raise_on_error=False)


def test_the_platforms_refresh_holds_its_own_models_and_closes_no_gate(
    company: str, contracts: Contracts, home: Path
) -> None:
    own = {contract.name for contract in platform_contracts(contracts.values(), manifest())}
    with connect(company, "owner") as conn:
        write_objectives(conn, PROMISED, at(0))
        two_days(conn)
        conn.commit()
    first = platform_refreshed(company, home, contracts)
    assert first.success
    said = {
        e.asset_key.path[-1]: e for e in first.get_asset_check_evaluations() if e.check_name == "contract"
    }
    assert set(said) == own
    assert {name for name, found in said.items() if not found.passed} == set()
    with connect(company, "reader") as conn:
        assert {last.contract for last in last_checks(conn)} == own
        assert all(last.sources == [] for last in last_checks(conn))
    spoil(
        company,
        "update batuta_marts.platform_kpi_daily set value = 101 where unit = 'percent' and day = %s",
        DAY,
    )
    with connect(company, "reader") as conn, reading(conn):
        found = check(conn, contracts["platform_kpi_daily"])
    assert {b.rule.name for b in found.errors} >= {"a_share_is_between_0_and_100"}
    with connect(company, "writer") as conn:
        record(conn, found, batch=1, now=NOW, run_id=None, sources=[])
        assert breaks(conn)
        assert [b.reason for b in blocked(conn) if b.concerns("casa", [])] == []
        assert [b.reason for b in blocked(conn) if b.concerns("casa", ["shopify/orders"])] == []
