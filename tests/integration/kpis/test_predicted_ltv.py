"""Predicted LTV over real marts: which rows count, when it is due, what is kept, and Dagster's run of it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial

import dagster as dg
import numpy as np
import psycopg
import pytest
from click.testing import CliRunner

from batuta.errors import UsageError
from batuta.kpis import KpisNotBuilt
from batuta.landing.cursors import move_cursor
from batuta.lifetime.predict import Outlook
from batuta.lifetime.reasons import TOO_FEW
from batuta.lifetime.store import (
    CONSUMER,
    METHOD,
    Connect,
    DuePrediction,
    due_predictions,
    predict_and_store,
    read_histories,
)
from batuta.settings import Settings
from batuta.warehouse.connection import connect
from batuta_assets.gates import record_structure
from batuta_assets.partitions import partition_key
from batuta_assets.predictions import prediction_asset, prediction_job, prediction_sensor
from batuta_assets.runtime import Runtime
from batuta_cli.commands.kpi import kpi
from tests.support.dbt import manifest
from tests.support.kpis_dbt import KpiWarehouse
from tests.support.kpis_events import LoggedEvent, line, order, paid, record, refund, refunded
from tests.support.score import company, product

NOW = datetime(2025, 7, 1, 9, tzinfo=UTC)
FIRST = date(2025, 1, 1)
LAST = date(2025, 6, 30)
SHOP, SMALL = "predicted", "predicted-small"

Conn = psycopg.Connection[tuple[object, ...]]


def sold(id: int, day: date, amount: str, customer: str) -> list[LoggedEvent]:
    at = f"{day}T15:00:00Z"
    return [
        order(id, at, line(1, amount), customer=customer),
        paid(id * 10, id, at, amount),
    ]


def many_customers() -> list[LoggedEvent]:
    """Six hundred customers of whom about half come back, some often."""
    random = np.random.default_rng(8)
    told: list[LoggedEvent] = []
    number = 0
    for customer in range(600):
        day = FIRST + timedelta(days=int(random.integers(0, 90)))
        gap = random.gamma(1.0, 40.0) + 5
        mean = random.gamma(4.0, 20.0)
        while day <= LAST:
            number += 1
            told += sold(number, day, f"{random.gamma(6.0, mean / 6.0) + 1:.2f}", f"h1:{customer}")
            if random.random() < 0.3:
                break
            day += timedelta(days=1 + int(random.exponential(gap)))
    return told


def few_customers() -> list[LoggedEvent]:
    """Ana buys three times and gives one purchase back late; Bia buys once; Cris orders and never pays."""
    return [
        *sold(1, date(2025, 3, 1), "100.00", "h1:ana"),
        *sold(2, date(2025, 3, 15), "50.00", "h1:ana"),
        *sold(3, date(2025, 3, 29), "30.00", "h1:ana"),
        *sold(4, date(2025, 3, 8), "80.00", "h1:bia"),
        order(5, "2025-03-08T15:00:00Z", line(1, "70.00"), customer="h1:cris", financial_status="pending"),
        refunded(refund(1, 2, "2025-05-02T15:00:00Z", "60.00")),
    ]


@pytest.fixture(scope="module")
def warehouse(kpi_warehouse: KpiWarehouse) -> KpiWarehouse:
    with connect(kpi_warehouse.url, "writer") as conn:
        for name, events in ((SHOP, many_customers()), (SMALL, few_customers())):
            conn.execute(
                "insert into batuta.products values (%s, 'BRL', 'America/Sao_Paulo', 'pt-BR', %s)",
                (name, NOW),
            )
            conn.execute("insert into batuta.horizons values (%s, %s)", (name, LAST))
            record(conn, name, events, received_at=NOW)
    kpi_warehouse.refresh()
    return kpi_warehouse


@pytest.fixture
def opened(warehouse: KpiWarehouse) -> Connect:
    return partial(connect, warehouse.url)


@pytest.fixture
def reader(warehouse: KpiWarehouse) -> Iterator[Conn]:
    with connect(warehouse.url, "reader") as conn:
        yield conn


@pytest.fixture
def writer(warehouse: KpiWarehouse) -> Iterator[Conn]:
    with connect(warehouse.url, "writer") as conn:
        yield conn


def names(due: Sequence[DuePrediction]) -> list[str]:
    return [one.product for one in due]


def test_a_customer_counts_when_paid_and_what_came_back_by_the_day_is_taken_off(reader: Conn) -> None:
    before = read_histories(reader, SMALL, date(2025, 4, 30))
    after = read_histories(reader, SMALL, LAST)
    # Ana and Bia; Cris was never won. Ana's repeat days brought 50 and 30, then the 50 were more than given back.
    assert before.frequency.tolist() == [2, 0]
    assert before.recency_days.tolist() == [28, 0]
    assert before.age_days.tolist() == [60, 53]
    assert before.monetary.tolist() == [40, 0]
    assert after.monetary.tolist() == [15, 0]


def test_what_is_predicted_is_kept_with_all_it_rests_on_and_shown_by_the_mart(
    opened: Connect, reader: Conn
) -> None:
    made = predict_and_store(opened, SHOP, LAST, NOW)
    assert made.reason is None
    assert made.value is not None
    assert made.low is not None
    assert made.high is not None
    assert made.low < made.value < made.high
    assert made.value == made.value.quantize(Decimal("0.0001"))
    assert (made.customers, made.method, made.currency) == (600, METHOD, "BRL")
    row = reader.execute(
        "select value, low, high, customers, discount_rate, reason from batuta_marts.fct_ltv_predictions "
        "where product = %s and as_of = %s and horizon_days = 365",
        (SHOP, LAST),
    ).fetchone()
    assert row == (made.value, made.low, made.high, 600, 0, None)


def test_the_same_rows_give_the_same_figures_and_one_row(opened: Connect, reader: Conn) -> None:
    first = predict_and_store(opened, SHOP, LAST, NOW)
    again = predict_and_store(opened, SHOP, LAST, NOW + timedelta(hours=1))
    assert (again.value, again.low, again.high, again.parameters) == (
        first.value,
        first.low,
        first.high,
        first.parameters,
    )
    counted = reader.execute(
        "select count(*), max(computed_at) from batuta.ltv_predictions where product = %s and as_of = %s",
        (SHOP, LAST),
    ).fetchone()
    assert counted == (1, NOW + timedelta(hours=1))


def test_horizons_stand_side_by_side_and_the_longer_brings_more(opened: Connect) -> None:
    quarter = predict_and_store(opened, SHOP, LAST, NOW, Outlook(90))
    year = predict_and_store(opened, SHOP, LAST, NOW, Outlook(365))
    assert quarter.value is not None
    assert year.value is not None
    assert quarter.value < year.value


def test_too_few_customers_are_no_value_but_a_reason(opened: Connect) -> None:
    made = predict_and_store(opened, SMALL, LAST, NOW)
    assert (made.value, made.low, made.high, made.reason) == (None, None, None, TOO_FEW)
    assert (made.customers, made.repeat_customers) == (2, 1)


def test_it_is_a_kpi_of_its_day_and_of_later_ones_until_the_next(
    warehouse: KpiWarehouse, opened: Connect
) -> None:
    day = date(2025, 6, 10)
    with connect(warehouse.url, "owner") as owner:
        owner.execute("delete from batuta.ltv_predictions")
    made = predict_and_store(opened, SHOP, day, NOW)
    predict_and_store(opened, SMALL, day, NOW)
    assert made.value is not None
    assert made.low is not None
    assert made.high is not None
    told = tuple(figure.quantize(Decimal("0.01")) for figure in (made.value, made.low, made.high))
    with connect(warehouse.url, "owner") as owner:
        for relation in ("batuta_marts.kpi_daily", "batuta_live.live_kpi_daily"):
            rows = owner.execute(
                f"select product, value, low, high, currency, sample_size, reason from {relation} "
                "where kpi = 'predicted_LTV' and business_date in (%s, %s, %s) order by product, business_date",
                (day - timedelta(days=1), day, LAST),
            ).fetchall()
            assert [row[1:] for row in rows if row[0] == SHOP] == [
                (None, None, None, "BRL", 0, "not predicted yet"),
                (*told, "BRL", 600, None),
                (*told, "BRL", 600, None),
            ]
            assert [row[1:] for row in rows if row[0] == SMALL][1:] == 2 * [
                (None, None, None, "BRL", 2, TOO_FEW)
            ]
        owner.execute("update batuta.ltv_predictions set currency = 'USD' where product = %s", (SHOP,))
        assert owner.execute(
            "select value, reason from batuta_live.live_kpis where kpi = 'predicted_LTV' and product = %s",
            (SHOP,),
        ).fetchall() == [(None, "not predicted yet")], "money of another currency is not mixed in"
        owner.rollback()


def test_a_day_the_series_has_not_reached_and_a_product_without_facts_are_refused(opened: Connect) -> None:
    with pytest.raises(UsageError, match="ends on 2025-06-30"):
        predict_and_store(opened, SHOP, LAST + timedelta(days=1), NOW)
    with pytest.raises(UsageError, match='"nobody"'):
        predict_and_store(opened, "nobody", LAST, NOW)


def test_before_the_first_refresh_it_says_what_to_run(database_url: str) -> None:
    with pytest.raises(KpisNotBuilt):
        predict_and_store(partial(connect, database_url), SHOP, LAST, NOW)


def test_it_is_due_when_purchases_came_and_not_when_anything_else_did(
    warehouse: KpiWarehouse, opened: Connect, writer: Conn
) -> None:
    for name in (SHOP, SMALL):
        predict_and_store(opened, name, LAST, NOW)
    assert due_predictions(opened, [SHOP, SMALL], 365) == []

    record(writer, SMALL, sold(6, date(2025, 6, 29), "20.00", "h1:bia"), received_at=NOW)
    assert due_predictions(opened, [SHOP, SMALL], 365) == [], "the marts do not have it yet"
    warehouse.refresh()
    (due,) = due_predictions(opened, [SHOP, SMALL], 365)
    assert (due.product, due.as_of) == (SMALL, LAST)
    assert names(due_predictions(opened, [SHOP, SMALL], 365)) == [SMALL], "asked for until it is made"

    predict_and_store(opened, SMALL, date(2025, 5, 1), NOW)
    assert names(due_predictions(opened, [SHOP, SMALL], 365)) == [SMALL], "another day is not the newest"
    predict_and_store(opened, SMALL, LAST, NOW)
    assert due_predictions(opened, [SHOP, SMALL], 365) == []
    assert names(due_predictions(opened, [SHOP, SMALL], 30)) == [SHOP, SMALL], "another horizon"

    move_cursor(writer, CONSUMER, 0, SHOP)
    writer.commit()
    assert names(due_predictions(opened, [SHOP, SMALL], 365)) == [SHOP], "rewound"


GRAPH = company([product(SHOP), product(SMALL)], [])


@pytest.fixture
def dagster_home(
    warehouse: KpiWarehouse, writer: Conn, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("BATUTA_DATABASE_URL", warehouse.url)
    record_structure(writer, [], "a refresh")
    writer.commit()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("product", [SHOP, SMALL])
        yield instance


def materialize(instance: dg.DagsterInstance, name: str, day: date) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [prediction_asset(manifest())],
        instance=instance,
        partition_key=partition_key(name, day),
        resources={"runtime": Runtime()},
        raise_on_error=False,
    )


def test_dagster_predicts_a_product_and_a_day(dagster_home: dg.DagsterInstance, reader: Conn) -> None:
    outcome = materialize(dagster_home, SHOP, date(2025, 6, 1))
    assert outcome.success
    (made,) = outcome.asset_materializations_for_node("kpis__predicted_ltv")
    row = reader.execute(
        "select value from batuta.ltv_predictions where product = %s and as_of = '2025-06-01' and horizon_days = 365",
        (SHOP,),
    ).fetchone()
    assert row is not None
    assert made.metadata["value"].value == float(str(row[0]))
    again = materialize(dagster_home, SHOP, date(2025, 6, 1))
    (other,) = again.asset_materializations_for_node("kpis__predicted_ltv")
    version = "dagster/data_version"
    assert (made.tags or {})[version] == (other.tags or {})[version]


def test_nothing_is_predicted_from_marts_that_failed_their_tests(
    dagster_home: dg.DagsterInstance, writer: Conn
) -> None:
    record_structure(writer, ["fct_orders"], "a run")
    writer.commit()
    outcome = materialize(dagster_home, SHOP, LAST)
    record_structure(writer, [], "a run")
    writer.commit()
    assert not outcome.success
    assert "fct_orders" in failure(outcome)


def test_a_product_whose_rows_break_a_rule_waits_and_the_others_do_not(
    dagster_home: dg.DagsterInstance, writer: Conn
) -> None:
    bad = order(99, "2025-06-01T15:00:00Z", line(1, "-5.00"), customer="h1:bia")
    record(writer, SMALL, [bad], received_at=NOW)
    assert not (stopped := materialize(dagster_home, SMALL, LAST)).success
    assert "break a rule" in failure(stopped)
    assert materialize(dagster_home, SHOP, LAST).success


def failure(outcome: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in outcome.all_events if event.is_step_failure]
    told = event.step_failure_data.user_failure_data
    return str(told.description if told else event.step_failure_data.error)


def test_after_a_refresh_the_sensor_asks_once_for_each_product_that_is_due(
    dagster_home: dg.DagsterInstance, opened: Connect, writer: Conn, settings: Settings
) -> None:
    predict_and_store(opened, SHOP, LAST, NOW)
    move_cursor(writer, CONSUMER, 0, SMALL)
    writer.commit()

    @dg.asset
    def anything() -> None: ...

    refresh = dg.define_asset_job("refresh_marts", selection=[anything])
    sensor = prediction_sensor(GRAPH, refresh, prediction_job(), lambda: settings, opened)
    ended = dg.materialize([anything], instance=dagster_home)

    def look() -> list[dg.RunRequest]:
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_instance=dagster_home,
            dagster_run=ended.dagster_run,
            dagster_event=ended.all_events[-1],
        )
        found = sensor(context)
        return list(getattr(found, "run_requests", None) or [])

    (request,), (again,) = look(), look()
    assert request.partition_key == f"{LAST}|{SMALL}"
    assert request.run_key == again.run_key, "one run a day"


def test_the_command_predicts_and_prints(warehouse: KpiWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATUTA_DATABASE_URL", warehouse.url)
    told = CliRunner().invoke(kpi, ["predict", "--product", SHOP, "--as-of", str(LAST)])
    assert told.exit_code == 0, told.output
    assert "R$" in told.output
    few = CliRunner().invoke(kpi, ["predict", "--product", SMALL, "--as-of", str(LAST)])
    assert "menos de 200 clientes voltaram" in few.output
