"""What the dbt manifest says becomes assets and checks; what dbt says of a run becomes results."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from batuta_assets.dbt import check_name, check_result, failure_text, model_spec
from batuta_assets.dbt_manifest import DataTest, DbtManifest, read_manifest
from batuta_assets.dbt_run import NodeResult
from sensors.due import DueRun


def model(name: str, layer: str, depends_on: list[str]) -> dict[str, Any]:
    return {
        "unique_id": f"model.p.{name}",
        "name": name,
        "alias": name,
        "resource_type": "model",
        "schema": f"batuta_{layer}",
        "fqn": ["p", layer, name],
        "config": {"schema": layer, "materialized": "view", "meta": {"dagster": {"owners": ["team:vox"]}}},
        "description": "What it is.",
        "columns": {"order_id": {"description": "The order.", "data_type": "text"}},
        "depends_on": {"nodes": depends_on},
        "original_file_path": f"models/{name}.sql",
        "checksum": {"checksum": "c" * 64},
    }


def data_test(name: str, nodes: list[str], severity: str, attached: str | None) -> dict[str, Any]:
    return {
        "unique_id": f"test.p.{name}",
        "name": name,
        "resource_type": "test",
        "config": {"severity": severity},
        "depends_on": {"nodes": nodes},
        "attached_node": attached,
        "checksum": {"checksum": ""},
    }


@pytest.fixture
def manifest(tmp_path: Path) -> DbtManifest:
    source = {
        "config": {"meta": {"dagster": {"asset_key": ["shopify", "orders"]}}},
        "source_name": "s",
        "name": "t",
        "schema": "batuta",
        "identifier": "history",
    }
    nodes = [
        model("stg", "staging", ["source.p.orders"]),
        model("live_orders", "live", ["model.p.stg"]),
        data_test("unique_stg", ["model.p.stg"], "error", "model.p.stg"),
        data_test("agree.both", ["model.p.stg", "model.p.live_orders"], "WARN", None),
        data_test("source_only", ["source.p.orders"], "error", None),
    ]
    document = {"nodes": {node["unique_id"]: node for node in nodes}, "sources": {"source.p.orders": source}}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(document), "utf-8")
    return read_manifest(path)


def test_a_version_that_is_kept_beside_the_latest_is_an_asset_of_its_own(tmp_path: Path) -> None:
    latest = model("kpi_daily", "marts", []) | {"unique_id": "model.p.kpi_daily.v2", "version": 2}
    older = model("kpi_daily", "marts", []) | {"unique_id": "model.p.kpi_daily.v1", "version": 1}
    older["alias"] = "kpi_daily_v1"
    document = {"nodes": {node["unique_id"]: node for node in (latest, older)}, "sources": {}}
    path = tmp_path / "versions.json"
    path.write_text(json.dumps(document))

    found = read_manifest(path).models
    assert [(m.name, m.key, m.relation, m.version, m.declared_name) for m in found.values()] == [
        ("kpi_daily", ("marts", "kpi_daily"), "batuta_marts.kpi_daily", 2, "kpi_daily"),
        ("kpi_daily_v1", ("marts", "kpi_daily_v1"), "batuta_marts.kpi_daily_v1", 1, "kpi_daily"),
    ]


def test_a_model_is_known_by_layer_and_name_and_leads_back_to_its_source(manifest: DbtManifest) -> None:
    spec = model_spec(manifest.models["model.p.stg"], manifest, "http://docs")
    assert spec.key == dg.AssetKey(["staging", "stg"])
    assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey(["shopify", "orders"])]
    assert spec.owners == ["team:vox"]
    assert spec.metadata["dagster/table_name"] == "batuta_staging.stg"
    assert manifest.sources_of_relations("live") == {"live_orders": frozenset({("shopify", "orders")})}
    assert manifest.source_relations == {"source.p.orders": "batuta.history"}


def test_a_test_checks_the_model_it_stands_at_and_knows_the_others(manifest: DbtManifest) -> None:
    assert manifest.tests["test.p.unique_stg"].severity == "error"
    both = manifest.tests["test.p.agree.both"]
    assert (both.model, both.others, both.severity) == ("model.p.stg", ("model.p.live_orders",), "warn")
    assert check_name(both) == "agree_both"


def test_a_test_that_looks_at_no_model_is_no_check(manifest: DbtManifest) -> None:
    assert "test.p.source_only" not in manifest.tests


@pytest.mark.parametrize(
    ("status", "passed"),
    [("pass", True), ("fail", False), ("warn", False), ("error", False), ("skipped", False)],
)
def test_only_a_test_that_ran_and_found_nothing_has_passed(status: Any, passed: bool) -> None:
    test = DataTest("test.p.t", "t", "model.p.m", (), "error", "")
    result = check_result(test, dg.AssetKey("m"), NodeResult("test.p.t", status, "", 1, None, 0.1))
    assert result.passed == passed


def test_a_failed_refresh_says_what_is_not_launched_because_of_it() -> None:
    due = [DueRun("arcsat-review", "arcsat", date(2025, 11, 12))]
    said = failure_text(["unique_stg"], [], due, "2025-11-12T09:00:00+00:00")
    assert "dbt failed on unique_stg" in said
    assert "Not launched, though due at 2025-11-12T09:00:00+00:00" in said
    assert "arcsat-review for arcsat" in said
