"""A KPI stands in every place that docs/kpis.md names; what is missing is told with its file."""

import re
from pathlib import Path

import yaml

from batuta.manifests.catalog import KPIS
from batuta_agents.queries import load_query

PROJECT = Path(__file__).resolve().parents[3]
CATALOGUE = "dbt_project/models/marts/_dim_kpis.yml"
LINES = "dbt_project/macros/kpis/kpi_values.sql"
NAMES = "batuta/manifests/catalog.py"
EVENTS = "batuta_agents/sigma/facts/kpi_events.sql"


def catalogue() -> list[str]:
    """The KPIs of products, in their order."""
    (model,) = yaml.safe_load((PROJECT / CATALOGUE).read_text("utf-8"))["models"]
    kpis = model["config"]["meta"]["kpis"]
    return [name for name, kpi in kpis.items() if kpi.get("scope") != "platform"]


def compare(found: set[str], place: str) -> None:
    wanted = set(catalogue())
    assert found >= wanted, f"{place} lacks {sorted(wanted - found)}, which {CATALOGUE} has"
    assert found <= wanted, f"{CATALOGUE} lacks {sorted(found - wanted)}, which {place} has"


def test_every_kpi_has_a_line_that_computes_it() -> None:
    text = (PROJECT / LINES).read_text("utf-8")
    compare(set(re.findall(r"\{\{ kpi\(\s*'(\w+)'", text)), LINES)


def test_manifests_may_name_every_kpi_in_the_order_of_the_catalogue() -> None:
    compare(set(KPIS), f"KPIS in {NAMES}")
    assert list(KPIS) == catalogue(), f"the order of KPIS in {NAMES} is not that of {CATALOGUE}"


def test_every_kpi_can_be_followed_to_its_events() -> None:
    query = load_query("batuta_agents.sigma", "kpi_events").sql
    compare({kpi for kpi in catalogue() if f"'{kpi}'" in query}, EVENTS)
