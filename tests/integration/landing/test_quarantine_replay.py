"""Quarantine: encrypted, not piling up, replayable through today's code."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from batuta.keys import KeyRing
from batuta.landing.land import Landing
from batuta.landing.model import Delivery, LandingCounts, Parse, Parsed, Rejected
from batuta.landing.quarantine import (
    NotInQuarantine,
    QuarantineEntry,
    QuarantineUnreadable,
    discard,
    entries,
    held_ids,
    seal,
    unseal,
)
from batuta.warehouse.connection import Connection, connect
from tests.support.landing_trials import NOW, answer, open_landing, parse, stored


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, "writer") as connection:
        yield connection


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return open_landing(tmp_path)


def strict(delivery: Delivery) -> Parsed:
    raise Rejected("topic", "this topic is not read yet")


def todays(_: QuarantineEntry) -> Parse:
    return parse


def test_what_a_new_connector_can_read_lands_with_its_time_of_receipt(
    conn: Connection, landing: Landing
) -> None:
    assert landing.land(conn, [answer(1)], strict, way="webhook") == LandingCounts(quarantined=1)
    ids = held_ids(conn)
    conn.rollback()
    assert landing.replay(conn, ids, todays) == LandingCounts(landed=1)
    row = conn.execute("select received_at, batch from batuta.events").fetchone()
    assert row is not None
    assert row[0] == NOW
    found = entries(conn, state=None)[0]
    assert (found.state, found.replayed_batch, found.attempts) == ("replayed", row[1], 2)


def test_what_still_cannot_be_read_stays_held_with_one_attempt_more(
    conn: Connection, landing: Landing
) -> None:
    landing.land(conn, [answer(1, score=11)], parse, way="webhook")
    ids = held_ids(conn)
    conn.rollback()
    assert landing.replay(conn, ids, todays) == LandingCounts(quarantined=1)
    found = entries(conn)[0]
    assert (found.state, found.attempts, found.reason) == ("held", 2, "score must be at most 10")


def test_what_landed_meanwhile_is_a_duplicate_and_done_with(conn: Connection, landing: Landing) -> None:
    landing.land(conn, [answer(1)], strict, way="webhook")
    landing.land(conn, [answer(1)], parse, way="webhook")
    ids = held_ids(conn)
    conn.rollback()
    assert landing.replay(conn, ids, todays) == LandingCounts(duplicate=1)
    assert stored(conn) == ["1-0"]
    assert entries(conn) == []


def test_a_retry_of_the_sender_bumps_attempts_instead_of_piling_up(
    conn: Connection, landing: Landing
) -> None:
    for trace in ("a", "b", "c"):
        bad = Delivery("arcsat", "trial", None, {"x-id": "1", "x-request-id": trace}, b"{", NOW)
        landing.land(conn, [bad], parse, way="webhook")
    other = Delivery("arcsat", "trial", None, {"x-id": "2"}, b"{", NOW)
    landing.land(conn, [other], parse, way="webhook")
    assert sorted(found.attempts for found in entries(conn)) == [1, 3]


def test_discarded_is_discarded_also_when_it_comes_again(conn: Connection, landing: Landing) -> None:
    landing.land(conn, [answer(1, score=11)], parse, way="webhook")
    assert discard(conn, held_ids(conn)) == 1
    landing.land(conn, [answer(1, score=11)], parse, way="webhook")
    assert entries(conn) == []
    assert [found.state for found in entries(conn, state=None)] == ["discarded"]


def test_credentials_are_not_kept(tmp_path: Path) -> None:
    open_landing(tmp_path)
    keys = KeyRing.load(tmp_path)
    base = Delivery("arcsat", "trial", None, {"x-id": "1"}, b"{", NOW)
    secret = Delivery("arcsat", "trial", None, {"x-id": "1", "authorization": "Bearer t"}, b"{", NOW)
    rejection = Rejected("json", "broken")
    one, two = seal(base, rejection, keys), seal(secret, rejection, keys)
    assert one.digest == two.digest
    assert len(one.payload) == len(two.payload)


def test_a_changed_payload_does_not_open(
    database_url: str, conn: Connection, landing: Landing, tmp_path: Path
) -> None:
    landing.land(conn, [answer(1, score=11)], parse, way="webhook")
    with psycopg.connect(database_url) as owner:
        owner.execute("update batuta.quarantine set payload = payload || '\\x00'::bytea")
    ids = held_ids(conn)
    with pytest.raises(QuarantineUnreadable):
        list(unseal(conn, ids, KeyRing.load(tmp_path)))


def test_an_unknown_id_is_said(conn: Connection, landing: Landing) -> None:
    with pytest.raises(NotInQuarantine):
        landing.replay(conn, ["nope"], todays)
