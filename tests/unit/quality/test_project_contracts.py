"""A project's own contracts are checked with its manifests and come into force when it is applied."""

import shutil
from pathlib import Path

import pytest

from batuta.manifests.project import check_path
from batuta.quality.reading import ContractsWrong, apply_contracts, enforced, in_force
from batuta_assets.catalog import project_catalog
from tests.support.dbt import PROJECT, manifest

OWN = Path("contracts") / "accounting_orders.odcs.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "company"
    for name in ("agents", "products", "pipelines", "contracts"):
        shutil.copytree(PROJECT / "examples" / "arcsat" / name, folder / name)
    return folder


def test_validate_says_where_a_projects_contract_does_not_fit_what_dbt_builds(project: Path) -> None:
    catalog = project_catalog(manifest(), PROJECT / "dbt_project")
    assert [str(p) for p in check_path(project, catalog).errors] == []
    file = project / OWN
    text = file.read_text("utf-8").replace("name: net_sales", "name: net_sale")
    file.write_text(text, "utf-8")
    (problem,) = check_path(project, catalog).errors
    line = next(n for n, found in enumerate(text.splitlines(), 1) if "name: net_sale" in found)
    assert str(problem).startswith(f"{file}:{line}:15: schema[0].properties[8].name: no column")
    assert 'did you mean "net_sales"?' in problem.message


def test_an_applied_contract_is_in_force_beside_the_shipped_ones(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = {c.name for c in enforced(in_force(PROJECT, home))}
    assert apply_contracts(project, home) == {OWN.name: "created"}
    assert {c.name for c in enforced(in_force(PROJECT, home))} == before | {"accounting_orders"}
    retired = (project / OWN).read_text("utf-8").replace("status: active", "status: retired")
    (project / OWN).write_text(retired, "utf-8")
    assert apply_contracts(project, home) == {OWN.name: "updated"}
    assert {c.name for c in enforced(in_force(PROJECT, home))} == before


def test_a_contract_in_force_that_cannot_be_read_is_an_error_and_not_left_out(
    project: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (project / OWN).write_text("apiVersion: v3.1.0\nkind: DataContract\n", "utf-8")
    apply_contracts(project, home)
    with pytest.raises(ContractsWrong, match="accounting_orders"):
        in_force(PROJECT, home)
