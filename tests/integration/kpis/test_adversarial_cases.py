"""The cases that KPI models elsewhere get wrong, each a product of its own with the numbers worked out by hand.

Every case is read three times: live, with the last part of its events in the log alone; recorded, after an incremental
refresh; and after everything was built anew. The numbers are the same each time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from batuta.warehouse.connection import connect
from tests.support.kpis_dbt import TABLES, KpiWarehouse
from tests.support.kpis_events import (
    LoggedEvent,
    answer,
    customers_merged,
    exchange_rate,
    invitation,
    issue,
    line,
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

# The first test waits for all refreshes.
pytestmark = pytest.mark.timeout(900)

LIVE, RECORDED, REBUILT = "live", "recorded", "rebuilt"
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Story:
    """The events of one product: those a first refresh reads, and those that come after it."""

    first: Sequence[LoggedEvent]
    then: Sequence[LoggedEvent]
    gross_margin: str | None


STORIES: dict[str, Story] = {}


def story(
    *first: LoggedEvent, then: Sequence[LoggedEvent] = (), gross_margin: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What happens to the product that the test below reads; it has the name of the test."""

    def told(test: Callable[..., None]) -> Callable[..., None]:
        STORIES[test.__name__] = Story(first, then, gross_margin)
        return test

    return told


@dataclass(frozen=True, slots=True)
class Reading:
    """What can be read of one product."""

    values: Mapping[tuple[str, str], tuple[Decimal | None, str | None]]
    """Value and reason by day and KPI."""
    cohorts: Rows
    """Month, months since, customers, active, orders, net sales, cumulative net sales, complete."""
    weeks: Rows
    months: Rows
    """Start, last day, complete, KPI, value."""
    broken: Rows
    """Entity and rule, of the rows left out."""

    def __call__(self, kpi: str, day: str) -> Decimal | None:
        return self.values[day, kpi][0]

    def reason(self, kpi: str, day: str) -> str | None:
        return self.values[day, kpi][1]

    def of(self, kpi: str, *days: str) -> list[Decimal | None]:
        """The values of a KPI on several days."""
        return [self(kpi, day) for day in days]

    @property
    def days(self) -> list[str]:
        """The days of the series."""
        return sorted({day for day, _ in self.values})


def _read(url: str, way: str) -> dict[str, Reading]:
    relation = "batuta_live.live_kpi_daily" if way == LIVE else "batuta_marts.kpi_daily"
    products = list(STORIES)
    with connect(url, "reader") as conn:

        def rows(columns: str, relation: str) -> dict[str, Rows]:
            query = f"select product, {columns} from {relation} where product = any(%s) order by {columns}"
            found: dict[str, Rows] = {product: [] for product in products}
            for product, *row in conn.execute(query.encode(), (products,)).fetchall():
                found[product].append(tuple(row))
            return found

        values = rows("business_date::text, kpi, value, reason", relation)
        cohorts = rows(
            "cohort_month::text, month_offset, customers, active_customers, orders, net_sales, "
            "cumulative_net_sales, is_complete",
            "batuta_marts.fct_cohorts",
        )
        periods = "period_start::text, period_to::text, is_complete, kpi, value"
        weeks, months = (rows(periods, f"batuta_marts.kpi_{name}") for name in ("weekly", "monthly"))
        broken = rows("entity_id, rule", "batuta_live.live_rule_violations")
    return {
        product: Reading(
            {(day, kpi): (value, reason) for day, kpi, value, reason in values[product]},
            cohorts[product],
            weeks[product],
            months[product],
            broken[product],
        )
        for product in products
    }


@pytest.fixture(scope="module")
def readings(kpi_warehouse: KpiWarehouse) -> dict[str, dict[str, Reading]]:
    """Tell all stories, and what was read of them, by way: two refreshes and a rebuild for all cases."""
    url = kpi_warehouse.url
    with connect(url, "writer") as conn:
        for product, told in STORIES.items():
            _register(conn, product, told.gross_margin)
            record(conn, product, told.first)
    kpi_warehouse.refresh(*TABLES)
    with connect(url, "writer") as conn:
        for product, told in STORIES.items():
            record(conn, product, told.then)
    live = _read(url, LIVE)
    kpi_warehouse.refresh(*TABLES)
    recorded = _read(url, RECORDED)
    kpi_warehouse.refresh("--full-refresh")
    return {LIVE: live, RECORDED: recorded, REBUILT: _read(url, REBUILT)}


def test_a_rebuild_leaves_the_server_nothing_to_look_through(
    kpi_warehouse: KpiWarehouse, readings: dict[str, dict[str, Reading]]
) -> None:
    """Statistics gathered later than the refresh have every reader of the live views plan them anew."""
    del readings
    with connect(kpi_warehouse.url, "reader") as conn:
        made = conn.execute(
            "select relname, n_live_tup, n_mod_since_analyze from pg_stat_user_tables "
            "where schemaname in ('batuta_intermediate', 'batuta_marts') and last_vacuum is not null"
        ).fetchall()
    assert {"int_orders", "int_order_changes", "fct_orders", "fct_product_daily"} <= {row[0] for row in made}
    assert any(row[1] for row in made)
    assert [row[0] for row in made if row[2]] == []


def _register(conn: psycopg.Connection[Any], product: str, gross_margin: str | None) -> None:
    conn.execute(
        "insert into batuta.products (product, currency, timezone, locale, applied_at, gross_margin) "
        "values (%s, 'BRL', 'America/Sao_Paulo', 'pt-BR', '2024-01-01', %s)",
        (product, gross_margin),
    )


@pytest.fixture(params=[LIVE, RECORDED, REBUILT])
def kpis(request: pytest.FixtureRequest, readings: dict[str, dict[str, Reading]]) -> Reading:
    """The story of this test."""
    return readings[request.param][request.function.__name__]


@pytest.fixture(params=[RECORDED, REBUILT])
def marts(request: pytest.FixtureRequest, readings: dict[str, dict[str, Reading]]) -> Reading:
    """The story of this test, for what has no live view."""
    return readings[request.param][request.function.__name__]


def bought(
    id: int, day: str, amount: str, customer: str | None = "h1:ana", *, at: str | None = None, **fields: Any
) -> list[LoggedEvent]:
    """An order of one line, paid at once: at noon UTC unless at another moment."""
    moment = at or f"{day}T12:00:00Z"
    return [
        order(id, moment, line(id, amount), customer=customer, **fields),
        paid(id + 5000, id, moment, amount),
    ]


def returned(
    id: int, order_id: int, day: str, subtotal: str, *outcomes: str, currency: str = "BRL"
) -> LoggedEvent:
    """A refund at noon with a transaction for each outcome."""
    at = f"{day}T12:00:00Z"
    moves = [
        transaction(id * 10 + place, order_id, at, subtotal, kind="refund", status=outcome, currency=currency)
        for place, outcome in enumerate(outcomes)
    ]
    return refunded(refund(id, order_id, at, subtotal, transactions=moves))


@story(
    order(1, "2024-03-01T12:00:00Z", line(1, "100.00")),
    paid(11, 1, "2024-03-01T12:00:00Z", "60.00", kind="sale"),
    paid(12, 1, "2024-03-01T12:05:00Z", "40.00", kind="authorization"),
    then=[
        paid(13, 1, "2024-03-02T12:00:00Z", "40.00", kind="capture"),
        returned(9, 1, "2024-03-03", "20.00", "success"),
    ],
)
def test_a_refund_of_an_order_with_a_sale_and_a_capture_is_booked_once(kpis: Reading) -> None:
    assert kpis.of("net_sales", "2024-03-01", "2024-03-02", "2024-03-03") == [100, 0, -20]
    assert kpis.of("orders", "2024-03-01", "2024-03-02") == [1, 0]
    assert kpis.of("new_customers", "2024-03-01", "2024-03-02") == [1, 0]
    assert (kpis("LTV", "2024-03-03"), kpis("refund_rate", "2024-03-03")) == (80, 20)


@story(
    *bought(1, "2024-03-01", "100.00"),
    *bought(2, "2024-03-01", "100.00", "h1:bia"),
    *bought(3, "2024-03-01", "100.00", "h1:cris"),
    returned(91, 1, "2024-03-02", "30.00", "failure"),
    returned(93, 3, "2024-03-02", "25.00", "failure"),
    then=[
        returned(92, 2, "2024-03-02", "40.00", "error", "success"),
        paid(930, 3, "2024-03-02T12:00:00Z", "25.00", kind="refund", told="2024-03-04T12:00:00Z"),
    ],
)
def test_a_refund_counts_when_any_of_its_money_moved_on_the_day_of_the_refund(kpis: Reading) -> None:
    assert kpis.of("net_sales", "2024-03-01", "2024-03-02") == [300, -65]
    # What is left, 300 - 40 - 25, by three customers; 65 of 300.
    assert kpis("LTV", "2024-03-02") == Decimal("78.33")
    assert kpis("refund_rate", "2024-03-02") == Decimal("21.67")


@story(
    *bought(1, "2024-03-01", "50.00", None, email="h1:gil"),
    *bought(3, "2024-03-01", "20.00", None, email="h1:hana"),
    *bought(4, "2024-03-01", "10.00", None),
    then=[
        *bought(2, "2024-03-02", "30.00", None, email="h1:gil"),
        *bought(5, "2024-03-02", "10.00", None),
        *bought(6, "2024-03-02", "40.00", "h1:account", email="h1:gil"),
    ],
)
def test_guests_are_customers_by_their_mail_address_and_nobody_is_none(kpis: Reading) -> None:
    assert kpis.of("net_sales", "2024-03-01", "2024-03-02") == [80, 80]
    assert kpis.of("orders", "2024-03-01", "2024-03-02") == [3, 3]
    assert kpis.of("new_customers", "2024-03-01", "2024-03-02") == [2, 1]
    assert kpis.of("active_customers", "2024-03-01", "2024-03-02") == [2, 3]
    # (80 + 20 + 40) / 3; one of three came back
    assert kpis.of("LTV", "2024-03-01", "2024-03-02") == [35, Decimal("46.67")]
    assert kpis.of("repeat_rate", "2024-03-01", "2024-03-02") == [0, Decimal("33.33")]


TWO_BECOME_ONE = (
    *bought(1, "2024-01-10", "100.00"),
    *bought(2, "2024-02-10", "60.00", "h1:bia"),
    *bought(3, "2024-03-05", "10.00", "h1:cris"),
)
MERGE = customers_merged("h1:bia", "h1:ana", "2024-03-01T12:00:00Z")


@story(*TWO_BECOME_ONE, then=[MERGE])
def test_two_customers_merged_were_one_from_the_first_order_on(kpis: Reading) -> None:
    assert kpis.of("new_customers", "2024-01-10", "2024-02-10", "2024-03-05") == [1, 0, 1]
    assert kpis.of("LTV", "2024-01-10", "2024-02-10", "2024-03-05") == [100, 160, 85]
    assert kpis.of("repeat_rate", "2024-01-10", "2024-02-10", "2024-03-05") == [0, 100, 50]
    assert kpis.of("active_customers", "2024-02-10", "2024-03-05") == [1, 2]
    assert kpis.of("net_sales", "2024-01-10", "2024-02-10") == [100, 60]


@story(*TWO_BECOME_ONE, then=[MERGE])
def test_two_customers_merged_are_one_of_the_earlier_cohort(marts: Reading) -> None:
    assert marts.cohorts == [
        ("2024-01-01", 0, 1, 1, 1, 100, 100, True),
        ("2024-01-01", 1, 1, 1, 1, 60, 160, True),
        ("2024-01-01", 2, 1, None, None, None, None, False),
        ("2024-03-01", 0, 1, None, None, None, None, False),
    ]


@story(
    *bought(1, "2024-01-10", "30.00", "h1:a"),
    *bought(2, "2024-01-11", "20.00", "h1:b"),
    *bought(3, "2024-01-12", "10.00", "h1:c"),
    customers_merged("h1:b", "h1:c", "2024-01-20T12:00:00Z"),
    then=[customers_merged("h1:a", "h1:b", "2024-01-15T12:00:00Z")],
)
def test_a_chain_of_merges_ends_in_the_last_customer_kept(kpis: Reading) -> None:
    assert kpis.of("new_customers", "2024-01-10", "2024-01-11", "2024-01-12") == [1, 0, 0]
    assert kpis.of("LTV", "2024-01-10", "2024-01-11", "2024-01-12") == [30, 50, 60]
    assert kpis.of("repeat_rate", "2024-01-10", "2024-01-11") == [0, 100]


@story(
    customers_merged("h1:x", "h1:y", "2024-01-20T12:00:00Z"),
    then=[*bought(1, "2024-01-10", "40.00", "h1:x"), *bought(2, "2024-01-12", "5.00", "h1:y")],
)
def test_a_merge_may_be_told_before_the_orders_of_those_merged(kpis: Reading) -> None:
    assert kpis.of("new_customers", "2024-01-10", "2024-01-12") == [1, 0]
    assert (kpis("LTV", "2024-01-12"), kpis("repeat_rate", "2024-01-12")) == (45, 100)


@story(
    *bought(1, "2024-01-10", "40.00"),
    *bought(2, "2024-01-12", "20.00", "h1:bia"),
    customers_merged("h1:bia", "h1:ana", "2024-01-20T12:00:00Z"),
    customers_merged("h1:cris", "h1:ana", "2024-01-20T12:00:00Z", status="failed"),
    then=[*bought(3, "2024-01-25", "25.00", "h1:bia"), *bought(4, "2024-01-25", "15.00", "h1:cris")],
)
def test_a_later_order_of_one_merged_away_is_of_the_customer_kept_and_a_failed_merge_is_none(
    kpis: Reading,
) -> None:
    assert kpis.of("new_customers", "2024-01-10", "2024-01-12", "2024-01-25") == [1, 0, 1]
    # Ana 40 + 20 + 25 and Cris 15
    assert kpis.of("LTV", "2024-01-12", "2024-01-25") == [60, 50]
    assert kpis("active_customers", "2024-01-25") == 2


@story(
    *bought(1, "2024-03-01", "50.00"),
    *bought(2, "2024-03-05", "30.00"),
    then=[
        order(1, "2024-03-01T12:00:00Z", line(1, "50.00"), customer="h1:bia", updated="2024-03-06T12:00:00Z")
    ],
)
def test_an_order_moved_to_another_customer_leaves_the_first_one(kpis: Reading) -> None:
    assert kpis.of("new_customers", "2024-03-01", "2024-03-05") == [1, 1]
    assert kpis.of("LTV", "2024-03-01", "2024-03-05") == [50, 40]
    assert kpis("repeat_rate", "2024-03-05") == 0


@story(
    *bought(1, "2024-01-10", "50.00", "h1:bia"),
    *bought(2, "2024-01-12", "20.00"),
    customers_merged("h1:bia", "h1:ana", "2024-01-20T12:00:00Z"),
    then=[
        order(1, "2024-01-10T12:00:00Z", line(1, "50.00"), customer="h1:cris", updated="2024-01-21T12:00:00Z")
    ],
)
def test_an_order_moved_on_after_its_customer_was_merged_is_of_whom_it_names(kpis: Reading) -> None:
    assert kpis.of("new_customers", "2024-01-10", "2024-01-12") == [1, 1]
    assert (kpis("LTV", "2024-01-12"), kpis("repeat_rate", "2024-01-12")) == (35, 0)


@story(
    *bought(1, "2024-03-01", "50.00"),
    *bought(2, "2024-03-01", "10.00", "h1:bia", test=True),
    order(3, "2024-03-01T12:00:00Z", line(3, "20.00"), customer="h1:cris", financial_status="voided"),
    paid(13, 3, "2024-03-01T12:00:00Z", "20.00", kind="authorization"),
    *bought(4, "2024-03-01", "30.00", "h1:duda"),
    returned(92, 2, "2024-03-02", "10.00", "success"),
    then=[
        order(
            4,
            "2024-03-01T12:00:00Z",
            line(4, "30.00"),
            customer="h1:duda",
            updated="2024-03-02T12:00:00Z",
            financial_status="voided",
            cancelled_at="2024-03-02T12:00:00Z",
        ),
        *bought(5, "2024-03-03", "7.00"),
    ],
)
def test_voided_and_test_orders_are_no_sales_and_their_refunds_no_returns(kpis: Reading) -> None:
    assert kpis.of("orders", "2024-03-01", "2024-03-02", "2024-03-03") == [1, 0, 1]
    assert kpis.of("net_sales", "2024-03-01", "2024-03-02", "2024-03-03") == [50, 0, 7]
    assert kpis.of("active_customers", "2024-03-01", "2024-03-03") == [1, 1]
    assert kpis("new_customers", "2024-03-01") == 1
    assert kpis.of("LTV", "2024-03-01", "2024-03-03") == [50, 57]


@story(
    order(1, "2024-03-01T12:00:00Z", line(1, "100.00", gift_card=True), line(2, "40.00", discounts=["4.00"])),
    paid(11, 1, "2024-03-01T12:00:00Z", "136.00"),
    then=[
        order(2, "2024-03-02T12:00:00Z", line(3, "44.00"), customer="h1:bia"),
        paid(12, 2, "2024-03-02T12:00:00Z", "44.00", gateway="gift_card"),
        order(
            3,
            "2024-03-02T12:00:00Z",
            line(4, "70.00", gift_card=True, discounts=["7.00"]),
            customer="h1:cris",
        ),
        paid(13, 3, "2024-03-02T12:00:00Z", "63.00"),
        refunded(refund(9, 1, "2024-03-03T12:00:00Z", "6.00", gift_cards=["100.00"])),
    ],
)
def test_a_gift_card_is_sold_when_it_is_redeemed(kpis: Reading) -> None:
    assert kpis.of("net_sales", "2024-03-01", "2024-03-02", "2024-03-03") == [36, 44, -6]
    assert kpis.of("orders", "2024-03-01", "2024-03-02") == [1, 2]
    # By three customers 36 - 6 and 44; by three orders 36 and 44; 6 of 80.
    assert kpis("LTV", "2024-03-03") == Decimal("24.67")
    assert kpis("average_order_value", "2024-03-03") == Decimal("26.67")
    assert kpis("refund_rate", "2024-03-03") == Decimal("7.5")


@story(
    order(1, "2024-03-01T12:00:00Z", line(1, "50.00"), line(2, "30.00"), updated="2024-03-02T12:00:00Z"),
    paid(11, 1, "2024-03-01T12:00:00Z", "80.00"),
    *bought(2, "2024-03-02", "20.00"),
    then=[
        order(
            1,
            "2024-03-01T12:00:00Z",
            line(1, "50.00", 2, discounts=["5.00", "2.50"]),
            updated="2024-03-03T12:00:00Z",
            topic="orders.updated",
        ),
        # What it was at first comes last.
        order(1, "2024-03-01T12:00:00Z", line(1, "999.00")),
    ],
)
def test_an_edited_order_counts_once_as_it_is_now_on_its_own_day(kpis: Reading) -> None:
    assert kpis.of("net_sales", "2024-03-01", "2024-03-02") == [Decimal("92.5"), 20]
    assert kpis.of("orders", "2024-03-01", "2024-03-02") == [1, 1]
    assert kpis("average_order_value", "2024-03-02") == Decimal("56.25")
    assert kpis("LTV", "2024-03-02") == Decimal("112.5")


@story(
    *bought(1, "", "10.00", at="2024-03-02T02:59:59Z"),
    *bought(2, "", "20.00", "h1:bia", at="2024-03-02T03:00:00Z"),
    answer("h1:ana", "2024-03-02T02:59:59Z", 10),
    pull_request(1, "2024-03-01T12:00:00Z", merged="2024-03-01T21:00:00Z"),
    issue(20, "2024-03-02T01:00:00Z", closed="2024-03-04T02:00:00Z"),
    then=[
        refunded(refund(9, 1, "2024-03-06T02:30:00Z", "3.00")),
        refunded(refund(8, 2, "2024-03-06T03:00:00Z", "5.00")),
        answer("h1:bia", "2024-03-02T03:00:00Z", 0),
        release(1, "2024-03-02T02:00:00Z"),
    ],
)
def test_days_end_at_midnight_in_sao_paulo(kpis: Reading) -> None:
    assert kpis.days[0] == "2024-03-01"
    assert kpis.of("net_sales", "2024-03-01", "2024-03-02", "2024-03-05", "2024-03-06") == [10, 20, -3, -5]
    assert kpis.of("new_customers", "2024-03-01", "2024-03-02") == [1, 1]
    assert kpis.of("NPS", "2024-03-01", "2024-03-02") == [100, 0]
    assert kpis.of("leadTime", "2024-03-01", "2024-03-02") == [5, 5]
    assert kpis.of("open_issues", "2024-03-01", "2024-03-02", "2024-03-03") == [1, 1, 0]


@story(
    *bought(1, "", "10.00", at="2019-02-16T01:59:59Z"),
    then=[
        *bought(2, "", "20.00", at="2019-02-16T02:00:00Z"),
        *bought(3, "", "40.00", at="2019-02-17T02:59:59Z"),
        *bought(4, "", "80.00", at="2019-02-17T03:00:00Z"),
    ],
)
def test_the_last_summer_time_of_sao_paulo_gave_a_day_of_twenty_five_hours(kpis: Reading) -> None:
    assert kpis.of("net_sales", "2019-02-15", "2019-02-16", "2019-02-17") == [10, 60, 80]


LONG_AFTER = (
    *bought(1, "2024-03-01", "100.00"),
    *bought(2, "2024-11-20", "60.00", "h1:bia"),
    *bought(9, "2024-12-02", "10.00"),
)
# Told in December: an order of somebody new, the first one of a customer known since, one before the series.
EIGHT_MONTHS_LATE = (
    *bought(3, "2024-03-10", "30.00", "h1:cris"),
    *bought(4, "2024-03-05", "20.00", "h1:bia"),
    *bought(5, "2024-02-20", "40.00", "h1:duda"),
)


@story(*LONG_AFTER, then=EIGHT_MONTHS_LATE)
def test_orders_eight_months_late_change_every_day_since(kpis: Reading) -> None:
    assert (kpis.days[0], kpis.days[-1], len(kpis.days)) == ("2024-02-20", "2024-12-02", 287)
    days = "2024-02-20", "2024-03-01", "2024-03-05", "2024-03-10", "2024-11-20"
    assert kpis.of("net_sales", *days) == [40, 100, 20, 30, 60]
    assert kpis.of("new_customers", *days) == [1, 1, 1, 1, 0]
    # 40 / 1, 140 / 2, 160 / 3, 190 / 4, 250 / 4
    assert kpis.of("LTV", *days) == [40, 70, Decimal("53.33"), Decimal("47.5"), Decimal("62.5")]
    assert kpis.of("repeat_rate", "2024-03-10", "2024-11-20", "2024-12-02") == [0, 25, 50]
    # Cris bought on 10 March, which is in the 90 days up to 7 June.
    assert kpis.of("active_customers", "2024-03-10", "2024-06-07", "2024-06-08", "2024-12-02") == [4, 1, 0, 2]
    assert kpis.of("average_order_value", "2024-03-10", "2024-11-20") == [Decimal("47.5"), 60]
    assert kpis.reason("average_order_value", "2024-06-08") == "no orders in 90 days"


@story(*LONG_AFTER, then=EIGHT_MONTHS_LATE)
def test_orders_eight_months_late_found_cohorts_and_change_months(marts: Reading) -> None:
    cohorts = {(month, offset): row for month, offset, *row in marts.cohorts}
    assert sorted({month for month, _ in cohorts}) == ["2024-02-01", "2024-03-01"]
    assert cohorts["2024-02-01", 0] == [1, 1, 1, 40, 40, True]
    assert cohorts["2024-03-01", 0] == [3, 3, 3, 150, 150, True]
    assert cohorts["2024-03-01", 1] == [3, 0, 0, 0, 150, True]
    assert cohorts["2024-03-01", 8] == [3, 1, 1, 60, 210, True]
    assert cohorts["2024-03-01", 9] == [3, None, None, None, None, False]
    sales = [row[:3] + row[4:] for row in marts.months if row[3] == "net_sales"]
    assert sales[0] == ("2024-02-01", "2024-02-29", True, 40)
    assert sales[1] == ("2024-03-01", "2024-03-31", True, 150)
    assert sales[-1] == ("2024-12-01", "2024-12-02", False, 10)
    assert [row[4] for row in marts.weeks if row[:1] == ("2024-03-04",) and row[3] == "orders"] == [2]


@story(
    *bought(1, "2024-03-01", "100.00"),
    *bought(2, "2024-03-05", "50.00", "h1:bia"),
    *bought(3, "2024-03-07", "10.00"),
    *bought(4, "2024-03-10", "20.00", "h1:cris"),
    *bought(5, "2024-02-27", "20.00", "h1:duda"),
    then=[order_deleted(id, "2024-03-11T12:00:00Z") for id in (2, 4, 5)],
)
def test_a_day_that_becomes_empty_shows_nothing_or_leaves_the_series_at_its_ends(kpis: Reading) -> None:
    assert (kpis.days[0], kpis.days[-1], len(kpis.days)) == ("2024-03-01", "2024-03-07", 7)
    for kpi in ("net_sales", "orders", "new_customers"):
        assert kpis(kpi, "2024-03-05") == 0
    assert kpis.of("LTV", "2024-03-05", "2024-03-07") == [100, 110]
    assert kpis.of("active_customers", "2024-03-05", "2024-03-07") == [1, 1]


@story(
    exchange_rate("USD/BRL", "2024-03-01", "5.0000"),
    exchange_rate("USD/BRL", "2024-03-04", "5.3000"),
    *bought(1, "2024-03-03", "10.00", currency="USD"),
    then=[
        exchange_rate("USD/BRL", "2024-03-04", "5.2000", told="2024-03-06T12:00:00Z"),
        exchange_rate("USD/BRL", "2024-03-10", "4.8000"),
        returned(9, 1, "2024-03-05", "4.00", "success", currency="USD"),
        *bought(2, "2024-03-05", "8.00", "h1:bia"),
        spend("a", "2024-03-10", "2024-03-11", "10.00", currency="USD", told="2024-03-11T12:00:00Z"),
        answer("h1:ana", "2024-03-11T12:00:00Z", 9),
    ],
)
def test_orders_refunds_and_spend_in_another_currency_are_counted_at_the_rates_of_their_own_days(
    kpis: Reading,
) -> None:
    # 10 x 5.00; 8 - 4 x 5.20
    assert kpis.of("net_sales", "2024-03-03", "2024-03-05") == [50, Decimal("-12.8")]
    # (50 - 20.80 + 8) / 2; 10 x 4.80 over two days
    assert kpis("LTV", "2024-03-05") == Decimal("18.6")
    assert kpis.of("CAC", "2024-03-10", "2024-03-11") == [12, 24]
    assert kpis.broken == []


@story(
    *bought(1, "2024-03-03", "10.00", currency="USD"),
    *bought(2, "2024-03-05", "8.00", "h1:bia"),
    *bought(3, "2024-03-05", "7.00", "h1:ana"),
    then=[exchange_rate("USD/BRL", "2024-03-01", "5.0000", told="2024-06-01T12:00:00Z")],
)
def test_a_rate_that_comes_late_lets_count_what_could_not_be_counted(kpis: Reading) -> None:
    assert kpis.of("net_sales", "2024-03-03", "2024-03-05") == [50, 15]
    assert kpis.of("orders", "2024-03-03", "2024-03-05") == [1, 2]
    assert kpis.of("LTV", "2024-03-03", "2024-03-05") == [50, Decimal("32.5")]
    assert kpis("repeat_rate", "2024-03-05") == 50
    assert kpis.broken == []


@story(
    *bought(1, "2024-03-03", "10.00", currency="EUR"),
    *bought(2, "2024-03-05", "8.00", "h1:bia"),
    then=[
        # Neither the rate of another pair, nor one of a later day, nor the inverse.
        exchange_rate("USD/BRL", "2024-03-01", "5.0000"),
        exchange_rate("EUR/BRL", "2024-03-04", "6.0000"),
        exchange_rate("BRL/EUR", "2024-03-01", "0.1600"),
        *bought(3, "2024-03-06", "1.00", "h1:cris", currency="CHF"),
    ],
)
def test_without_a_rate_an_order_is_not_counted_and_a_rule_says_so(kpis: Reading) -> None:
    days = "2024-03-03", "2024-03-05", "2024-03-06"
    assert (kpis.days[0], kpis.days[-1]) == (days[0], days[2])
    assert kpis.of("orders", *days) == [0, 1, 0]
    assert kpis.of("net_sales", *days) == [0, 8, 0]
    assert kpis.of("active_customers", *days) == [0, 1, 1]
    # Who paid is a customer, whatever it was worth.
    assert kpis.of("new_customers", *days) == [1, 1, 1]
    assert kpis.broken == [("1", "currency_foreign"), ("3", "currency_foreign")]


@story(
    *bought(1, "2024-03-10", "100.00"),
    spend("a", "2024-03-01", "2024-03-09", "90.00", kind="salary"),
    then=[
        *bought(2, "2024-03-10", "200.00", "h1:bia"),
        *bought(3, "2024-03-12", "100.00", "h1:bia"),
        spend("b", "2024-03-10", "2024-03-10", "30.00", told="2024-03-10T12:00:00Z"),
    ],
    gross_margin="0.4",
)
def test_payback_and_ltv_to_cac_are_in_gross_profit(kpis: Reading) -> None:
    assert kpis.reason("CAC", "2024-03-09") == "no customers acquired in 90 days"
    assert kpis.of("CAC", "2024-03-10", "2024-03-12") == [60, 60]
    assert kpis.of("CAC_paid", "2024-03-10") == [15]
    # 0.4 x 150 / 60; 0.4 x 200 / 60
    assert kpis.of("LTV_CAC", "2024-03-10", "2024-03-12") == [1, Decimal("1.33")]
    # 60 / (0.4 x 300 / 3 / 2) and 60 / (0.4 x 400 / 3 / 2) months
    assert kpis.of("payback", "2024-03-10", "2024-03-12") == [3, Decimal("2.25")]


@story(
    answer("h1:cris", "2024-02-20T12:00:00Z", 7),
    *(invitation(f"h1:{name}", "2024-03-01T12:00:00Z") for name in ("ana", "bia", "cris", "duda")),
    answer("h1:eva", "2024-03-03T12:00:00Z", 2),
    then=[
        answer("h1:ana", "2024-03-02T12:00:00Z", 9),
        answer("h1:ana", "2024-03-04T12:00:00Z", 10),
        invitation("h1:ana", "2024-03-05T12:00:00Z"),
        answer("h1:bia", "2024-03-20T12:00:00Z", 3),
        answer("h1:eva", "2024-06-01T12:00:00Z", 10),
    ],
)
def test_who_was_invited_answers_once_and_after_it(kpis: Reading) -> None:
    days = "2024-02-29", "2024-03-01", "2024-03-02", "2024-03-05", "2024-03-20", "2024-05-29", "2024-05-30"
    assert kpis.of("response_rate", *days) == [None, 0, 25, 25, 50, 50, None]
    assert kpis.reason("response_rate", "2024-05-30") == "no invitations in 90 days"
    # Ana 10, Bia 3, Cris 7, Eva 2: one of four praises, two complain.
    assert kpis("NPS", "2024-03-20") == -25


@story(
    release(1, "2024-03-01T12:00:00Z"),
    issue(20, "2024-03-02T12:00:00Z", "incident", closed="2024-03-02T18:00:00Z"),
    issue(21, "2024-03-03T12:00:00Z", "Incidente"),
    issue(22, "2024-03-06T12:00:00Z"),
    issue(23, "2024-03-02T12:00:00Z", "bug"),
    issue(24, "2024-02-28T12:00:00Z", "incident"),
    release(3, "2024-03-10T12:00:00Z"),
    then=[
        release(2, "2024-03-05T12:00:00Z"),
        issue(21, "2024-03-03T12:00:00Z", "Incidente", closed="2024-03-04T12:00:00Z", action="closed"),
        issue(22, "2024-03-06T12:00:00Z", "incident", updated="2024-03-09T12:00:00Z"),
    ],
)
def test_incidents_fail_the_release_before_them_once(kpis: Reading) -> None:
    days = "2024-03-01", "2024-03-02", "2024-03-05", "2024-03-06", "2024-03-10"
    assert kpis.of("change_failure_rate", *days) == [0, 100, 50, 100, Decimal("66.67")]
    assert kpis.of("restore_time", "2024-03-01", "2024-03-02", "2024-03-04") == [None, 6, 15]
    assert kpis.of("open_issues", *days, "2024-03-03") == [1, 2, 2, 3, 3, 3]
    # Three releases in 90 days, times 7 days
    assert kpis("deployment_frequency", "2024-03-10") == Decimal("0.23")


@story(
    *bought(1, "2024-12-29", "10.00"),
    *bought(2, "2024-12-30", "20.00"),
    *bought(5, "2025-01-06", "50.00"),
    then=[
        *bought(3, "", "30.00", at="2025-01-01T02:30:00Z"),
        *bought(4, "2025-01-05", "40.00", "h1:bia"),
    ],
)
def test_the_first_iso_week_of_a_year_begins_in_the_old_one_and_months_do_not(marts: Reading) -> None:
    def shown(rows: Rows, kpi: str) -> Rows:
        return [(*row[:3], row[4]) for row in rows if row[3] == kpi]

    assert shown(marts.weeks, "net_sales") == [
        ("2024-12-23", "2024-12-29", True, 10),
        ("2024-12-30", "2025-01-05", True, 90),
        ("2025-01-06", "2025-01-06", False, 50),
    ]
    # Of the last day of each: 10, then (10 + 20 + 30 + 40) / 2, then 150 / 2
    assert shown(marts.weeks, "LTV") == [
        ("2024-12-23", "2024-12-29", True, 10),
        ("2024-12-30", "2025-01-05", True, 50),
        ("2025-01-06", "2025-01-06", False, 75),
    ]
    # 1 January 02:30 in UTC is New Year's Eve in Sao Paulo.
    assert shown(marts.months, "net_sales") == [
        ("2024-12-01", "2024-12-31", True, 60),
        ("2025-01-01", "2025-01-06", False, 90),
    ]
    assert [row[3] for row in shown(marts.months, "new_customers")] == [1, 1]
    assert [row[3] for row in shown(marts.months, "repeat_rate")] == [100, 50]


@story(
    *bought(1, "", "100.00", at="2024-02-01T02:00:00Z"),
    *bought(2, "2024-01-15", "50.00", "h1:bia"),
    order(6, "2024-01-20T12:00:00Z", line(6, "5.00"), customer="h1:eva", financial_status="pending"),
    *bought(5, "2024-03-05", "30.00", "h1:cris"),
    then=[*bought(3, "2024-02-20", "40.00"), returned(9, 2, "2024-02-10", "10.00", "success")],
)
def test_cohorts_hold_who_paid_by_the_month_in_sao_paulo_with_returns_in_their_own_month(
    marts: Reading,
) -> None:
    assert marts.cohorts == [
        ("2024-01-01", 0, 2, 2, 2, 150, 150, True),
        ("2024-01-01", 1, 2, 1, 1, 30, 180, True),
        ("2024-01-01", 2, 2, None, None, None, None, False),
        ("2024-03-01", 0, 1, None, None, None, None, False),
    ]
