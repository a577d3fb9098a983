"""What is published about the platform from constructed facts, and how it changes from one refresh to the next."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal

import pytest

from batuta.manifests.models import ConnectorSlos
from batuta.platform.kpis import PlatformKpi, platform_kpis
from batuta.platform.objectives import Objective, objectives, write_objectives
from batuta.warehouse.connection import connect
from tests.integration.conftest import Refreshed
from tests.support import database as databases
from tests.support.kpis_dbt import KpiWarehouse
from tests.support.platform import BEFORE, CREATED, DAY, at, due, failed, insert, run, two_days
from tests.support.score import company, log_batch, pipeline, product

GRAPH = company([product("casa")], [pipeline("review", ["casa"], crons=["0 6 * * *"])])


@pytest.fixture(scope="module")
def warehouse(database_server: str, refreshed: Refreshed) -> Iterator[KpiWarehouse]:
    """A database of this module's own: what the platform does is one story, whatever the product."""
    with databases.database(database_server, refreshed.template) as url:
        built = KpiWarehouse(url, refreshed.target)
        with connect(url, "owner") as conn:
            conn.execute(
                "insert into batuta.products values ('casa', 'BRL', 'America/Sao_Paulo', 'pt-BR', now())"
            )
            write_objectives(conn, GRAPH, at(0))
            two_days(conn)
            conn.commit()
        built.refresh("--select", "tag:platform")
        yield built


def values(url: str, as_of: date = DAY) -> Mapping[tuple[str, str, str], PlatformKpi]:
    with connect(url, "reader") as conn:
        return {(one.kpi, one.subject, one.product): one for one in platform_kpis(conn, as_of)}


def test_a_pipelines_lead_time_is_that_of_the_run_that_published_first(warehouse: KpiWarehouse) -> None:
    found = values(warehouse.url)
    lead, queue, ran = (
        found[kpi, "review", "casa"]
        for kpi in ("pipeline_lead_time", "pipeline_queue_time", "pipeline_run_time")
    )
    assert (lead.value, lead.sample_size) == (Decimal(3), 2)
    assert queue.value == Decimal(3)
    assert ran.value == Decimal(0)
    assert found["pipeline_source_lag", "review", "casa"].value == 0


def test_a_day_is_on_time_by_its_objective_and_the_budget_is_spent_by_what_is_not(
    warehouse: KpiWarehouse,
) -> None:
    on_time = values(warehouse.url)["pipeline_published_on_time", "review", "casa"]
    assert (on_time.value, on_time.numerator, on_time.denominator, on_time.objective) == (50, 1, 2, 99)
    assert on_time.budget_left_percent == -4900
    before = values(warehouse.url, BEFORE)["pipeline_published_on_time", "review", "casa"]
    assert (before.value, before.budget_left_percent) == (100, 100)


def test_a_retry_that_succeeds_is_no_failure_of_the_run_nor_of_the_agent(warehouse: KpiWarehouse) -> None:
    found = values(warehouse.url)
    runs = found["pipeline_runs_succeeded", "review", "casa"]
    assert (runs.value, runs.denominator) == (100, 2)
    assert found["agent_failures", "sigma", "(all)"].value == 0
    assert found["agent_infrastructure_failures", "sigma", "(all)"].value == 0
    again = found["agent_reprocessing", "sigma", "(all)"]
    assert (again.numerator, again.denominator) == (1, 3)


def test_events_cost_what_was_used_since_storage_was_first_measured(warehouse: KpiWarehouse) -> None:
    cost = values(warehouse.url)["cost_per_1000_events", "casa", "casa"]
    spent = 1800 * Decimal("0.000027") + 3 * Decimal("0.0038")
    assert (cost.numerator, cost.denominator, cost.currency) == (spent, 3, "USD")
    assert cost.value == pytest.approx(1000 * spent / 3, abs=Decimal("0.000001"))


def test_what_was_never_measured_has_a_reason_and_no_value(warehouse: KpiWarehouse) -> None:
    found = values(warehouse.url)
    for key, one in found.items():
        assert (one.value is None) <= (one.reason is not None), key
    assert ("connector_polls_succeeded", "shopify", "casa") not in found


def test_a_refresh_works_out_only_the_days_that_something_came_for(warehouse: KpiWarehouse) -> None:
    after = DAY + timedelta(days=1)
    with connect(warehouse.url, "owner") as conn:
        third = log_batch(conn, [("casa", CREATED, "4")], at=at(8, day=after))
        # What is built stays as it was built: a mark on an old day shows whether it was touched.
        conn.execute("update batuta_marts.platform_kpi_daily set reason = 'mark' where day = %s", (BEFORE,))
        conn.execute("update batuta_intermediate.int_lead_times set late_events = 7 where day = %s", (DAY,))
        insert(conn, "due_publications", due(after))
        insert(conn, "pipeline_runs", run("d", "casa", at(9, 30, day=after), batch_to=third))
        conn.commit()
    warehouse.refresh("--select", "tag:platform")
    found = values(warehouse.url, after)
    assert found["pipeline_published_on_time", "review", "casa"].denominator == 2
    assert found["pipeline_lead_time", "review", "casa"].sample_size == 1
    assert {one.reason for one in values(warehouse.url, BEFORE).values()} == {"mark"}
    with connect(warehouse.url, "reader") as conn:
        rows = conn.execute(
            "select day, late_events from batuta_intermediate.int_lead_times order by day"
        ).fetchall()
    assert rows[-2:] == [(DAY, 7), (after, 0)]


def test_a_run_that_is_recorded_late_changes_its_day_and_those_after(warehouse: KpiWarehouse) -> None:
    with connect(warehouse.url, "owner") as conn:
        late = run("late", "casa", at(7, day=BEFORE), batch_to=1, **failed())
        insert(conn, "pipeline_runs", late)
        conn.commit()
    warehouse.refresh("--select", "tag:platform")
    for day, total in ((BEFORE, 2), (DAY, 3)):
        runs = values(warehouse.url, day)["pipeline_runs_succeeded", "review", "casa"]
        assert (runs.numerator, runs.denominator) == (total - 1, total)


def test_what_is_built_day_by_day_is_what_is_built_at_once(warehouse: KpiWarehouse) -> None:
    query = (
        "select to_jsonb(k) - 'runs_to' from batuta_marts.platform_kpi_daily as k "
        "order by day, kpi, subject, product"
    )
    warehouse.refresh("--select", "tag:platform", "--full-refresh")
    with connect(warehouse.url, "reader") as conn:
        whole = conn.execute(query).fetchall()
    warehouse.refresh("--select", "tag:platform")
    with connect(warehouse.url, "reader") as conn:
        assert conn.execute(query).fetchall() == whole
    assert len(whole) > 30


def test_objectives_are_those_of_manifests_or_the_defaults(database_url: str) -> None:
    from batuta.manifests.models import ConnectorBinding, PipelineSlos

    casa = product("casa").model_copy(
        update={
            "connectors": (ConnectorBinding(type="shopify"), ConnectorBinding(type="github")),
            "slos": {"github": ConnectorSlos(polls_percent=90)},
        }
    )
    own = pipeline("review", ["casa"]).model_copy(update={"slos": PipelineSlos(published_within_minutes=5)})
    graph = company([casa], [own])
    found = list(objectives(graph))
    assert Objective("pipeline", "review", "casa", "published_on_time", 99, 5) in found
    assert Objective("connector", "github", "casa", "polls_succeeded", 90) in found
    assert Objective("connector", "shopify", "casa", "polls_succeeded", 99) in found
    with connect(database_url, "owner") as conn:
        write_objectives(conn, graph, at(0))
        write_objectives(conn, company([casa], []), at(1))
        rows = conn.execute("select distinct kind, applied_at from batuta.objectives").fetchall()
        assert rows == [("connector", at(0))]
        write_objectives(conn, company([], []), at(2))
        assert conn.execute("select count(*) from batuta.objectives").fetchone() == (0,)
