"""The dbt project can be read without a database and without any setting."""

from pathlib import Path

from tests.support.kpis_dbt import dbt


def test_the_project_parses_with_no_database_and_no_environment(tmp_path: Path) -> None:
    manifest = dbt(None, tmp_path, "parse", "--no-partial-parse")
    names = {node.name for node in manifest.nodes.values() if node.resource_type == "model"}
    assert {"stg_shopify__orders", "int_orders", "kpi_daily", "live_kpi_daily"} <= names
    assert {exposure.name for exposure in manifest.exposures.values()} == {
        "daily_review",
        "fraud_screen",
        "kpi_command",
    }
