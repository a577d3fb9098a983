"""Source assets say what they are: types, fields, what is personal, and how fresh they are to be."""

from datetime import timedelta

import dagster as dg
import pytest

from batuta.contracts.contract import Contracts
from batuta.events.types import datasets
from batuta.manifests.graph import CompiledGraph
from batuta.manifests.models import ConnectorBinding
from batuta_assets.sources import SELDOM, freshness, source_specs
from tests.support.listening import bound

CONTRACTS = Contracts.load()


def specs(graph: CompiledGraph | None = None) -> dict[tuple[str, ...], dg.AssetSpec]:
    return {tuple(s.key.path): s for s in source_specs(graph or CompiledGraph(), CONTRACTS)}


def columns(spec: dg.AssetSpec) -> dict[str, dg.TableColumn]:
    schema = spec.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    return {column.name: column for column in schema.columns}


def account(fresh_within: str | None = None) -> ConnectorBinding:
    return ConnectorBinding(type="shopify", settings={"freshWithin": fresh_within} if fresh_within else {})


def test_every_dataset_of_every_connector_is_there_below_the_connectors_accounts() -> None:
    found = specs()
    for connector, names in datasets().items():
        assert found[connector, "accounts"].group_name == connector
        for name in names:
            (dep,) = found[connector, name].deps
            assert dep.asset_key == dg.AssetKey([connector, "accounts"])


def test_columns_are_the_contracts_fields_and_say_what_is_personal_at_any_depth() -> None:
    found = columns(specs()["shopify", "orders"])
    assert found["id"].type == "integer"
    assert found["id"].constraints.nullable is False
    personal = {name: c for name, c in found.items() if c.tags}
    contract = CONTRACTS.get("shopify.order")
    assert set(contract.personal) <= set(personal)
    for name, rule in contract.personal.items():
        assert personal[name].tags == {"personal": rule.kind, "rule": rule.rule}
        assert rule.kind in str(personal[name].description)


def test_a_dataset_of_several_contracts_has_the_fields_of_all() -> None:
    found = columns(specs()["github", "deployments"])
    for name in ("github.deployment", "github.deployment_status"):
        assert set(CONTRACTS.get(name).root.properties) <= set(found)


def test_a_projects_own_events_have_no_columns_of_ours() -> None:
    assert "dagster/column_schema" not in specs()["events", "other"].metadata


def test_an_account_says_how_fresh_its_data_is_to_be_and_the_shortest_promise_counts() -> None:
    graph = bound({"arcsat": [account("P2D")], "loja": [account("PT6H"), account()]})
    found = specs(graph)
    for name in datasets()["shopify"]:
        assert found["shopify", name].freshness_policy == freshness(timedelta(hours=6))
    assert found["github", "issues"].freshness_policy == specs()["github", "issues"].freshness_policy


@pytest.mark.parametrize("value", ["soon", "", "[]"])
def test_a_promise_that_cannot_be_read_is_none(value: str) -> None:
    graph = bound({"arcsat": [ConnectorBinding(type="shopify", settings={"freshWithin": value})]})
    assert specs(graph)["shopify", "orders"].freshness_policy == freshness(timedelta(days=7))


def test_what_comes_seldom_is_not_called_stale() -> None:
    for key, spec in specs().items():
        if key[-1] in SELDOM or key[0] == "events":
            assert spec.freshness_policy is None
