"""What the KPIs count and what they do not, each rule on a product of its own, read live."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from batuta.kpis import KpiValue, current_kpis
from batuta.warehouse.connection import connect
from tests.support.kpis_dbt import KpiWarehouse
from tests.support.kpis_events import (
    LoggedEvent,
    answer,
    deployment_status,
    exchange_rate,
    invitation,
    issue,
    line,
    moment,
    order,
    order_deleted,
    paid,
    pull_request,
    record,
    refund,
    refunded,
    release,
    spend,
    transaction,
)

Kpis = dict[str, KpiValue]
Tell = Callable[..., Kpis]


@pytest.fixture
def writer(kpi_warehouse: KpiWarehouse) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with connect(kpi_warehouse.url, "writer") as conn:
        yield conn


@pytest.fixture
def product(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def tell(kpi_warehouse: KpiWarehouse, writer: psycopg.Connection[tuple[object, ...]], product: str) -> Tell:
    """Record events and read the product's KPIs as of a day."""

    def told(*events: LoggedEvent, as_of: str | None = None, received_at: datetime | None = None) -> Kpis:
        record(writer, product, events, received_at=received_at)
        with connect(kpi_warehouse.url, "reader") as conn:
            day = date.fromisoformat(as_of) if as_of else None
            return {value.kpi: value for value in current_kpis(conn, product, day)}

    return told


def sold(id: int, day: str, amount: str, customer: str = "h1:ana", **fields: Any) -> list[LoggedEvent]:
    """An order of one line with its payment."""
    at = f"{day}T12:00:00Z"
    return [order(id, at, line(id, amount), customer=customer, **fields), paid(id + 5000, id, at, amount)]


def test_a_product_without_facts_has_no_series(tell: Tell) -> None:
    assert tell() == {}


def test_what_cannot_be_said_is_null_with_its_reason(tell: Tell) -> None:
    kpis = tell(order(1, "2024-03-01T12:00:00Z", line(1, "50.00"), financial_status="pending"))
    assert {name: (kpi.value, kpi.reason) for name, kpi in kpis.items()} == {
        "LTV": (None, "no customers acquired"),
        "CAC": (None, "no spend recorded"),
        "NPS": (None, "no answers in 90 days"),
        "leadTime": (None, "nothing released in 90 days"),
        "net_sales": (50, None),
        "orders": (1, None),
        "new_customers": (0, None),
        "average_order_value": (50, None),
        "refund_rate": (0, None),
        "active_customers": (1, None),
        "repeat_rate": (None, "no customers acquired"),
        "CAC_paid": (None, "no spend recorded"),
        "LTV_CAC": (None, "no gross margin declared"),
        "payback": (None, "no gross margin declared"),
        "predicted_LTV": (None, "not predicted yet"),
        "response_rate": (None, "no invitations in 90 days"),
        "deployment_frequency": (0, None),
        "change_failure_rate": (None, "nothing released in 90 days"),
        "restore_time": (None, "no incident ended in 90 days"),
        "open_issues": (0, None),
    }


def test_spend_without_new_customers_is_no_infinite_cost(tell: Tell) -> None:
    kpis = tell(spend("a", "2024-03-01", "2024-03-10", "100.00", told="2024-03-02T12:00:00Z"))
    assert (kpis["CAC"].value, kpis["CAC"].reason) == (None, "no customers acquired in 90 days")


def test_test_voided_and_deleted_orders_are_no_sales(tell: Tell) -> None:
    kpis = tell(
        *sold(1, "2024-03-01", "50.00"),
        *sold(2, "2024-03-01", "10.00", "h1:bia", test=True),
        *sold(3, "2024-03-01", "20.00", "h1:cris", financial_status="voided"),
        *sold(4, "2024-03-01", "30.00", "h1:duda"),
        order_deleted(4, "2024-03-01T15:00:00Z"),
    )
    assert (kpis["orders"].value, kpis["net_sales"].value) == (1, 50)


def test_cancelled_orders_are_sales_until_refunded_but_win_no_customer(tell: Tell) -> None:
    kpis = tell(*sold(1, "2024-03-01", "50.00", cancelled_at="2024-03-01T13:00:00Z"))
    assert (kpis["orders"].value, kpis["new_customers"].value, kpis["LTV"].value) == (1, 0, None)


def test_returns_are_booked_on_the_day_of_the_refund(tell: Tell) -> None:
    events = [
        *sold(1, "2024-03-01", "100.00"),
        refunded(
            refund(9, 1, "2024-03-04T12:00:00Z", "30.00", adjustments=[("refund_discrepancy", "-5.00")])
        ),
    ]
    assert tell(*events, as_of="2024-03-01")["net_sales"].value == 100
    later = tell(as_of="2024-03-04")
    assert (later["net_sales"].value, later["LTV"].value, later["refund_rate"].value) == (-35, 65, 35)
    assert tell(as_of="2024-03-03")["LTV"].value == 100


def test_a_failed_refund_is_not_booked_and_one_that_goes_through_later_is(tell: Tell) -> None:
    at = "2024-03-02T12:00:00Z"
    tried = transaction(91, 1, at, "30.00", kind="refund", status="failure")
    kpis = tell(*sold(1, "2024-03-01", "100.00"), refunded(refund(9, 1, at, "30.00", transactions=[tried])))
    assert kpis["LTV"].value == 100
    kpis = tell(paid(91, 1, at, "30.00", kind="refund", told="2024-03-02T13:00:00Z"))
    assert kpis["LTV"].value == 70


def test_a_customer_whose_goods_all_came_back_still_counts(tell: Tell) -> None:
    kpis = tell(
        *sold(1, "2024-03-01", "100.00"),
        *sold(2, "2024-03-01", "60.00", "h1:bia"),
        refunded(refund(9, 2, "2024-03-02T12:00:00Z", "60.00")),
    )
    assert (kpis["LTV"].value, kpis["LTV"].sample_size) == (50, 2)


def test_what_was_bought_before_the_customer_was_won_counts_from_then_on(tell: Tell) -> None:
    events = [order(1, "2024-03-01T12:00:00Z", line(1, "40.00")), *sold(2, "2024-03-05", "60.00")]
    assert tell(*events, as_of="2024-03-04")["LTV"].value is None
    assert tell(as_of="2024-03-05")["LTV"].value == 100


def test_orders_of_nobody_are_sales_but_no_customer(tell: Tell) -> None:
    kpis = tell(
        order(1, "2024-03-01T12:00:00Z", line(1, "40.00"), customer=None),
        paid(11, 1, "2024-03-01T12:00:00Z", "40.00"),
        order(2, "2024-03-01T12:00:00Z", line(2, "10.00"), customer=None),
        paid(12, 2, "2024-03-01T12:00:00Z", "10.00"),
    )
    assert (kpis["orders"].value, kpis["new_customers"].value) == (2, 0)


def test_spend_accrues_by_day_within_the_window_and_in_the_own_currency(tell: Tell) -> None:
    kpis = tell(
        *sold(1, "2024-03-10", "100.00"),
        *sold(2, "2024-03-10", "100.00", "h1:bia"),
        spend("a", "2024-03-01", "2024-03-30", "300.00"),
        spend("b", "2024-03-09", "2024-03-09", "7.00"),
        spend("c", "2023-12-01", "2023-12-12", "120.00"),
        spend("d", "2024-03-09", "2024-03-09", "999.00", currency="USD"),
        as_of="2024-03-10",
    )
    # 10 of 30 days of the first, all of the second, 1 of 12 days of the third: 12 December is the first day.
    assert (kpis["CAC"].numerator, kpis["CAC"].value) == (Decimal(117), Decimal("58.5"))


def test_thirds_add_up_to_the_whole(tell: Tell) -> None:
    kpis = tell(
        *sold(1, "2024-03-10", "100.00"), spend("a", "2024-03-01", "2024-03-03", "100.01"), as_of="2024-03-10"
    )
    assert kpis["CAC"].value == Decimal("100.01")


def test_of_each_respondent_the_latest_answer_within_the_window_counts(tell: Tell) -> None:
    events = [
        answer("h1:ana", "2024-03-01T12:00:00Z", 2),
        answer("h1:ana", "2024-03-20T12:00:00Z", 10),
        answer("h1:bia", "2024-03-02T12:00:00Z", 8),
        answer("h1:cris", "2024-03-03T12:00:00Z", 6),
        answer("h1:cris", "2024-03-03T12:00:00Z", 9, event="z"),
        *sold(1, "2024-06-20", "1.00"),
    ]
    assert tell(*events, as_of="2024-03-10")["NPS"].value == 0
    march = tell(as_of="2024-03-20")["NPS"]
    assert (march.value, march.sample_size, march.reason) == (Decimal("66.67"), 3, "small sample")
    assert tell(as_of="2024-05-31")["NPS"].sample_size == 2
    june = tell(as_of="2024-06-17")["NPS"]
    assert (june.value, june.sample_size) == (100, 1)
    assert tell(as_of="2024-06-18")["NPS"].value is None


def test_nps_has_its_interval(tell: Tell) -> None:
    scores = [10] * 20 + [8] * 10 + [3] * 10
    kpis = tell(*(answer(f"h1:{n}", "2024-03-01T12:00:00Z", score) for n, score in enumerate(scores)))
    # p = 0.5, d = 0.25: standard error 100 * sqrt((0.75 - 0.0625) / 40) = 13.11
    assert (kpis["NPS"].value, kpis["NPS"].low, kpis["NPS"].high) == (25, Decimal("-0.70"), Decimal("50.70"))
    assert kpis["NPS"].reason is None


def test_lead_time_is_from_merge_to_the_next_real_release(tell: Tell) -> None:
    kpis = tell(
        pull_request(1, "2024-03-01T08:00:00Z", merged="2024-03-01T12:00:00Z"),
        pull_request(2, "2024-03-01T08:00:00Z", merged="2024-03-02T12:00:01Z"),
        pull_request(3, "2024-03-01T08:00:00Z", merged="2024-03-02T12:00:00Z", author="Bot"),
        pull_request(4, "2024-03-01T08:00:00Z", merged="2024-03-02T12:00:00Z", base="release/1.x"),
        pull_request(5, "2024-03-01T08:00:00Z", merged="2024-03-05T12:00:00Z"),
        pull_request(6, "2024-03-01T08:00:00Z"),
        release(1, "2024-03-01T11:00:00Z"),
        release(2, "2024-03-02T10:00:00Z", prerelease=True),
        release(3, "2024-03-03T12:00:00Z"),
        release(4, None),
        as_of="2024-03-05",
    )
    # 48 h, and 24 h less a second: counted in whole minutes, begun ones full.
    assert (kpis["leadTime"].value, kpis["leadTime"].sample_size) == (36, 2)


def test_merged_but_unreleased_has_no_lead_time_and_is_counted_beside_it(
    tell: Tell, kpi_warehouse: KpiWarehouse, product: str
) -> None:
    tell(
        pull_request(1, "2024-03-01T08:00:00Z", merged="2024-03-01T12:00:00Z"),
        pull_request(2, "2024-03-01T08:00:00Z", merged="2024-03-04T12:00:00Z"),
        release(3, "2024-03-03T12:00:00Z"),
    )
    with connect(kpi_warehouse.url, "reader") as conn:
        rows = conn.execute(
            "select business_date::text, open_undeployed from batuta_live.live_product_daily "
            "where product = %s order by 1",
            (product,),
        ).fetchall()
    assert rows == [("2024-03-01", 1), ("2024-03-02", 1), ("2024-03-03", 0), ("2024-03-04", 1)]


def test_the_series_reaches_the_horizon_and_never_a_date_that_has_not_come(
    tell: Tell, writer: psycopg.Connection[tuple[object, ...]], product: str, kpi_warehouse: KpiWarehouse
) -> None:
    writer.execute("insert into batuta.horizons values (%s, '2024-03-10')", (product,))
    record(
        writer,
        product,
        [*sold(1, "2024-03-01", "50.00"), *sold(2, "2077-01-01", "9.00"), *sold(3, "0007-01-01", "9.00")],
        received_at=moment("2024-03-01T18:00:00+00:00"),
    )
    kpis = tell()
    assert (kpis["LTV"].as_of, kpis["LTV"].value) == (date(2024, 3, 10), 50)
    with connect(kpi_warehouse.url, "reader") as conn:
        rows = conn.execute(
            "select entity_id, rule from batuta_live.live_rule_violations where product = %s order by 1",
            (product,),
        ).fetchall()
    assert rows == [("2", "date_impossible"), ("3", "date_impossible")]


def test_broken_rows_are_named_with_their_event(
    tell: Tell, kpi_warehouse: KpiWarehouse, product: str
) -> None:
    tell(
        order(1, "2024-03-01T12:00:00Z", line(1, "50.00"), currency="USD"),
        order(2, "2024-03-01T12:00:00Z", line(2, "5.00", discounts=["6.00"])),
        order(3, "2024-03-01T12:00:00Z", line(3, "-5.00")),
        order(4, "2024-03-01T12:00:00Z", line(4, "99999999999999.00", 1000), total_price="1.00"),
        paid(11, 77, "2024-03-01T12:00:00Z", "-1.00"),
        spend("a", "2024-03-02", "2024-03-01", "10.00"),
        refunded(refund(9, 78, "2024-03-01T12:00:00Z", "1.00")),
        issue(20, "2024-03-01T12:00:00Z", closed="2024-03-01T11:00:00Z"),
        deployment_status(1, 51, "2024-03-01T12:00:00Z", "2024-03-01T11:00:00Z", "success"),
        exchange_rate("USD/BRL", "2024-03-01", "0.0000"),
        exchange_rate("USD/BRL", "2024-03-04", "99999999999"),
        exchange_rate("USD/BRL", "0024-03-04", "5.0000", told="2024-03-01T12:00:00Z"),
        invitation("h1:ana", "2077-03-01T12:00:00Z"),
        received_at=moment("2024-03-01T18:00:00+00:00"),
    )
    tell(order(5, "2024-03-10T12:00:00Z", line(5, "1.00")))
    with connect(kpi_warehouse.url, "reader") as conn:
        rows = conn.execute(
            "select rule, relation, event_id from batuta_live.live_rule_violations where product = %s",
            (product,),
        ).fetchall()
    assert sorted(rows) == [
        ("currency_foreign", "live_orders", "order 1 2024-03-01T12:00:00Z orders.created"),
        ("date_impossible", "live_invitations", "invitation nps h1:ana 2077-03-01T12:00:00Z"),
        ("date_impossible", "live_rates", "rate USD/BRL 0024-03-04 2024-03-01T12:00:00Z"),
        ("discounts_above_gross", "live_orders", "order 2 2024-03-01T12:00:00Z orders.created"),
        ("discounts_above_gross", "live_orders", "order 3 2024-03-01T12:00:00Z orders.created"),
        ("money_missing", "live_orders", "order 4 2024-03-01T12:00:00Z orders.created"),
        ("money_negative", "live_orders", "order 3 2024-03-01T12:00:00Z orders.created"),
        ("money_negative", "live_transactions", "transaction 11 success 2024-03-01T12:00:00Z"),
        ("period_reversed", "live_deployments", "status 1 success"),
        ("period_reversed", "live_issues", "issue 20 labeled 2024-03-01T11:00:00Z"),
        ("period_reversed", "live_spend", "spend a 2024-01-01T00:00:00Z"),
        ("rate_not_positive", "live_rates", "rate USD/BRL 2024-03-01 2024-03-01T16:00:00Z"),
        ("rate_not_positive", "live_rates", "rate USD/BRL 2024-03-04 2024-03-04T16:00:00Z"),
        ("refund_without_order", "live_refunds", "refund 9"),
        ("transaction_without_order", "live_transactions", "transaction 11 success 2024-03-01T12:00:00Z"),
    ]
