"""The code location of the example company, as the server loads it: complete, honest, and light."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from batuta.errors import BatutaError
from batuta.events.types import datasets
from batuta.manifests.bundle import BundleError, write_bundle
from batuta.manifests.graph import CompiledGraph
from batuta.manifests.project import check_path
from batuta.quality.reading import enforced, load
from batuta.settings import Settings, get_settings
from batuta_agents.catalog import catalog as skills
from batuta_assets.catalog import project_catalog
from batuta_assets.dbt_manifest import ManifestError, read_manifest
from batuta_assets.graph import Score, UnknownSkill, definitions
from batuta_assets.locations import load_graph, locations
from batuta_cli.stack import dagster_home
from tests.support.dbt import PROJECT, manifest
from tests.support.score import company, pipeline, product

PARTITIONED_BY_PRODUCT = set(datasets())


@pytest.fixture(scope="module")
def graph() -> CompiledGraph:
    checked = check_path(PROJECT / "examples" / "arcsat", project_catalog(manifest()))
    assert [str(problem) for problem in checked.errors] == []
    assert checked.compilation.graph is not None
    return checked.compilation.graph


@pytest.fixture(scope="module")
def defs(graph: CompiledGraph) -> dg.Definitions:
    shipped = enforced(load([PROJECT / "dbt_project" / "contracts"]))
    return definitions(Score(graph, manifest(), skills(), "http://127.0.0.1:8601", data_contracts=shipped))


@pytest.fixture(scope="module")
def nodes(defs: dg.Definitions) -> list[dg.AssetSpec]:
    found = list(defs.resolve_all_asset_specs())
    assert found
    return found


def test_definitions_load_as_the_server_loads_them(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_no_asset_is_a_stub_of_a_key_that_nobody_makes(nodes: list[dg.AssetSpec]) -> None:
    assert [n.key for n in nodes if "dagster/auto_created_stub_asset" in n.metadata] == []


def test_every_asset_says_whose_it_is_and_what_it_is(nodes: list[dg.AssetSpec]) -> None:
    for node in nodes:
        name = node.key.to_user_string()
        assert node.owners, name
        assert all(owner.startswith("team:") for owner in node.owners), name
        assert node.group_name, name
        assert node.group_name != "default", name
        assert node.kinds, name
        assert node.description, name
        assert node.metadata, name


def test_a_product_is_a_partition_and_never_part_of_a_key(
    nodes: list[dg.AssetSpec], graph: CompiledGraph
) -> None:
    names = {p.name for p in graph.products}
    assert [n.key for n in nodes if names & {part for key in n.key.path for part in key.split("_")}] == []


def test_sources_are_partitioned_by_product_dbt_not_at_all_and_analyses_by_product_and_day(
    nodes: list[dg.AssetSpec],
) -> None:
    for node in nodes:
        if node.key.path[0] in PARTITIONED_BY_PRODUCT:
            assert isinstance(node.partitions_def, dg.DynamicPartitionsDefinition), node.key
        elif node.group_name in {"ingest", "agents", "kpis", "reports"}:
            assert isinstance(node.partitions_def, dg.MultiPartitionsDefinition), node.key
        else:
            assert node.partitions_def is None, node.key


def test_lineage_runs_from_the_connectors_to_the_report(defs: dg.Definitions) -> None:
    asset_graph = defs.resolve_asset_graph()
    upstream = {
        key.path[0] for key in asset_graph.get_ancestor_asset_keys(dg.AssetKey(["reports", "daily_review"]))
    }
    assert {"shopify", "staging", "intermediate", "live", "ingest", "sigma"} <= upstream
    roots = {key.path[0] for key in asset_graph.root_materializable_asset_keys}
    assert roots <= {"staging", "ingest", "vector", "marts"}


def test_every_dbt_test_is_a_check_and_structural_ones_block(defs: dg.Definitions) -> None:
    asset_graph = defs.resolve_asset_graph()
    checks = {key: asset_graph.get_check_spec(key) for key in asset_graph.asset_check_keys}
    dbt_checks = {k: s for k, s in checks.items() if "dbt_test" in s.metadata}
    assert len(dbt_checks) == len(manifest().tests) > 0
    for spec in dbt_checks.values():
        assert spec.blocking == (spec.metadata["severity"] == "error"), spec.name


def test_every_ingest_gate_has_blocking_checks(defs: dg.Definitions, nodes: list[dg.AssetSpec]) -> None:
    asset_graph = defs.resolve_asset_graph()
    gates = [node.key for node in nodes if node.group_name == "ingest"]
    assert gates
    for key in gates:
        for name in ("row_rules", "structure", "contracts"):
            assert asset_graph.get_check_spec(dg.AssetCheckKey(key, name)).blocking


def test_every_mart_has_its_contract_a_suite_and_a_promise_of_freshness(defs: dg.Definitions) -> None:
    asset_graph = defs.resolve_asset_graph()
    marts = [key for key in asset_graph.materializable_asset_keys if key.path[0] == "marts"]
    assert len(marts) >= 20
    for key in marts:
        assert not asset_graph.get_check_spec(dg.AssetCheckKey(key, "contract")).blocking
        assert asset_graph.get_check_spec(dg.AssetCheckKey(key, "suite")).blocking
        assert not asset_graph.get_check_spec(dg.AssetCheckKey(key, "fresh")).blocking


def test_there_is_a_job_per_pipeline_and_one_refresh_of_all_of_dbt(
    defs: dg.Definitions, graph: CompiledGraph
) -> None:
    jobs = {job.name for job in defs.resolve_all_job_defs()}
    assert {p.name.replace("-", "_") for p in graph.pipelines} | {"refresh_marts"} <= jobs
    refresh = defs.resolve_job_def("refresh_marts")
    assert {key.path[0] for key in refresh.asset_layer.executable_asset_keys} == {
        "staging",
        "intermediate",
        "marts",
        "live",
    }


def test_a_refresh_runs_dbt_and_the_slow_checks_are_a_job_of_their_own(defs: dg.Definitions) -> None:
    steps = {
        name: {node.name for node in defs.resolve_job_def(name).nodes}
        for name in ("refresh_marts", "refresh_platform", "data_quality")
    }
    assert steps["refresh_marts"] == {"dbt_build"}
    assert steps["refresh_platform"] == {"dbt_platform"}
    assert "odd_and_late" in steps["data_quality"]
    assert {"suite_fct_orders", "suite_prices"} <= steps["data_quality"]
    assert not {"dbt_build", "dbt_platform"} & steps["data_quality"]


def test_a_pipelines_job_never_runs_dbt(defs: dg.Definitions) -> None:
    keys = defs.resolve_job_def("arcsat_daily_review").asset_layer.executable_asset_keys
    assert not {"staging", "intermediate", "marts", "live"} & {key.path[0] for key in keys}


def test_every_sensor_and_schedule_is_running_and_none_is_added_behind_our_back(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    sensors = {s.name: s.default_status for s in repository.sensor_defs}
    assert set(sensors) == {
        *(f"connector_{name}" for name in datasets()),
        "event_triggers",
        "due_pipelines",
        "platform_facts",
        "predicted_ltv_due",
        "privacy_requests_sensor",
        "data_contracts",
    }
    assert set(sensors.values()) == {dg.DefaultSensorStatus.RUNNING}
    schedules = {s.name: s.default_status for s in repository.schedule_defs}
    assert set(schedules) == {
        "cron_0_6_any_any_any__america_sao_paulo",
        "refresh_marts_hourly",
        "refresh_platform_hourly",
        "retention_daily",
    }
    assert set(schedules.values()) == {dg.DefaultScheduleStatus.RUNNING}


def test_every_sensor_can_tick_at_once_and_leaves_room_for_the_ui(defs: dg.Definitions) -> None:
    sensors = len(defs.get_repository_def().sensor_defs)
    written = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text("utf-8"))
    assert sensors <= written["sensors"]["num_workers"]
    environment = dagster_home.environment(get_settings(), "postgresql://127.0.0.1/batuta")
    for name in ("DAGSTER_CODE_SERVER_MAX_WORKERS", "DAGSTER_GRPC_MAX_WORKERS"):
        assert int(environment[name]) >= 2 * sensors


def test_without_manifests_there_are_sources_and_dbt() -> None:
    defs = definitions(Score(CompiledGraph(), manifest(), skills(), "http://docs"))
    groups = {spec.group_name for spec in defs.resolve_all_asset_specs()}
    assert {"shopify", "staging", "marts"} <= groups
    assert not {"ingest", "agents", "reports"} & groups


def test_a_bundle_with_a_skill_that_is_not_installed_is_an_error(graph: CompiledGraph) -> None:
    with pytest.raises(UnknownSkill, match=r"sigma\.finance\.reconcile"):
        definitions(Score(graph, manifest(), (), "http://docs"))


def test_a_missing_bundle_is_an_empty_company_and_a_broken_one_an_error(settings: Settings) -> None:
    found = locations(settings)
    assert load_graph(found) == CompiledGraph()
    write_bundle(settings.home, company([product("arcsat")], [pipeline("review", ["arcsat"])]))
    assert load_graph(found).products
    found.bundle.write_text(found.bundle.read_text("utf-8").replace("arcsat", "other"), "utf-8")
    with pytest.raises(BundleError, match="batuta apply"):
        load_graph(found)


@pytest.mark.parametrize("content", [None, "not json", json.dumps({"nodes": {}}), json.dumps([])])
def test_a_manifest_that_cannot_be_read_is_an_error_that_says_what_to_do(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert isinstance(caught.value, BatutaError)
    assert "dbt parse" in str(caught.value.hint)


HEAVY = (
    "dbt.cli",
    "dagster_dbt",
    "great_expectations",
    "pandas",
    "numpy",
    "scipy",
    "matplotlib",
    "presidio_analyzer",
    "langchain",
    "jsonschema",
    "pyarrow",
    "psutil",
    "ruamel",
    "sqlglot",
    "tarfile",
)


def test_loading_imports_nothing_heavy() -> None:
    code = f"import sys, batuta_assets.definitions; print([m for m in {HEAVY!r} if m in sys.modules])"
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert outcome.stdout.strip() == "[]"
