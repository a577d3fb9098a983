"""What the checks of connectors read from the database, in the cases that are hard to read."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from batuta.warehouse.connection import connect
from sensors.audits import note_audit, read_audits
from sensors.liveness.completeness import read_books
from sensors.liveness.evaluate import check_names, evaluate
from sensors.liveness.gaps import GRACE, read_missed, read_quiet
from sensors.liveness.verdict import Bound

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SHOP = Bound("arcsat", "loja", fetches=True)
UPDATED = "com.shopify.orders.updated"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

Conn = psycopg.Connection[Any]


@pytest.fixture
def conn(database_url: str) -> Iterator[Conn]:
    with connect(database_url, "owner") as connection:
        yield connection


@pytest.fixture
def reader(database_url: str) -> Iterator[Conn]:
    with connect(database_url, "reader", autocommit=True) as connection:
        yield connection


def page(
    conn: Conn,
    counted: int,
    landed: int,
    *,
    total: int | None = None,
    at: datetime = NOW - HOUR,
    way: str = "poll",
    window: tuple[datetime, datetime] | None = None,
    product: str = "arcsat",
) -> None:
    start, end = window or (None, None)
    conn.execute(
        """
        insert into batuta.completeness (
            product, connector, account, window_start, window_end, way, counted, total, landed, duplicate,
            quarantined, filtered, committed_at
        ) values (%s, 'shopify', 'loja', %s, %s, %s, %s, %s, %s, 0, 0, 0, %s)
        """,
        (product, start, end, way, counted, total, landed, at),
    )
    conn.commit()


def event(conn: Conn, way: str, subject: str, at: datetime, landed_at: datetime, type: str = UPDATED) -> None:
    row = conn.execute("select nextval('batuta.batch_numbers')").fetchone()
    batch = int(row[0]) if row else 0
    conn.execute("insert into batuta.batches values (%s, %s, %s, 1)", (batch, landed_at, way))
    name = f"{way}-{subject}-{at:%H%M%S}-{batch}"
    conn.execute(
        """
        insert into batuta.events (
            received_at, batch, key, product, source, id, type, subject, time, connector, dataset, dataschema,
            data, decision
        ) values (%s, %s, %s, 'arcsat', 'test', %s, %s, %s, %s, 'shopify', 'orders', 's', '{}', '')
        """,
        (landed_at, batch, hashlib.sha256(name.encode()).digest()[:16], name, type, subject, at),
    )
    conn.commit()


def missed(reader: Conn) -> list[tuple[str, int]]:
    return [(m.type, m.events) for m in read_missed(reader, "shopify", "orders", ["arcsat"], NOW)]


def test_pages_are_summed_by_way_and_only_those_of_the_accounts_asked_for(conn: Conn, reader: Conn) -> None:
    page(conn, 5, 5)
    page(conn, 3, 3)
    page(conn, 7, 7, way="backfill", window=(NOW - 9 * HOUR, NOW))
    page(conn, 9, 9, at=NOW - 25 * HOUR)
    page(conn, 9, 9, product="loja")
    books = read_books(reader, "shopify", [SHOP], NOW)
    assert [(s.way, s.pages, s.counted) for s in books.sums] == [("backfill", 1, 7), ("poll", 2, 8)]
    assert books.broken == books.stretches == ()


def test_a_page_of_which_something_is_missing_is_found_for_a_month(conn: Conn, reader: Conn) -> None:
    page(conn, 5, 4, at=NOW - timedelta(days=20))
    page(conn, 5, 4, at=NOW - timedelta(days=31))
    (broken,) = read_books(reader, "shopify", [SHOP], NOW).broken
    assert (broken.counted, broken.accounted) == (5, 4)


def test_a_window_is_held_against_the_sources_own_count_over_all_its_pages(conn: Conn, reader: Conn) -> None:
    window = (NOW - 9 * HOUR, NOW)
    page(conn, 40, 40, way="backfill", window=window)
    page(conn, 60, 60, way="backfill", window=window, total=100, at=NOW - 50 * MINUTE)
    assert read_books(reader, "shopify", [SHOP], NOW).stretches == ()

    page(conn, 90, 90, way="backfill", window=window, total=100, at=NOW - 40 * MINUTE)
    (short,) = read_books(reader, "shopify", [SHOP], NOW).stretches
    assert (short.counted, short.total, short.window_end) == (90, 100, NOW)

    page(conn, 101, 101, way="backfill", window=window, total=100, at=NOW - 30 * MINUTE)
    assert read_books(reader, "shopify", [SHOP], NOW).stretches == ()


def test_every_poll_has_a_count_of_its_own(conn: Conn, reader: Conn) -> None:
    page(conn, 10, 10, total=12, at=NOW - 50 * MINUTE)
    page(conn, 10, 10, at=NOW - 40 * MINUTE)
    page(conn, 10, 10, total=20, at=NOW - 30 * MINUTE)
    (short,) = read_books(reader, "shopify", [SHOP], NOW).stretches
    assert (short.counted, short.total) == (10, 12)


def test_a_change_that_only_a_poll_brought_was_missed_by_the_webhook(conn: Conn, reader: Conn) -> None:
    event(conn, "webhook", "order/1", NOW - 9 * HOUR, NOW - 9 * HOUR)
    event(conn, "poll", "order/2", NOW - 3 * HOUR, NOW - 3 * HOUR)
    assert missed(reader) == [(UPDATED, 1)]


def test_a_webhook_that_comes_after_the_poll_and_one_that_may_still_come_are_no_gap(
    conn: Conn, reader: Conn
) -> None:
    event(conn, "webhook", "order/1", NOW - 9 * HOUR, NOW - 9 * HOUR)
    event(conn, "poll", "order/2", NOW - 3 * HOUR, NOW - 3 * HOUR)
    event(conn, "webhook", "order/2", NOW - 3 * HOUR, NOW - 3 * HOUR + 5 * MINUTE)
    event(conn, "poll", "order/3", NOW - GRACE + MINUTE, NOW - GRACE + MINUTE)
    assert missed(reader) == []


def test_before_the_first_webhook_of_a_type_polls_miss_nothing(conn: Conn, reader: Conn) -> None:
    event(conn, "poll", "order/1", NOW - 9 * HOUR, NOW - 3 * HOUR)
    event(conn, "webhook", "order/2", NOW - 2 * HOUR, NOW - 2 * HOUR, type="com.shopify.orders.paid")
    event(conn, "poll", "order/3", NOW - HOUR, NOW - HOUR)
    assert missed(reader) == []


def test_only_what_is_quiet_is_read_with_the_hours_up_to_its_last_event(conn: Conn, reader: Conn) -> None:
    for product, hours in (("arcsat", (100, 50, 9)), ("loja", (30, 2)), ("other", (9,))):
        for hour in hours:
            conn.execute(
                "insert into batuta.intake_counts (product, connector, dataset, hour, landed) values (%s, 'shopify', "
                "'orders', %s, 1)",
                (product, NOW - hour * HOUR),
            )
    conn.execute(
        "insert into batuta.intake_counts (product, connector, dataset, hour, duplicate) values "
        "('arcsat', 'shopify', 'orders', %s, 3)",
        (NOW - HOUR,),
    )
    conn.commit()
    (heard,) = read_quiet(reader, "shopify", "orders", ["arcsat", "loja", "new"], NOW)
    assert heard.product == "arcsat"
    assert heard.active_hours == (NOW - 100 * HOUR, NOW - 50 * HOUR, NOW - 9 * HOUR)


def test_the_last_good_audit_is_remembered_through_failed_ones(conn: Conn, reader: Conn) -> None:
    key = ("arcsat", "shopify", "loja:with:colons")
    note_audit(conn, key, NOW - HOUR, done=True)
    note_audit(conn, key, NOW, done=False)
    conn.commit()
    audit = read_audits(reader, "shopify")[key]
    assert (audit.tried_at, audit.done_at) == (NOW, NOW - HOUR)


def test_every_check_gets_a_verdict_and_an_ended_account_concerns_only_polling(
    conn: Conn, reader: Conn
) -> None:
    conn.execute(
        """
        insert into batuta.accounts (product, connector, account, last_attempt_at, stopped_at, stopped_reason)
        values ('arcsat', 'shopify', 'loja', %s, %s, 'the app is uninstalled')
        """,
        (NOW, NOW),
    )
    page(conn, 5, 4)
    conn.commit()
    names = check_names(["orders", "refunds"])
    verdicts = evaluate(reader, "shopify", names, [SHOP], NOW)
    assert set(verdicts) == set(names)
    assert all(verdict.passed for verdict in verdicts.values())
    assert "uninstalled" in verdicts["accounts", "polling"].text
