"""How KPI values are read: before dbt has run, and by what plan once it has."""

import pytest

from batuta.kpis import NEWEST, KpisNotBuilt, current_kpis
from batuta.warehouse.connection import connect
from tests.support.kpis_dbt import KpiWarehouse
from tests.support.plans import plan_nodes, reached_by_index


def test_before_the_first_refresh_it_says_what_to_run(database_url: str) -> None:
    with connect(database_url, "reader") as conn, pytest.raises(KpisNotBuilt) as caught:
        current_kpis(conn, "casa")
    assert "batuta demo" in (caught.value.hint or "")


def test_what_is_recorded_is_reached_by_index_from_what_is_new(kpi_warehouse: KpiWarehouse) -> None:
    """However long the history: the time from an event to the KPI that counts it rests on this."""
    with connect(kpi_warehouse.url, "reader") as conn:
        # In a small warehouse reading all of a table is cheaper; where there is another way, it is taken now.
        conn.execute("set enable_seqscan = off")
        conn.execute("set plan_cache_mode = force_generic_plan")
        conn.execute(b"prepare newest(text) as " + NEWEST.replace("%(product)s", "$1").encode())
        explained = conn.execute("explain (format json) execute newest('casa')").fetchone()
    assert explained is not None
    nodes = list(plan_nodes(explained[0][0]["Plan"]))
    # Under that alias the macros `reached` and `states_unread_by` read what is recorded.
    scans = [node for node in nodes if node.get("Alias", "").startswith("states")]
    scans = [node for node in scans if node.get("Relation Name", "").startswith("int_")]
    assert {"int_orders", "int_order_customers", "int_order_changes"} <= {s["Relation Name"] for s in scans}
    assert [(s["Relation Name"], s["Alias"]) for s in scans if not reached_by_index(s)] == []
    log = [node for node in nodes if node.get("Relation Name", "").startswith(("kept_events", "_hyper"))]
    assert log
    assert [s["Relation Name"] for s in log if "batch <= " not in reached_by_index(s)] == []
