"""A page is one transaction: rows, quarantine, position, known items, wake-ups and completeness, or nothing of it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.landing.cursors import get_cursor
from batuta.landing.items import KnownItems
from batuta.landing.land import Landing
from batuta.landing.model import (
    CursorMove,
    Delivery,
    ItemMoves,
    KnownItem,
    LandingCounts,
    PageSides,
    Parsed,
    SourceCount,
)
from batuta.landing.store import LandingFailed
from batuta.warehouse.connection import Connection, connect
from tests.support.landing_trials import NOW, answer, open_landing, parse, stored
from tests.support.landing_trials import raw_answer as raw

NO_SIDES = PageSides(None, None, None)
COUNTED = "counted, landed, duplicate, quarantined, filtered"


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, "writer") as connection:
        yield connection


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return open_landing(tmp_path)


def sides(counted: int, *, page: int = 0, total: int | None = None, items: tuple[str, ...] = ()) -> PageSides:
    return PageSides(
        CursorMove("poll:trial:", "arcsat", {"page": page}),
        ItemMoves("arcsat", "trial", "", tuple(KnownItem(id, None, {}, None) for id in items), ()),
        SourceCount("arcsat", "trial", "", None, None, counted, total),
    )


def completeness(conn: Connection) -> list[tuple[int, ...]]:
    rows = conn.execute(f"select {COUNTED} from batuta.completeness order by id".encode()).fetchall()
    conn.rollback()
    return rows


def test_a_page_lands_with_everything_that_belongs_to_it(
    conn: Connection, landing: Landing, tmp_path: Path
) -> None:
    came = [answer(1), answer(1), answer(2, score=11), raw(b"skip"), raw(b"{"), answer(3)]
    counts = landing.commit_page(conn, came, parse, sides(6, page=4, items=("a", "b")), way="poll")
    assert counts == LandingCounts(landed=2, duplicate=1, quarantined=2, filtered=1)
    assert get_cursor(conn, "poll:trial:", "arcsat") == {"page": 4}
    conn.rollback()
    assert set(KnownItems(conn, landing.keys, "arcsat", "trial", "").get(["a", "b", "c"])) == {"a", "b"}
    assert completeness(conn) == [(6, 2, 1, 2, 1)]


def test_a_page_that_comes_again_counts_what_was_there(conn: Connection, landing: Landing) -> None:
    came = [answer(1), answer(2), raw(b"skip")]
    for _ in range(2):
        landing.commit_page(conn, came, parse, sides(3, total=3), way="poll")
    assert completeness(conn) == [(3, 2, 0, 0, 1), (3, 0, 2, 0, 1)]


def test_a_page_without_deliveries_moves_on_and_counts_nothing(conn: Connection, landing: Landing) -> None:
    assert landing.commit_page(conn, [], parse, sides(0, page=7), way="poll") == LandingCounts()
    assert get_cursor(conn, "poll:trial:", "arcsat") == {"page": 7}
    conn.rollback()
    assert completeness(conn) == [(0, 0, 0, 0, 0)]


def test_what_a_connector_loses_shows_in_the_count(conn: Connection, landing: Landing) -> None:
    def forgetful(delivery: Delivery) -> Parsed:
        return Parsed((), "surveys") if b'"2-0"' in delivery.body else parse(delivery)

    landing.commit_page(conn, [answer(n) for n in range(4)], forgetful, sides(4), way="poll")
    counted, *accounted = completeness(conn)[0]
    assert counted - sum(accounted) == 1


@pytest.mark.parametrize("table", ["completeness", "entities", "cursors", "wakeups", "events", "quarantine"])
def test_a_page_of_which_one_part_cannot_be_written_leaves_nothing(
    database_url: str, conn: Connection, landing: Landing, table: str
) -> None:
    def wakes(delivery: Delivery) -> Parsed:
        return parse(delivery)._replace(wakes=True)

    came = [answer(1), raw(b"{")]
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(f"revoke insert, update on batuta.{table} from batuta_writer".encode())
        with pytest.raises(LandingFailed):
            landing.commit_page(conn, came, wakes, sides(2, items=("a",)), way="poll")
        for part in ("completeness", "entities", "cursors", "wakeups", "events", "inbox", "quarantine"):
            assert owner.execute(f"select from batuta.{part}".encode()).rowcount == 0, part
        owner.execute(f"grant insert, update on batuta.{table} to batuta_writer".encode())
    counts = landing.commit_page(conn, came, wakes, sides(2, items=("a",)), way="poll")
    assert counts == LandingCounts(landed=1, quarantined=1)


@pytest.mark.parametrize("way", ["poll", "backfill"])
def test_a_pulled_version_that_a_webhook_brought_is_a_duplicate_and_a_webhook_always_lands(
    conn: Connection, landing: Landing, way: str
) -> None:
    def pulled(number: int, version: int) -> Delivery:
        document = orjson.loads(answer(number, version=version).body)
        return raw(orjson.dumps(document | {"id": f"pulled-{document['id']}"}))

    landing.land(conn, [answer(1, version=1)], parse, way="webhook")
    page = [pulled(1, 1), pulled(1, 2)]
    counts = landing.commit_page(conn, page, parse, sides(2), way="poll" if way == "poll" else "backfill")
    assert counts == LandingCounts(landed=1, duplicate=1)
    assert landing.land(conn, [answer(1, version=2)], parse, way="webhook") == LandingCounts(landed=1)


@pytest.mark.parametrize("body", [b"skip", b"answer"])
def test_a_delivery_that_is_a_signal_wakes_its_account(
    conn: Connection, landing: Landing, body: bytes
) -> None:
    def signal_of(delivery: Delivery) -> Parsed:
        return parse(delivery)._replace(wakes=True)

    delivery = replace(raw(body) if body == b"skip" else answer(1), account="sul")
    woken = "select product, connector, account, at > coalesce(taken_at, '-infinity') from batuta.wakeups"
    for _ in range(2):
        landing.land(conn, [delivery, delivery], signal_of, way="webhook")
        assert conn.execute(woken.encode()).fetchall() == [("arcsat", "trial", "sul", True)]
        conn.execute("update batuta.wakeups set taken_at = clock_timestamp()")
        conn.commit()
    landing.land(conn, [answer(2)], parse, way="webhook")
    assert conn.execute(woken.encode()).fetchall() == [("arcsat", "trial", "sul", False)]
    conn.rollback()


RECORDS = [answer(n) for n in range(8)] + [raw(b"skip"), answer(90, score=99), raw(b"{")]
EVENTS = [f"{n}-0" for n in range(8)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_pages_in_any_cut_repeated_and_among_webhooks_give_the_same_events_and_right_counts(
    database_url: str, tmp_path: Path, data: st.DataObject
) -> None:
    landing = open_landing(tmp_path)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(RECORDS) - 1))))
    pages = [RECORDS[a:b] for a, b in zip([0, *cuts], [*cuts, len(RECORDS)], strict=True)]
    order = [*range(len(pages)), *data.draw(st.lists(st.integers(0, len(pages) - 1), max_size=4))]
    with psycopg.connect(database_url) as owner:
        owner.execute("truncate batuta.events, batuta.inbox, batuta.batches, batuta.completeness")
    total = LandingCounts()
    with connect(database_url, "writer") as conn:
        for index in data.draw(st.permutations(order)):
            for delivery in data.draw(st.lists(st.sampled_from(RECORDS[:8]), max_size=2)):
                total += landing.land(conn, [delivery], parse, way="webhook")
            counts = landing.commit_page(conn, pages[index], parse, sides(len(pages[index])), way="poll")
            assert counts.total == len(pages[index])
            total += counts
            assert completeness(conn)[-1] == (
                len(pages[index]), counts.landed, counts.duplicate, counts.quarantined, counts.filtered,
            )  # fmt: skip
        assert stored(conn) == EVENTS
        assert total.landed == len(EVENTS)
        assert all(counted == sum(rest) for counted, *rest in completeness(conn))


PULLER = """
import sys
from pathlib import Path
from batuta.landing.cursors import get_cursor
from batuta.warehouse.connection import connect
from tests.integration.landing.test_pages import answer, open_landing, parse, sides
home, url, pages = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
landing = open_landing(home)
with connect(url, "writer") as conn:
    position = get_cursor(conn, "poll:trial:", "arcsat")
    conn.commit()
    print("ready", flush=True)
    for page in range(position["page"] + 1 if position else 0, pages):
        came = [answer(page * 3 + n) for n in range(3)]
        landing.commit_page(conn, came, parse, sides(3, page=page, items=(f"item-{page}",)), way="poll")
"""


def test_a_puller_killed_at_any_moment_goes_on_from_a_position_that_holds_what_landed(
    database_url: str, tmp_path: Path
) -> None:
    landing, pages, moments = open_landing(tmp_path), 400, random.Random(3)
    killed = done = 0
    with connect(database_url, "writer") as conn:
        for attempt in range(4):
            process = subprocess.Popen(
                [sys.executable, "-c", PULLER, str(tmp_path), database_url, str(pages)],
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )
            assert process.stdout is not None
            process.stdout.readline()
            if attempt < 3:
                time.sleep(moments.uniform(0, 0.2))
                process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
            process.stdout.close()
            _wait_for_the_end_of_its_transaction(conn)
            position = get_cursor(conn, "poll:trial:", "arcsat")
            conn.rollback()
            done = position["page"] + 1 if position else 0
            assert len(stored(conn)) == 3 * done
            assert completeness(conn) == [(3, 3, 0, 0, 0)] * done
            known = {item.id for item in KnownItems(conn, landing.keys, "arcsat", "trial", "").all()}
            assert known == {f"item-{page}" for page in range(done)}
    assert killed
    assert done == pages


def _wait_for_the_end_of_its_transaction(conn: Connection) -> None:
    """The server may still be committing for a client that is no more."""
    others = """
        select count(*) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
    """
    while (row := conn.execute(others).fetchone()) is not None and row[0]:
        conn.rollback()
        time.sleep(0.02)
    conn.rollback()


def test_times_of_a_window_are_kept(conn: Connection, landing: Landing) -> None:
    count = SourceCount("arcsat", "trial", "sul", NOW, NOW, 0, 12)
    landing.commit_page(conn, [], parse, replace(NO_SIDES, count=count), way="backfill")
    row = conn.execute("select account, window_start, window_end, way, total from batuta.completeness")
    assert row.fetchone() == ("sul", NOW, NOW, "backfill", 12)
    conn.rollback()
