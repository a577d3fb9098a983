"""State is the newest version of each entity, whatever the order of arrival and wherever the batches are cut."""

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest

from batuta.warehouse.connection import connect
from tests.support.kpis_dbt import TABLES, KpiWarehouse
from tests.support.kpis_events import (
    LoggedEvent,
    answer,
    catalogue,
    customers_merged,
    deployment,
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
    review,
    spend,
    transaction,
)

SHUFFLES = 10
PARTS = 3
RECEIVED = moment("2024-04-01T00:00:00+00:00")

# What a row says of its entity; batch and the like say when it was told.
COLUMNS = {
    "orders": "order_id, customer_key, is_guest, processed_at, updated_at, is_cancelled, is_voided, is_test, "
    "financial_status, currency, business_date, gross_sales, discounts, total_price, line_count, event_id",
    "order_lines": "order_id, line_id, title, quantity, price, discount, is_gift_card, business_date",
    "transactions": "transaction_id, order_id, kind, status, amount, is_test, business_date, event_id",
    "refunds": "refund_id, order_id, business_date, returns, refund_total, is_failed, currency, event_id",
    "products": "product_id, title, status, is_deleted, event_id",
    "pull_requests": "repository_id, number, title, merged_at, merged_on, merge_commit_sha, is_bot, event_id",
    "releases": "repository_id, release_id, is_prerelease, is_draft, is_deleted, released_at, event_id",
    "issues": "repository_id, number, state, labels, is_incident, is_deleted, opened_on, closed_on, event_id",
    "reviews": "repository_id, review_id, number, reviewer_key, state, submitted_at, event_id",
    "deployment_statuses": "repository_id, deployment_id, status_id, state, created_at, event_id",
    "deployments": "repository_id, deployment_id, environment, is_production, sha, state, created_at, finished_at, "
    "failed_at, succeeded_on, version_at, event_id",
    "customer_merges": "customer_key, kept_key, merged_at, event_id",
    "rates": "base_currency, quote_currency, day, rate, event_id",
    "invitations": "survey_id, respondent_key, sent_at, business_date, event_id",
    "spend": "spend_id, period_start, period_end, amount, event_id",
    "surveys": "survey_id, respondent_key, score, answered_at, event_id",
    "customers": "customer_key, acquired_on, first_order_date, last_order_date, orders, net_sales",
    "product_daily": "business_date, orders, net_sales, new_customers, customer_net_sales, spend_90d, promoters_90d, "
    "detractors_90d, lead_minutes_median_90d, open_undeployed, returns_90d",
    "kpi_daily": "business_date, kpi, value, numerator, denominator, sample_size, low, high, reason",
}
RECORDED = {
    "customers": "batuta_marts.dim_customers",
    "product_daily": "batuta_marts.fct_product_daily",
    "kpi_daily": "batuta_marts.kpi_daily",
}

State = dict[str, list[tuple[Any, ...]]]


def happenings() -> list[LoggedEvent]:
    """A shop's spring: edits, removals, deletions, refunds told of three times, a payment that fails later."""
    returned = refund(
        91,
        3,
        "2024-03-12T12:00:00Z",
        "20.00",
        transactions=[transaction(95, 3, "2024-03-12T12:00:00Z", "20.00", kind="refund", status="pending")],
    )
    later = returned | {"transactions": [returned["transactions"][0] | {"status": "success"}]}
    failed = refund(
        92,
        2,
        "2024-03-14T12:00:00Z",
        "5.00",
        transactions=[transaction(96, 2, "2024-03-14T12:00:00Z", "5.00", kind="refund", status="pending")],
    )
    return [
        order(1, "2024-03-01T12:00:00Z", line(11, "50.00"), line(12, "10.00"), financial_status="pending"),
        order(1, "2024-03-01T12:00:00Z", line(11, "50.00"), updated="2024-03-02T12:00:00Z"),
        # The same moment twice: the greater id holds.
        order(
            1, "2024-03-01T12:00:00Z", line(11, "55.00"), updated="2024-03-02T12:00:00Z", event="z order 1"
        ),
        paid(81, 1, "2024-03-01T12:01:00Z", "60.00", kind="authorization"),
        paid(82, 1, "2024-03-02T12:00:00Z", "55.00", kind="capture", status="pending"),
        paid(82, 1, "2024-03-02T12:00:00Z", "55.00", kind="capture", told="2024-03-03T12:00:00Z"),
        order(
            2,
            "2024-03-02T12:00:00Z",
            line(21, "30.00", 2, discounts=["3.00"]),
            customer=None,
            email="h1:bia-mail",
        ),
        paid(83, 2, "2024-03-02T12:00:00Z", "57.00"),
        refunded(failed),
        paid(
            96,
            2,
            "2024-03-14T12:00:00Z",
            "5.00",
            kind="refund",
            status="failure",
            told="2024-03-15T12:00:00Z",
        ),
        order(3, "2024-03-10T12:00:00Z", line(31, "20.00"), line(32, "15.00"), customer="h1:cris"),
        paid(84, 3, "2024-03-10T12:00:00Z", "35.00"),
        refunded(returned),
        order(
            3,
            "2024-03-10T12:00:00Z",
            line(31, "20.00"),
            line(32, "15.00"),
            customer="h1:cris",
            updated="2024-03-13T12:00:00Z",
            financial_status="partially_refunded",
            refunds=[later],
        ),
        # Deleted; word of it may come before the order itself.
        order(4, "2024-03-11T12:00:00Z", line(41, "99.00"), customer="h1:duda"),
        order(
            4, "2024-03-11T12:00:00Z", line(41, "98.00"), customer="h1:duda", updated="2024-03-16T12:00:00Z"
        ),
        order_deleted(4, "2024-03-15T12:00:00Z"),
        order(5, "2024-03-16T12:00:00Z", line(51, "70.00"), customer="h1:eva"),
        order(
            5,
            "2024-03-16T12:00:00Z",
            line(51, "70.00"),
            customer="h1:eva",
            topic="orders.cancelled",
            updated="2024-03-17T12:00:00Z",
            cancelled_at="2024-03-17T12:00:00Z",
        ),
        paid(85, 5, "2024-03-16T12:00:00Z", "70.00"),
        catalogue(110, "2024-03-01T12:00:00Z", "Mesa"),
        catalogue(110, "2024-03-05T12:00:00Z", "Mesa de centro"),
        pull_request(7, "2024-03-01T12:00:00Z"),
        pull_request(7, "2024-03-01T12:00:00Z", merged="2024-03-03T12:00:00Z"),
        pull_request(8, "2024-03-04T12:00:00Z", merged="2024-03-20T12:00:00Z"),
        release(1, "2024-03-02T12:00:00Z"),
        release(2, "2024-03-05T12:00:00Z", prerelease=True, updated="2024-03-05T12:00:00Z"),
        release(2, "2024-03-05T12:00:00Z", updated="2024-03-06T12:00:00Z", action="released"),
        release(3, "2024-03-21T12:00:00Z", updated="2024-03-21T12:00:00Z"),
        release(3, "2024-03-21T12:00:00Z", updated="2024-03-22T12:00:00Z", action="deleted"),
        spend("a", "2024-03-01", "2024-03-10", "100.00", spend_id="a"),
        spend("a", "2024-03-01", "2024-03-10", "120.00", spend_id="a", told="2024-03-20T12:00:00Z"),
        spend("b", "2024-03-05", "2024-03-05", "7.00"),
        answer("h1:ana", "2024-03-02T12:00:00Z", 3),
        answer("h1:ana", "2024-03-09T12:00:00Z", 9),
        answer("h1:bia", "2024-03-04T12:00:00Z", 7),
        *operations(),
        invitation("h1:ana", "2024-03-01T12:00:00Z"),
        invitation("h1:ana", "2024-03-03T12:00:00Z"),
        invitation("h1:duda", "2024-03-02T12:00:00Z"),
        exchange_rate("USD/BRL", "2024-03-01", "4.9500"),
        exchange_rate("USD/BRL", "2024-03-01", "4.9600", told="2024-03-02T12:00:00Z"),
        exchange_rate("USD/BRL", "2024-03-04", "4.9400"),
        exchange_rate("EUR/BRL", "2024-03-01", "5.3600"),
        customers_merged("h1:eva", "h1:duda", "2024-03-18T12:00:00Z", status="failed"),
        customers_merged("h1:eva", "h1:cris", "2024-03-19T12:00:00Z"),
        customers_merged("h1:cris", "h1:ana", "2024-03-20T12:00:00Z"),
    ]


def operations() -> list[LoggedEvent]:
    """Issues that are relabelled, reopened, deleted; a dismissed review; deployments that fail, are replaced, go on."""
    begun, again = "2024-03-05T12:00:00Z", "2024-03-06T12:00:00Z"
    return [
        issue(20, "2024-03-01T12:00:00Z", action="opened"),
        issue(20, "2024-03-01T12:00:00Z", "loja", "Incident", updated="2024-03-01T12:10:00Z"),
        issue(20, "2024-03-01T12:00:00Z", "Incident", "loja", closed="2024-03-02T02:30:00Z", action="closed"),
        issue(21, "2024-03-03T12:00:00Z", closed="2024-03-03T13:00:00Z", action="closed"),
        issue(21, "2024-03-03T12:00:00Z", "incidental", updated="2024-03-04T12:00:00Z", action="reopened"),
        issue(22, "2024-03-05T12:00:00Z", updated="2024-03-07T12:00:00Z"),
        issue(22, "2024-03-05T12:00:00Z", updated="2024-03-06T12:00:00Z", action="deleted"),
        issue(23, "2024-03-05T12:00:00Z", updated="2024-03-06T12:00:00Z", action="transferred"),
        review(70, 7, "2024-03-02T12:00:00Z", "approved"),
        # REST tells of the same review in its own case; a dismissal has no time of its own.
        review(71, 7, "2024-03-02T13:00:00Z", "CHANGES_REQUESTED"),
        review(71, 7, "2024-03-02T13:00:00Z", "dismissed"),
        deployment(51, begun),
        deployment_status(1, 51, begun, "2024-03-05T12:01:00Z", "in_progress"),
        deployment_status(2, 51, begun, "2024-03-05T12:10:00Z", "failure"),
        deployment_status(3, 52, again, "2024-03-06T12:10:00Z", "in_progress", "prod"),
        # The same second twice: the greater id holds, as a number.
        deployment_status(10, 52, again, "2024-03-06T12:10:00Z", "success", "prod"),
        deployment_status(11, 52, again, "2024-03-07T12:10:00Z", "inactive", "prod"),
        deployment(53, again, "staging"),
    ]


def shuffled(seed: int) -> list[list[LoggedEvent]]:
    """The happenings in some order, some of them twice, cut into parts that may be empty."""
    rng = random.Random(seed)
    events = happenings()
    if seed:
        events += rng.choices(events, k=6)
        rng.shuffle(events)
    cuts = [0, *sorted(rng.randrange(len(events) + 1) for _ in range(PARTS - 1)), len(events)]
    return [events[start:end] for start, end in itertools.pairwise(cuts)]


def states(url: str, products: Sequence[str], *, live: bool) -> dict[str, State]:
    """Every relation of each product, recorded or live; each is read once, since planning is what takes the time."""
    found: dict[str, State] = {product: {} for product in products}
    with connect(url, "reader") as conn:
        for name, columns in COLUMNS.items():
            relation = (
                f"batuta_live.live_{name}" if live else RECORDED.get(name, f"batuta_intermediate.int_{name}")
            )
            there = "not is_deleted" if name == "orders" and not live else "true"
            query = f"select product, {columns} from {relation} where product = any(%s) and {there} order by {columns}"
            read = conn.execute(query.encode(), (list(products),)).fetchall()
            for product, state in found.items():
                state[name] = [tuple(row) for of, *row in read if of == product]
    return found


@pytest.fixture(scope="module")
def products() -> list[str]:
    return [f"arrival-{seed}" for seed in range(SHUFFLES)]


def test_any_order_and_any_cut_end_in_the_same_state_live_before_recorded(
    kpi_warehouse: KpiWarehouse, products: list[str]
) -> None:
    parts = {product: shuffled(seed) for seed, product in enumerate(products)}
    for index in range(PARTS):
        with connect(kpi_warehouse.url, "writer") as conn:
            for product in products:
                record(conn, product, parts[product][index], received_at=RECEIVED)
        live_before = states(kpi_warehouse.url, products, live=True)
        kpi_warehouse.refresh(*TABLES)
        assert states(kpi_warehouse.url, products, live=False) == live_before
        assert states(kpi_warehouse.url, products, live=True) == live_before

    ended = states(kpi_warehouse.url, products, live=True)
    assert ended == dict.fromkeys(products, ended[products[0]])
    kpi_warehouse.refresh("--full-refresh")
    assert states(kpi_warehouse.url, products, live=False) == ended


def test_the_state_they_end_in_is_the_one_that_happened(kpi_warehouse: KpiWarehouse) -> None:
    product = "arrival-told"
    with connect(kpi_warehouse.url, "writer") as conn:
        record(conn, product, happenings(), received_at=RECEIVED)
    found = states(kpi_warehouse.url, [product], live=True)[product]
    orders = {row[0]: row for row in found["orders"]}
    assert sorted(orders) == ["1", "2", "3", "5"]
    assert orders["1"][-1] == "z order 1"
    assert [row[:2] for row in found["order_lines"] if row[0] == "1"] == [("1", "11")]
    assert {row[0]: row[3] for row in found["transactions"]}["82"] == "success"
    assert {row[0]: (row[3], row[4], row[5]) for row in found["refunds"]} == {
        "91": (20, 20, False),
        "92": (5, 0, True),
    }
    assert {row[0]: row[1] for row in found["products"]} == {"110": "Mesa de centro"}
    assert {row[1]: (row[2], row[4]) for row in found["releases"]} == {
        "1": (False, False),
        "2": (False, False),
        "3": (False, True),
    }
    assert {row[3] for row in found["spend"]} == {120, 7}
    assert {row[1]: (row[2], row[4], row[5]) for row in found["issues"]} == {
        20: ("closed", True, False),
        21: ("open", False, False),
        22: ("open", False, True),
        23: ("open", False, True),
    }
    assert {row[1]: row[4] for row in found["reviews"]} == {"70": "approved", "71": "dismissed"}
    assert {row[1]: (row[3], row[5], row[7], row[8]) for row in found["deployments"]} == {
        "51": (True, "failure", None, moment("2024-03-05T12:10:00+00:00")),
        "52": (True, "inactive", moment("2024-03-06T12:10:00+00:00"), None),
        "53": (False, "pending", None, None),
    }
    assert [row[:2] for row in found["customer_merges"]] == [("h1:cris", "h1:ana"), ("h1:eva", "h1:cris")]
    assert [(row[0], row[2].day, str(row[3])) for row in found["rates"]] == [
        ("EUR", 1, "5.3600000000"),
        ("USD", 1, "4.9600000000"),
        ("USD", 4, "4.9400000000"),
    ]
    assert [(row[1], row[2].day) for row in found["invitations"]] == [("h1:ana", 1), ("h1:duda", 2)]


def test_all_models_of_a_run_read_to_the_same_cut(kpi_warehouse: KpiWarehouse) -> None:
    product = "cut"
    kpi_warehouse.refresh("--select", "int_log_position")
    with connect(kpi_warehouse.url, "writer") as conn:
        record(conn, product, [order(1, "2024-03-01T12:00:00Z", line(11, "50.00"))])
    kpi_warehouse.refresh("--select", "int_orders")
    assert not states(kpi_warehouse.url, [product], live=False)[product]["orders"]
    assert states(kpi_warehouse.url, [product], live=True)[product]["orders"]
    kpi_warehouse.refresh("--select", "int_log_position", "int_orders")
    assert states(kpi_warehouse.url, [product], live=False)[product]["orders"]
    assert states(kpi_warehouse.url, [product], live=True)[product]["orders"]
