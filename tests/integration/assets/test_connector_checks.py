"""The checks of connectors, made by hand in a run: all of them or one, each with its verdict."""

import dagster as dg
import pytest

from batuta.contracts.contract import Contracts
from batuta.events.types import datasets
from batuta.keys import create_keys
from batuta.manifests.graph import CompiledGraph
from batuta.settings import Settings
from batuta_assets.connector_checks import check_key, connector_checks
from batuta_assets.runtime import Runtime
from batuta_assets.sources import source_specs
from examples.vendors.github import GitHub
from sensors.liveness.evaluate import check_names
from tests.support.listening import bound, repository, write_secrets


def made(graph: CompiledGraph, selection: dg.AssetSelection) -> dict[str, dg.AssetCheckEvaluation]:
    """What the checks say, run by hand."""
    defs = dg.Definitions(
        assets=list(source_specs(graph, Contracts.load())),
        asset_checks=list(connector_checks(graph)),
        jobs=[dg.define_asset_job("by_hand", selection=selection, executor_def=dg.in_process_executor)],
        resources={"runtime": Runtime()},
    )
    result = defs.resolve_job_def("by_hand").execute_in_process()
    return {f"{e.asset_key.path[-1]}/{e.check_name}": e for e in result.get_asset_check_evaluations()}


@pytest.fixture
def installation(database_url: str, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Settings:
    monkeypatch.setenv("BATUTA_DATABASE_URL", database_url)
    create_keys(settings.home)
    write_secrets(settings)
    return settings


def test_every_check_of_a_connector_says_something(installation: Settings) -> None:
    with GitHub() as vendor:
        graph = bound({"arcsat": [repository(vendor)]})
    names = check_names(datasets()["github"])
    keys = [check_key("github", name) for name in names]
    found = made(graph, dg.AssetSelection.checks(*keys))
    assert set(found) == {"/".join(name) for name in names}
    assert not found["accounts/polling"].passed
    assert "never been polled" in (found["accounts/polling"].description or "")
    assert found["issues/gaps"].passed


def test_one_check_can_be_made_by_itself(installation: Settings) -> None:
    key = check_key("github", ("accounts", "completeness"))
    found = made(CompiledGraph(), dg.AssetSelection.checks(key))
    assert set(found) == {"accounts/completeness"}
    assert (found["accounts/completeness"].description or "").startswith("There is nothing to check")
