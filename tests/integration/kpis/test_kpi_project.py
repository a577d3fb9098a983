"""What holds for every model of the dbt project, seen in a warehouse it has built."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from batuta.manifests.catalog import KPIS
from batuta.reports.lineage_words import model_page
from batuta.warehouse.connection import connect
from batuta_agents.catalog import catalog as skills
from tests.support.kpis_dbt import PROJECT, KpiWarehouse

LAYERS = {
    "staging": "stg_",
    "intermediate": "int_",
    "marts": ("fct_", "dim_", "kpi_", "platform_"),
    "live": "live_",
}
CLOCKS = re.compile(
    r"\b(now\s*\(|current_(date|time|timestamp)\b|local(time|timestamp)\b|clock_timestamp|statement_timestamp"
    r"|transaction_timestamp|timeofday|'(now|today|yesterday|tomorrow)')",
    re.IGNORECASE,
)

Nodes = dict[str, Any]
COST = "_cost_per_1000_events"
SERVICE = {
    "published_on_time",
    "runs_succeeded",
    "polls_succeeded",
    "events_fresh",
    "records_accounted",
    "deliveries_acknowledged",
}

EXPOSED = {
    "daily_review": {
        "sigma.finance.reconcile",
        "sigma.kpi.review",
        "vox.crm.playbook",
        "vox.campaign.draft",
    },
    "fraud_screen": {"echo.fraud.screen"},
}
"""The skills whose analyses stand in what an exposure names."""


@pytest.fixture(scope="module")
def nodes(kpi_warehouse: KpiWarehouse) -> Nodes:
    """The manifest's models by name."""
    manifest = json.loads((kpi_warehouse.target / "manifest.json").read_text())
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}


def compiled(kpi_warehouse: KpiWarehouse, node: Nodes) -> str:
    return (kpi_warehouse.target / "compiled" / "batuta" / node["original_file_path"]).read_text()


def test_every_column_is_told_and_every_told_column_exists(kpi_warehouse: KpiWarehouse, nodes: Nodes) -> None:
    with connect(kpi_warehouse.url, "owner") as conn:
        rows = conn.execute(
            "select table_schema, table_name, column_name from information_schema.columns "
            "where table_schema like 'batuta\\_%'"
        ).fetchall()
    there = {(schema, table, column) for schema, table, column in rows}
    manifest = json.loads((kpi_warehouse.target / "manifest.json").read_text())
    seeds = [node for node in manifest["nodes"].values() if node["resource_type"] == "seed"]
    told = {
        (node["schema"], node["name"], column)
        for node in (*nodes.values(), *seeds)
        for column, described in node["columns"].items()
        if described["description"].strip()
    }
    assert there == told


def test_every_model_states_its_grain_first_in_its_text_and_in_its_file(nodes: Nodes) -> None:
    for node in nodes.values():
        assert node["description"].startswith("One row per "), node["name"]
        assert node["raw_code"].startswith("-- One row per "), node["name"]


def test_every_model_lies_in_its_layer_with_group_owners_and_grants(nodes: Nodes) -> None:
    for name, node in nodes.items():
        layer = node["fqn"][1]
        assert name.startswith(LAYERS[layer]), name
        assert node["schema"] == f"batuta_{layer}"
        assert node["group"] == layer
        dagster = node["config"]["meta"]["dagster"]
        assert dagster["group"] == layer
        assert dagster["owners"]
        assert all(owner.startswith("team:") for owner in dagster["owners"])
        assert node["config"]["grants"] == {"select": ["batuta_reader"]}


def test_no_model_asks_what_day_it_is(kpi_warehouse: KpiWarehouse, nodes: Nodes) -> None:
    asking = [name for name, node in nodes.items() if CLOCKS.search(compiled(kpi_warehouse, node))]
    assert asking == []


def test_live_views_stand_on_nothing_that_a_refresh_replaces(nodes: Nodes) -> None:
    by_id = {node["unique_id"]: node for node in nodes.values()}
    for name, node in nodes.items():
        if node["config"]["materialized"] == "view":
            below = [by_id[parent] for parent in node["depends_on"]["nodes"] if parent in by_id]
            assert all(parent["config"]["materialized"] != "table" for parent in below), name


def test_every_mart_keeps_a_contract(nodes: Nodes) -> None:
    marts = [node for node in nodes.values() if node["fqn"][1] == "marts"]
    assert len(marts) >= 7
    assert all(node["config"]["contract"]["enforced"] for node in marts)


def test_every_mart_has_a_version_and_a_report_leads_to_the_page_of_the_latest(nodes: Nodes) -> None:
    marts = [node for node in nodes.values() if node["fqn"][1] == "marts"]
    assert {node["version"] == node["latest_version"] is not None for node in marts} == {True}
    linked = {name: node["unique_id"] for name, node in nodes.items() if not name.startswith("platform_")}
    assert {name: model_page("", name).rpartition("/")[2] for name in linked} == linked


def test_every_folding_model_has_a_position(kpi_warehouse: KpiWarehouse, nodes: Nodes) -> None:
    folding = {
        name
        for name, node in nodes.items()
        if node["config"]["materialized"] == "incremental"
        and name != "int_log_position"
        and "platform" not in node["config"]["tags"]
    }
    with connect(kpi_warehouse.url, "reader") as conn:
        rows = conn.execute("select model from batuta_intermediate.int_log_position").fetchall()
    assert {model for (model,) in rows} == folding


def test_sources_carry_the_keys_of_their_assets(kpi_warehouse: KpiWarehouse) -> None:
    manifest = json.loads((kpi_warehouse.target / "manifest.json").read_text())
    for source in manifest["sources"].values():
        assert source["meta"]["dagster"]["asset_key"] == [source["source_name"], source["name"]]


def test_the_catalogue_is_what_manifests_know_and_what_is_computed(
    kpi_warehouse: KpiWarehouse, nodes: Nodes
) -> None:
    catalogue = nodes["dim_kpis"]["config"]["meta"]["kpis"]
    platform = {name for name, kpi in catalogue.items() if kpi.get("scope") == "platform"}
    made = nodes["platform_kpi_daily"]["raw_code"]
    assert len(platform) >= 19
    assert all(name in made or name.split("_", 1)[1] in SERVICE or name.endswith(COST) for name in platform)
    with connect(kpi_warehouse.url, "reader") as conn:
        rows = conn.execute("select kpi from batuta_marts.dim_kpis order by position").fetchall()
        scopes = conn.execute("select kpi from batuta_marts.dim_kpis where scope = 'platform'").fetchall()
        row = conn.execute("select pg_get_viewdef('batuta_live.live_kpi_daily'::regclass)").fetchone()
    assert {name for (name,) in scopes} == platform
    names = [name for (name,) in rows if name not in platform]
    assert tuple(names) == KPIS
    assert row is not None
    computed = re.findall(r"\('(\w+)'::text,", row[0])
    assert sorted(set(computed)) == sorted(names)


def test_the_reader_may_read_everything_and_change_nothing(kpi_warehouse: KpiWarehouse, nodes: Nodes) -> None:
    with connect(kpi_warehouse.url, "reader") as conn:
        for node in nodes.values():
            relation = f"{node['schema']}.{node['name']}"
            row = conn.execute(
                "select has_schema_privilege(%s, 'usage'), has_table_privilege(%s, 'select'), "
                "has_table_privilege(%s, 'insert, update, delete, truncate')",
                (node["schema"], relation, relation),
            ).fetchone()
            assert row == (True, True, False), relation


def test_a_view_whose_text_has_not_changed_stands_through_a_refresh(kpi_warehouse: KpiWarehouse) -> None:
    query = (
        "select c.oid::regclass::text, c.oid from pg_class as c "
        "where c.relkind = 'v' and c.relnamespace::regnamespace::text like 'batuta\\_%' order by 1"
    )
    with connect(kpi_warehouse.url, "reader") as conn:
        before = conn.execute(query).fetchall()
    kpi_warehouse.refresh()
    with connect(kpi_warehouse.url, "reader") as conn:
        assert conn.execute(query).fetchall() == before
    assert len(before) >= 20


def test_a_new_time_zone_moves_the_days_of_what_is_recorded(kpi_warehouse: KpiWarehouse) -> None:
    from tests.support.kpis_events import line, order, record

    product = "moved"

    def day(relation: str) -> str:
        with connect(kpi_warehouse.url, "reader") as conn:
            row = conn.execute(
                f"select business_date::text from {relation} where product = %s".encode(), (product,)
            )
            return str(row.fetchall()[0][0])

    with connect(kpi_warehouse.url, "writer") as conn:
        zone = "insert into batuta.products values (%s, 'BRL', 'America/Sao_Paulo', 'pt-BR', '2024-01-01')"
        conn.execute(zone, (product,))
        record(conn, product, [order(1, "2024-03-01T02:30:00Z", line(1, "1.00"))])
    kpi_warehouse.refresh("--select", "int_log_position", "int_orders")
    assert day("batuta_intermediate.int_orders") == "2024-02-29"
    with connect(kpi_warehouse.url, "writer") as conn:
        conn.execute("update batuta.products set timezone = 'Asia/Tokyo' where product = %s", (product,))
    kpi_warehouse.refresh("--select", "int_log_position", "int_orders")
    assert day("batuta_intermediate.int_orders") == "2024-03-01"
    assert day("batuta_live.live_orders") == "2024-03-01"


def test_the_unit_tests_and_data_tests_of_the_project_pass(kpi_warehouse: KpiWarehouse) -> None:
    results = kpi_warehouse.run("test").results
    assert sum(result.node.resource_type == "unit_test" for result in results) >= 8
    assert sum(result.node.resource_type == "test" for result in results) >= 30


def test_the_docs_are_one_page_that_calls_nobody(kpi_warehouse: KpiWarehouse) -> None:
    kpi_warehouse.run("docs", "generate", "--static")
    page = (kpi_warehouse.target / "static_index.html").read_text()
    manifest = json.loads((kpi_warehouse.target / "manifest.json").read_text())
    assert manifest["metadata"]["send_anonymous_usage_stats"] is False
    assert "KPIs and what they are made of" in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']https?://", page)


def test_no_path_of_a_machine_is_in_the_project() -> None:
    for path in sorted(PROJECT.rglob("*")):
        if path.suffix in {".sql", ".yml", ".md"} and "target" not in path.relative_to(PROJECT).parts:
            assert not re.search(r"/(work|tmp|home|root)/", path.read_text()), Path(path).name


def test_every_column_of_a_source_that_the_documentation_shows_is_told(kpi_warehouse: KpiWarehouse) -> None:
    manifest = json.loads((kpi_warehouse.target / "manifest.json").read_text())
    for source in manifest["sources"].values():
        with connect(kpi_warehouse.url, "owner") as conn:
            rows = conn.execute(
                "select column_name from information_schema.columns where table_schema = %s and table_name = %s",
                (source["schema"], source["identifier"]),
            ).fetchall()
        told = {name for name, column in source["columns"].items() if column["description"].strip()}
        assert {row[0] for row in rows} == told, source["unique_id"]
        assert source["description"].strip()
        assert source["source_description"].strip()


def test_marts_and_live_views_are_told_in_the_database_and_may_be_built_on_by_anybody(
    kpi_warehouse: KpiWarehouse, nodes: Nodes
) -> None:
    with connect(kpi_warehouse.url, "owner") as conn:
        relations = dict(
            conn.execute(
                "select relnamespace::regnamespace || '.' || relname, obj_description(oid, 'pg_class') from pg_class "
                "where relkind in ('r', 'v') and relnamespace::regnamespace::text in ('batuta_marts', 'batuta_live')"
            ).fetchall()
        )
        columns = conn.execute(
            "select attrelid::regclass::text, attname, col_description(attrelid, attnum) from pg_attribute "
            "inner join pg_class on pg_class.oid = attrelid where attnum > 0 and not attisdropped "
            "and relkind in ('r', 'v') and relnamespace::regnamespace::text in ('batuta_marts', 'batuta_live')"
        ).fetchall()
    told = {f"{n['schema']}.{n['name']}": n for n in nodes.values() if n["fqn"][1] in {"marts", "live"}}
    seeds = {"batuta_marts.prices"}
    relations = {name: text for name, text in relations.items() if name not in seeds}
    columns = [row for row in columns if row[0] not in seeds]
    assert relations == {name: node["description"] for name, node in told.items()}
    assert {(r, c): text for r, c, text in columns} == {
        (name, column): described["description"]
        for name, node in told.items()
        for column, described in node["columns"].items()
    }
    assert {node["access"] for node in told.values()} == {"public"}
    assert {n["access"] for n in nodes.values() if n["fqn"][1] not in {"marts", "live"}} <= {
        "protected",
        "private",
    }


def test_a_view_that_is_told_anew_is_not_made_anew(kpi_warehouse: KpiWarehouse) -> None:
    def standing() -> tuple[Any, ...] | None:
        with connect(kpi_warehouse.url, "owner") as conn:
            return conn.execute(
                "select to_regclass('batuta_live.live_spend')::oid, "
                "obj_description('batuta_live.live_spend'::regclass, 'pg_class'), obj_description(oid, 'pg_rewrite') "
                "from pg_rewrite where ev_class = 'batuta_live.live_spend'::regclass"
            ).fetchone()

    before = standing()
    assert before is not None
    with connect(kpi_warehouse.url, "owner") as conn:
        conn.execute("comment on view batuta_live.live_spend is 'old words'")
        conn.execute(
            f"comment on rule \"_RETURN\" on batuta_live.live_spend is '{before[2].rpartition(':')[0]}:old'".encode()
        )
        conn.commit()
    kpi_warehouse.refresh("--select", "live_spend")
    assert standing() == before


def test_an_exposure_rests_on_all_that_its_skills_read(kpi_warehouse: KpiWarehouse) -> None:
    manifest = json.loads((kpi_warehouse.target / "manifest.json").read_text())
    rests = {
        exposure["name"]: {key.split(".")[2] for key in exposure["depends_on"]["nodes"]}
        for exposure in manifest["exposures"].values()
    }
    for exposure, uses in EXPOSED.items():
        for skill in (s for s in skills() if s.name in uses):
            assert set(skill.needs) <= rests[exposure], skill.name
    assert {skill.name for skill in skills()} == {name for uses in EXPOSED.values() for name in uses}
