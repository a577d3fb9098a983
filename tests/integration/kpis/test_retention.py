"""The log lets go of what is old, and nobody can tell it from the numbers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.errors import BatutaError
from batuta.landing.reader import find
from batuta.retention.chunks import MODELS
from batuta.retention.letting_go import carry_out, plan
from batuta.retention.newest import RetentionBlocked
from batuta.retention.steps import Period, Reader, Step
from batuta.warehouse.connection import connect
from tests.integration.kpis.test_arrival import happenings, states
from tests.support.kpis_dbt import TABLES, KpiWarehouse
from tests.support.kpis_events import LoggedEvent, catalogue, line, moment, order, record
from tests.support.plans import plan_nodes, reached_by_index

FIRST = moment("2024-04-01T00:00:00+00:00")
NOW = moment("2024-08-01T00:00:00+00:00")
WEEK = timedelta(days=7)
PARTS = 5
YEARS = 3650


@dataclass(frozen=True)
class History:
    """How one product's events came: in which order, cut where, received in which weeks, kept how many days."""

    seed: int
    weeks: tuple[int, ...]
    days: int

    def parts(self) -> list[list[LoggedEvent]]:
        rng = random.Random(self.seed)
        events = happenings()
        rng.shuffle(events)
        cuts = sorted(rng.randrange(len(events) + 1) for _ in range(PARTS - 1))
        return [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]


histories = st.lists(
    st.builds(
        History,
        seed=st.integers(0, 2**32),
        weeks=st.tuples(*[st.integers(0, 15)] * PARTS),
        days=st.integers(1, 130),
    ),
    min_size=6,
    max_size=6,
)
example = iter(range(1000))


class NoContents:
    """A blob store that nothing is in; nothing must be deleted from it."""

    def delete(self, product: str, digest: str) -> None:
        raise AssertionError(f"{product}: {digest}")


def let_go(
    url: str,
    periods: Sequence[Period],
    *,
    readers: Sequence[Reader] = (),
    quarantine_days: int = YEARS,
    now: datetime = NOW,
) -> list[Step]:
    with connect(url, "owner") as conn:
        return carry_out(conn, periods, readers, quarantine_days, lambda: now, NoContents())


def rows(url: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as conn:
        return conn.execute(query.encode(), parameters or None).fetchall()


def ids(url: str, table: str, product: str) -> set[str]:
    return {id for (id,) in rows(url, f"select id from batuta.{table} where product = %s", product)}


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=histories)
def test_whatever_the_log_lets_go_of_a_full_rebuild_gives_the_same_and_later_events_fold_right(
    kpi_warehouse: KpiWarehouse, drawn: list[History]
) -> None:
    """Each product has a twin with the same events, of which everything is kept."""
    url, run = kpi_warehouse.url, next(example)
    told = {f"aging-{run}-{n}": history for n, history in enumerate(drawn)}
    twins = {product: f"{product}-twin" for product in told}

    def receive(part: int) -> None:
        with connect(url, "writer") as conn:
            for product, history in told.items():
                at = FIRST + history.weeks[part] * WEEK
                for name in (product, twins[product]):
                    record(conn, name, history.parts()[part], received_at=at)

    def same() -> None:
        for live in (True, False):
            found = states(url, [*told, *twins.values()], live=live)
            assert {p: found[p] for p in told} == {p: found[twins[p]] for p in told}

    for part in range(PARTS - 1):
        receive(part)
    kpi_warehouse.refresh(*TABLES)
    before = states(url, [*told], live=False)
    periods = [Period(product, f"retention-{history.days}d") for product, history in told.items()]
    steps = let_go(url, periods)

    assert all(step.waits_for is None for step in steps)
    for product, history in told.items():
        due = NOW - timedelta(days=history.days)
        old = "select count(*) from batuta.events where product = %s and received_at < %s"
        assert rows(url, old, product, due - WEEK) == [(0,)]
        gone = sum(step.removed for step in steps if step.product == product)
        left = ids(url, "history", product)
        assert len(left) + gone == len(ids(url, "events", twins[product]))
    assert states(url, [*told], live=False) == before
    same()
    kpi_warehouse.refresh("--full-refresh")
    assert states(url, [*told], live=False) == before
    same()
    receive(PARTS - 1)
    same()
    kpi_warehouse.refresh(*TABLES)
    same()
    let_go(url, periods)
    kpi_warehouse.refresh("--full-refresh")
    same()


YEARS_OF = {
    name: 2001 + place
    for place, name in enumerate(
        ("kept", "overtaken", "unread", "unfolded", "silent", "asked-for", "killed", "being-read", "refused")
    )
} | dict.fromkeys(("short", "long", "for-good"), 2020)
ASK = LoggedEvent(
    "com.shopify.customers.redact_requested", "shopify", "privacy", "https://casa.myshopify.com", "ask",
    moment("2024-03-01T12:00:00+00:00"), {"customer": {"id": "h1:ana"}},
)  # fmt: skip


@pytest.fixture(scope="module")
def shops(kpi_warehouse: KpiWarehouse) -> KpiWarehouse:
    """A shop per test, most in years of their own: an order in three versions and an item, read by the models."""
    with connect(kpi_warehouse.url, "writer") as conn:
        for name, year in YEARS_OF.items():
            at = datetime.fromisoformat(f"{year}-06-04T12:00:00+00:00")
            for hour in range(3):
                updated = f"2024-03-01T1{hour}:00:00Z"
                events = [order(1, "2024-03-01T10:00:00Z", line(11, f"5{hour}.00"), updated=updated)]
                record(conn, name, events, received_at=at + timedelta(hours=hour))
            record(conn, name, [catalogue(7, "2024-03-01T12:00:00Z", "Mesa")], received_at=at)
        record(conn, "asked", [ASK], received_at=moment("1999-01-05T00:00:00+00:00"))
    kpi_warehouse.refresh(*TABLES)
    return kpi_warehouse


OLD = {f"order 1 2024-03-01T1{hour}:00:00Z orders.created" for hour in range(2)}
NEWEST = {"order 1 2024-03-01T12:00:00Z orders.created", "item 7 2024-03-01T12:00:00Z"}


def test_the_newest_word_on_each_entity_is_kept_and_the_step_is_on_record(shops: KpiWarehouse) -> None:
    url, product = shops.url, "kept"
    periods = [Period(product, "retention-180d")]
    with connect(url, "owner") as conn:
        (planned,) = plan(conn, periods, [], YEARS, NOW)
    assert ids(url, "events", product) == OLD | NEWEST, "a plan changes nothing"
    (step,) = let_go(url, periods)
    assert step == planned
    assert (step.found, step.kept, step.removed) == (4, 2, 2)
    assert (ids(url, "events", product), ids(url, "kept_events", product)) == (set(), NEWEST)
    assert rows(
        url,
        "select place, policy, rows_found, rows_kept, rows_removed, done_at from batuta.retention_steps "
        "where product = %s",
        product,
    ) == [("log", "retention-180d", 4, 2, 2, NOW)]
    assert let_go(url, periods) == [], "there is nothing left to do"


def test_what_a_later_event_has_overtaken_is_kept_no_longer(shops: KpiWarehouse) -> None:
    url, product = shops.url, "overtaken"
    let_go(url, [Period(product, "retention-180d")])
    with connect(url, "writer") as conn:
        later = order(1, "2024-03-01T10:00:00Z", line(11, "70.00"), updated="2024-05-01T10:00:00Z")
        record(conn, product, [later], received_at=NOW)
    assert let_go(url, [Period(product, "retention-180d")]) == [], "the models have not read it yet"
    shops.refresh(*TABLES)
    (step,) = let_go(url, [Period(product, "retention-180d")])
    assert (step.place, step.found, step.kept, step.removed) == ("kept_events", 2, 1, 1)
    assert ids(url, "history", product) == {later.id, "item 7 2024-03-01T12:00:00Z"}


def test_another_product_in_the_same_chunk_loses_nothing(shops: KpiWarehouse) -> None:
    url, short, long, good = shops.url, "short", "long", "for-good"
    periods = [Period(short, "retention-30d"), Period(long, "retention-9000d")]
    assert [step.product for step in let_go(url, periods)] == [short]
    assert ids(url, "events", short) == set()
    assert ids(url, "events", long) == ids(url, "events", good) == OLD | NEWEST


def test_what_a_reader_has_not_read_stays(shops: KpiWarehouse) -> None:
    url, product = shops.url, "unread"
    periods, readers = [Period(product, "retention-180d")], [Reader("pipeline:review", product)]
    (last,) = rows(url, "select max(batch) from batuta.events where product = %s", product)[0]
    with connect(url, "owner") as conn:
        conn.execute(
            "insert into batuta.cursors values ('pipeline:review', %s, %s::text::jsonb, now())",
            (product, last - 1),
        )
        conn.execute("insert into batuta.cursors values ('pipeline:gone', %s, '1', now())", (product,))
    (step,) = let_go(url, periods, readers=readers)
    assert step.waits_for == f"pipeline:review (at batch {last - 1} of {last})"
    assert ids(url, "events", product) == OLD | NEWEST
    with connect(url, "owner") as conn:
        conn.execute(
            "update batuta.cursors set position = %s::text::jsonb where consumer = 'pipeline:review'", (last,)
        )
    (step,) = let_go(url, periods, readers=readers)
    assert (step.waits_for, step.removed) == (None, 2)


def test_what_the_models_have_not_read_stays(shops: KpiWarehouse) -> None:
    url, product = shops.url, "unfolded"
    with connect(url, "writer") as conn:
        chair = catalogue(8, "2024-03-01T12:00:00Z", "Cadeira")
        record(conn, product, [chair], received_at=moment("2000-01-05T00:00:00+00:00"))
    waiting = [
        step for step in let_go(url, [Period(product, "retention-180d")]) if step.waits_for is not None
    ]
    assert [step.waits_for is not None and MODELS in step.waits_for for step in waiting] == [True]
    assert ids(url, "events", product) == {"item 8 2024-03-01T12:00:00Z"}


def test_an_event_that_asks_for_something_stays_until_it_is_done(shops: KpiWarehouse) -> None:
    url, product = shops.url, "asked"
    waiting = [step for step in let_go(url, [Period(product, "retention-180d")]) if step.waits_for]
    assert [step.waits_for for step in waiting] == ["1 privacy requests that are open"]
    assert ids(url, "events", product) == {"ask"}
    with connect(url, "owner") as conn:
        conn.execute("update batuta.privacy_requests set state = 'done'")
    let_go(url, [Period(product, "retention-180d")])
    assert ids(url, "events", product) == set()


def test_a_model_that_does_not_say_what_it_rests_on_stops_everything(shops: KpiWarehouse) -> None:
    url, product = shops.url, "silent"
    with connect(url, "owner") as conn:
        conn.execute(
            "insert into batuta_intermediate.int_log_position (model, read_to, up_to, refresh, done, folds_log) "
            "values ('int_secret', 10000000, 10000000, 1, 1, true)"
        )
    try:
        with pytest.raises(RetentionBlocked, match="int_secret reads the log but has no columns"):
            let_go(url, [Period(product, "retention-180d")])
    finally:
        with connect(url, "owner") as conn:
            conn.execute("delete from batuta_intermediate.int_log_position where model = 'int_secret'")
    assert ids(url, "events", product) == OLD | NEWEST


def test_a_kept_event_is_found_and_a_removed_one_is_not(shops: KpiWarehouse) -> None:
    url, product = shops.url, "asked-for"
    let_go(url, [Period(product, "retention-180d")])
    with connect(url, "reader") as conn:
        assert [len(find(conn, id, product=product)) for id in sorted(NEWEST)] == [1, 1]
        assert [find(conn, id, product=product) for id in sorted(OLD)] == [[], []]


def test_what_is_new_is_read_by_its_batch_through_indexes_of_log_and_kept_events(shops: KpiWarehouse) -> None:
    with connect(shops.url, "reader") as conn:
        conn.execute("set enable_seqscan = off")
        explained = conn.execute(
            "explain (format json) select * from batuta_live.live_transactions"
        ).fetchone()
    assert explained is not None
    scans = [
        node
        for node in plan_nodes(explained[0][0]["Plan"])
        if node.get("Relation Name", "").startswith(("kept_events", "_hyper"))
    ]
    assert "kept_events" in {node["Relation Name"] for node in scans}
    assert len(scans) > 6, "the chunks of the log are read themselves"
    assert all("batch > " in reached_by_index(node) for node in scans), scans


SCRIPT = """
import sys
from datetime import datetime
from batuta.retention.letting_go import carry_out
from batuta.retention.steps import Period
from batuta.warehouse.connection import connect
url, product, now = sys.argv[1:]
with connect(url, "owner", application="retention to be killed") as conn:
    carry_out(conn, [Period(product, "retention-180d")], [], 3650, lambda: datetime.fromisoformat(now), None)
"""


@contextmanager
def stopped_before_the_drop(url: str, product: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has kept the newest words of a chunk and waits to drop it: somebody reads it."""
    (chunk,) = rows(
        url, "select distinct tableoid::regclass::text from batuta.events where product = %s", product
    )[0]
    with psycopg.connect(url) as reading:
        reading.execute(f"select count(*) from {chunk}".encode())
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, url, product, NOW.isoformat()], env=dict(os.environ)
        )
        waiting = (
            "select count(*) from pg_stat_activity where application_name = 'retention to be killed' "
            "and wait_event_type = 'Lock' and query like '%drop_chunks%'"
        )
        deadline = time.monotonic() + 60
        while rows(url, waiting) != [(1,)]:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline, "it never came to drop the chunk"
            time.sleep(0.05)
        yield process


def test_killed_between_keeping_and_dropping_it_is_as_if_it_had_not_begun(shops: KpiWarehouse) -> None:
    url, product = shops.url, "killed"
    with stopped_before_the_drop(url, product) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    while rows(url, "select 1 from pg_stat_activity where application_name = 'retention to be killed'"):
        time.sleep(0.05)
    assert (ids(url, "events", product), ids(url, "kept_events", product)) == (OLD | NEWEST, set())
    assert rows(url, "select count(*) from batuta.retention_steps where product = %s", product) == [(0,)]
    (step,) = let_go(url, [Period(product, "retention-180d")])
    assert (step.kept, step.removed) == (2, 2)
    assert ids(url, "history", product) == NEWEST


def test_a_chunk_that_somebody_reads_is_left_for_the_next_time(shops: KpiWarehouse) -> None:
    url, product = shops.url, "being-read"
    with psycopg.connect(url) as reading:
        reading.execute("select count(*) from batuta.events where product = %s", (product,))
        (step,) = let_go(url, [Period(product, "retention-180d")])
    assert step.waits_for == "a transaction that uses the chunk"
    assert (ids(url, "events", product), ids(url, "kept_events", product)) == (OLD | NEWEST, set())
    (step,) = let_go(url, [Period(product, "retention-180d")])
    assert (step.waits_for, step.removed) == (None, 2)


def test_old_quarantine_loses_its_content_and_keeps_its_reason(kpi_warehouse: KpiWarehouse) -> None:
    url = kpi_warehouse.url
    with connect(url, "owner") as conn:
        for days in (10, 200):
            conn.execute(
                "insert into batuta.quarantine (product, connector, way, digest, reason_code, reason, key_id, nonce, "
                "payload, received_at, last_attempt_at) values ('held', 'shopify', 'webhook', %s, 'json', 'no JSON', "
                "'k1', 'n', 'secret', %s, %s)",
                (days.to_bytes(16), NOW - timedelta(days=400), NOW - timedelta(days=days)),
            )
    (step,) = let_go(url, [], quarantine_days=180)
    assert (step.place, step.product, step.found, step.removed) == ("quarantine", "held", 2, 1)
    found = rows(
        url, "select state, payload, reason from batuta.quarantine where product = 'held' order by digest"
    )
    assert found == [("held", b"secret", "no JSON"), ("discarded", b"", "no JSON")]


def test_a_failed_step_leaves_the_connection_as_it_was(shops: KpiWarehouse) -> None:
    with connect(shops.url, "reader") as conn:
        with pytest.raises((BatutaError, psycopg.Error)):
            carry_out(conn, [Period("refused", "retention-180d")], [], YEARS, lambda: NOW, NoContents())
        assert conn.isolation_level is None
