"""A refresh of the marts holds them to their contracts; a break for one product is kept and stops nobody else."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from batuta.manifests.graph import CompiledGraph
from batuta.quality.breaks import breaks, last_checks
from batuta.quality.contract import DataContract
from batuta.settings import Settings
from batuta.warehouse.connection import Connection, Role, connect
from batuta_assets.dbt import dbt_assets
from batuta_assets.gates import is_refreshed, structural_problem
from batuta_assets.pipelines import refresh_job
from batuta_assets.quality.standing import marts_digest, refusal, standing
from batuta_assets.runtime import Runtime
from tests.integration.quality.conftest import spoil
from tests.support.dbt import PROJECT, manifest

Contracts = dict[str, DataContract]


class TestRuntime(Runtime):
    """A run's surroundings with a database of the test's own."""

    __test__ = False
    url: str
    home: str

    def settings(self) -> Settings:
        return Settings(project=PROJECT, home=Path(self.home))

    def database_url(self) -> str:
        return self.url

    def connect(self, role: Role) -> Connection:
        return connect(self.url, role)

    def now(self) -> datetime:
        return datetime(2025, 11, 13, 9, 0, tzinfo=UTC)


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
    assert set(said) == set(contracts)
    assert not said["fct_orders"].passed
    assert said["dim_customers"].passed
    assert "lojablock" in str(said["fct_orders"].description)
    with connect(company, "reader") as conn:
        assert structural_problem(conn) is None
        assert is_refreshed(conn, marts_digest(manifest(), contracts.values()))
        assert {last.contract for last in last_checks(conn)} == set(contracts)
        found = breaks(conn)
        assert {b.product for b in found} == {"lojablock"}
        assert ("fct_orders", "gross_sales_minimum") in {(b.contract, b.rule) for b in found}
        assert all(b.events for b in found if b.contract == "fct_orders")
        assert refusal(standing(conn, "arcsat"), contracts) is None
        assert "fct_orders 1.0.0 is broken for lojablock" in str(
            refusal(standing(conn, "lojablock"), contracts)
        )
