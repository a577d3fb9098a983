"""The landing path against a real database: what lands, once, masked, counted; what does not, and where it goes."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import psycopg
import pytest

from batuta.keys import KeysMismatch, create_keys
from batuta.landing.cursors import get_cursor
from batuta.landing.land import Landing
from batuta.landing.model import CursorMove, Delivery, LandingCounts
from batuta.landing.reader import counts_since, find, last_batch, newest, read
from batuta.landing.store import LandingFailed
from batuta.policy.decision import DefaultPolicy
from batuta.warehouse.connection import Connection, connect
from tests.support.landing_trials import CONTRACTS, NOW, answer, open_landing, parse, stored


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, "writer") as connection:
        yield connection


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return open_landing(tmp_path)


def raw(body: bytes) -> Delivery:
    return Delivery("arcsat", "trial", None, {}, body, NOW)


def one(conn: Connection, query: str) -> object:
    row = conn.execute(query.encode()).fetchone()
    conn.rollback()
    return row[0] if row is not None else None


def test_an_event_lands_once_and_is_known_ever_after(conn: Connection, landing: Landing) -> None:
    assert landing.land(conn, [answer(1)], parse, way="file") == LandingCounts(landed=1)
    for way in ("file", "webhook", "poll", "backfill", "replay", "post"):
        assert landing.land(conn, [answer(1)], parse, way=way) == LandingCounts(duplicate=1)
    assert stored(conn) == ["1-0"]


def test_ids_of_different_products_do_not_meet(conn: Connection, landing: Landing) -> None:
    both = [answer(1), answer(1, product="lojablock")]
    assert landing.land(conn, both, parse, way="file") == LandingCounts(landed=2)


def test_every_way_of_ending_is_counted(conn: Connection, landing: Landing) -> None:
    came = [answer(1), answer(1), answer(2, score=11), raw(b"skip"), raw(b"{"), answer(3)]
    counts = landing.land(conn, came, parse, way="file")
    assert counts == LandingCounts(landed=2, duplicate=1, quarantined=2, filtered=1)
    assert counts.total == len(came)
    assert landing.land(conn, came, parse, way="file") == LandingCounts(
        duplicate=3, quarantined=2, filtered=1
    )
    total = "select sum(landed + duplicate + quarantined + filtered) from batuta.intake_counts"
    assert one(conn, total) == 2 * len(came)
    assert one(conn, "select sum(landed) from batuta.intake_counts") == one(
        conn, "select count(*) from batuta.events"
    )


def test_nothing_personal_reaches_the_database_in_clear(
    database_url: str, conn: Connection, landing: Landing
) -> None:
    text = "Ana, CPF 529.982.247-25, ana@exemplo.com, (11) 98765-4321"
    came = [answer(1, comment=text), answer(2, comment=text, score="bad"), raw(b"{" + text.encode())]
    landing.land(conn, came, parse, way="file")
    with psycopg.connect(database_url) as anything:
        tables = anything.execute("select tablename from pg_tables where schemaname = 'batuta'").fetchall()
        for (table,) in tables:
            content = repr(anything.execute(f"select t::text from batuta.{table} as t".encode()).fetchall())
            for clear in ("529.982", "52998224725", "ana@exemplo", "98765", "person-1", "person-2"):
                assert clear not in content, table
                assert clear.encode().hex() not in content, table


def test_fields_outside_the_contract_are_dropped_and_counted(conn: Connection, landing: Landing) -> None:
    landing.land(conn, [answer(1, extra="x", more={"y": 1})], parse, way="file")
    assert "extra" not in newest(conn)[0].data
    assert one(conn, "select sum(dropped_fields) from batuta.intake_counts") == 2


def test_an_event_carries_its_contract_and_a_recorded_decision(conn: Connection, landing: Landing) -> None:
    landing.land(conn, [answer(1)], parse, way="file")
    event = newest(conn)[0]
    assert event.dataschema == "batuta:contract:batuta.survey/1"
    row = conn.execute(
        "select product, event_type, allowed, plan from batuta.decisions where id = %s", (event.decision,)
    )
    decision = row.fetchone()
    assert decision is not None
    assert decision[:3] == ("arcsat", "com.batuta.survey.answered", True)
    assert decision[3]["personal"]["respondent"] == {"personal": "person_id", "rule": "hash"}


def test_a_backfill_leaves_out_versions_that_are_there_and_a_webhook_always_lands(
    conn: Connection, landing: Landing
) -> None:
    def other_id(delivery: Delivery) -> Delivery:
        return raw(
            orjson.dumps(
                orjson.loads(delivery.body) | {"id": f"backfill-{orjson.loads(delivery.body)['id']}"}
            )
        )

    landing.land(conn, [answer(1, version=1)], parse, way="webhook")
    came = [other_id(answer(1, version=1)), other_id(answer(1, version=2)), answer(1, version=2)]
    assert landing.land(conn, came, parse, way="backfill") == LandingCounts(landed=1, duplicate=2)
    assert landing.land(conn, [answer(1, version=2)], parse, way="webhook") == LandingCounts(landed=1)


def test_a_cursor_moves_with_the_last_chunk_even_if_nothing_came(conn: Connection, landing: Landing) -> None:
    move = CursorMove("poll:trial", "arcsat", {"since": "2025-11-12"})
    landing.land(conn, [], parse, way="poll", cursor=move)
    assert get_cursor(conn, "poll:trial", "arcsat") == {"since": "2025-11-12"}
    conn.rollback()


def test_a_stream_that_breaks_off_leaves_the_cursor_and_can_be_landed_again(
    conn: Connection, landing: Landing
) -> None:
    def broken() -> Iterator[Delivery]:
        yield from (answer(n) for n in range(25))
        raise ConnectionError("vendor went away")

    move = CursorMove("poll:trial", "arcsat", 25)
    with pytest.raises(ConnectionError):
        landing.land(conn, broken(), parse, way="poll", cursor=move, chunk=5)
    assert get_cursor(conn, "poll:trial", "arcsat") is None
    conn.rollback()
    before = len(stored(conn))
    counts = landing.land(conn, (answer(n) for n in range(25)), parse, way="poll", cursor=move, chunk=5)
    assert counts == LandingCounts(landed=25 - before, duplicate=before)


def test_outcomes_say_what_became_of_each_delivery(conn: Connection, landing: Landing) -> None:
    mixed = raw(orjson.dumps([orjson.loads(answer(1).body), orjson.loads(answer(2, score=99).body)]))
    came = [answer(5), answer(5), mixed, raw(b"skip"), raw(b"{")]
    outcomes = landing.commit(conn, [landing.prepare(delivery, parse) for delivery in came], way="webhook")
    assert [o.state for o in outcomes] == ["landed", "duplicate", "quarantined", "filtered", "quarantined"]
    assert outcomes[2].counts == LandingCounts(landed=1, quarantined=1)
    assert outcomes[2].reason == "score must be at most 10"
    assert outcomes[4].quarantine_id
    assert outcomes[0].event_id == "5-0"


def test_readers_go_on_from_the_last_batch_and_get_whole_batches(conn: Connection, landing: Landing) -> None:
    landing.land(conn, (answer(n) for n in range(10)), parse, way="file", chunk=4)
    seen: list[str] = []
    position = 0
    while events := read(conn, position, limit=1):
        assert {event.batch for event in events} == {events[0].batch}
        position = events[-1].batch
        seen += [event.id for event in events]
    assert sorted(seen) == [f"{n}-0" for n in range(10)]
    assert position == last_batch(conn)
    assert counts_since(conn, 0) == {("arcsat", "trial", "surveys"): 10}
    assert read(conn, 0, types=["com.batuta.*"], product="arcsat", limit=100)
    assert not read(conn, 0, types=["com.shopify.*"], limit=100)
    found = read(conn, 0, types=["com.batuta.*"], connector="trial", limit=100)
    assert found
    assert {event.connector for event in found} == {"trial"}
    assert not read(conn, 0, types=["com.batuta.*"], connector="shopify", limit=100)
    assert [e.id for e in find(conn, "3-0", product="arcsat", source="trial")] == ["3-0"]


def test_a_nul_character_becomes_the_replacement_character(conn: Connection, landing: Landing) -> None:
    landing.land(conn, [answer(1, comment="a\x00b \\u0000")], parse, way="file")
    assert newest(conn)[0].data["comment"] == "a\ufffdb \\u0000"


@pytest.mark.parametrize(
    "comment", ["tab\tline\nreturn\r", "back\\slash", "\\N", "\\.", "çãõ 🙂", '"quoted"', "\x7f\x85"]
)
def test_any_text_comes_back_as_it_was(conn: Connection, landing: Landing, comment: str) -> None:
    landing.land(conn, [answer(1, comment=comment)], parse, way="file")
    assert newest(conn)[0].data["comment"] == comment


def test_an_event_type_without_contract_waits_in_quarantine(conn: Connection, landing: Landing) -> None:
    stranger = raw(orjson.dumps(orjson.loads(answer(1).body) | {"type": "com.nobody.knows"}))
    assert landing.land(conn, [stranger], parse, way="file") == LandingCounts(quarantined=1)
    assert one(conn, "select reason_code from batuta.quarantine") == "no_contract"
    assert "write one, apply it and replay" in str(one(conn, "select reason from batuta.quarantine"))


def test_a_defect_of_a_connector_costs_one_delivery_and_not_the_stream(
    conn: Connection, landing: Landing
) -> None:
    assert landing.land(conn, [raw(b"[1]"), answer(1)], parse, way="file") == LandingCounts(
        landed=1, quarantined=1
    )
    assert one(conn, "select reason from batuta.quarantine") == (
        "the connector trial failed with TypeError; this is a defect of it"
    )


def test_a_database_filled_with_other_keys_is_refused(
    conn: Connection, landing: Landing, tmp_path: Path
) -> None:
    landing.land(conn, [answer(1)], parse, way="file")
    stranger = Landing(CONTRACTS, DefaultPolicy(), create_keys(tmp_path / "other"), lambda: NOW)
    with pytest.raises(KeysMismatch):
        stranger.land(conn, [answer(2)], parse, way="file")
    assert stored(conn) == ["1-0"]


def test_a_full_disk_is_said_in_words_and_nothing_half_lands(
    database_url: str, conn: Connection, landing: Landing
) -> None:
    with psycopg.connect(database_url) as owner:
        owner.execute(
            """
            create function fill() returns trigger language plpgsql as
            $$ begin raise exception 'could not extend file' using errcode = '53100'; end $$
            """
        )
        owner.execute(
            "create trigger fill before insert on batuta.intake_counts for each statement execute function fill()"
        )
    move = CursorMove("poll:trial", "arcsat", 1)
    with pytest.raises(LandingFailed, match="disk is full"):
        landing.land(conn, [answer(1), answer(2, score=99)], parse, way="poll", cursor=move)
    for table in ("events", "inbox", "batches", "quarantine", "cursors"):
        assert one(conn, f"select count(*) from batuta.{table}") == 0
    with psycopg.connect(database_url) as owner:
        owner.execute("drop trigger fill on batuta.intake_counts")
    assert landing.land(conn, [answer(1)], parse, way="poll", cursor=move) == LandingCounts(landed=1)


def test_a_lost_connection_is_said_in_words(database_url: str, conn: Connection, landing: Landing) -> None:
    landing.land(conn, [answer(1)], parse, way="file")
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("select pg_terminate_backend(%s)", (conn.info.backend_pid,))
    with pytest.raises(LandingFailed, match="connection to the database was lost"):
        landing.land(conn, [answer(2)], parse, way="file")
    with connect(database_url, "writer") as again:
        assert landing.land(again, [answer(1), answer(2)], parse, way="file") == LandingCounts(
            landed=1, duplicate=1
        )


def test_a_deadlock_is_tried_again(database_url: str, conn: Connection, landing: Landing) -> None:
    with psycopg.connect(database_url) as owner:
        owner.execute("create sequence batuta.tries; grant usage on sequence batuta.tries to batuta_writer")
        owner.execute(
            """
            create function quarrel() returns trigger language plpgsql as $$
            begin
                if nextval('batuta.tries') < 3 then raise exception 'deadlock' using errcode = '40P01'; end if;
                return null;
            end $$
            """
        )
        owner.execute(
            "create trigger quarrel before insert on batuta.batches for each statement execute function quarrel()"
        )
    assert landing.land(conn, [answer(1)], parse, way="file") == LandingCounts(landed=1)
    assert stored(conn) == ["1-0"]


def test_a_connection_in_the_middle_of_something_is_not_taken(conn: Connection, landing: Landing) -> None:
    conn.execute("select 1")
    with pytest.raises(ValueError, match="idle connection"):
        landing.land(conn, [answer(1)], parse, way="file")
