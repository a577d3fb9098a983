"""Requests of persons and shops: found in the event log, carried out, and kept as proof that they were.

Shopify asks by webhook and gives thirty days. A request is taken up once, whatever happens to the process: it is open
until the transaction that carries it out says it is done.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from batuta.errors import BatutaError
from batuta.keys import KeyRing
from batuta.landing.reader import OF_KEYS
from batuta.privacy.contents import Contents
from batuta.privacy.disclosure import disclose
from batuta.privacy.forgetting import files_of, forget_person, quarantined, speaks_of
from batuta.privacy.person import Ear, Person, person_of_request
from batuta.privacy.replacing import text_tables
from batuta.privacy.shops import forget_shop, quarantined_of_shop
from batuta.telemetry import get_logger

Kind: TypeAlias = Literal["forget_person", "forget_shop", "disclose_person"]
KINDS: Final[dict[str, Kind]] = {
    "com.shopify.customers.redact_requested": "forget_person",
    "com.shopify.customers.data_requested": "disclose_person",
    "com.shopify.shop.redact_requested": "forget_shop",
}
TIME_GIVEN: Final = timedelta(days=30)
KEPT: Final = timedelta(days=30)
"""How long what was disclosed is kept."""
FETCHED_WITHIN: Final = timedelta(days=7)
"""Who asked to be told and then to be forgotten gets this long to be told."""
_LOCK: Final = 0x7072_6976_6163_79  # "privacy": one at a time


@dataclass(frozen=True, slots=True)
class PrivacyRequest:
    """A request and how it stands; `counts` say what was changed or found, by place."""

    key: bytes
    product: str
    connector: str
    kind: Kind
    received_at: datetime
    due_at: datetime
    state: Literal["open", "done"]
    counts: dict[str, int] | None
    attempts: int
    problem: str | None
    done_at: datetime | None

    @property
    def name(self) -> str:
        """What people call it."""
        return self.key.hex()


_COLUMNS: Final = (
    "key, product, connector, kind, received_at, due_at, state, counts, attempts, problem, done_at"
)


def requests(
    conn: psycopg.Connection[Any], *, product: str | None = None, everything: bool = False
) -> list[PrivacyRequest]:
    """The open requests, or all, those due first at the top. Take up what has come with `take_up` first."""
    with conn.cursor(row_factory=class_row(PrivacyRequest)) as cursor:
        return cursor.execute(
            f"""
            select {_COLUMNS} from batuta.privacy_requests
            where (%(product)s::text is null or product = %(product)s) and (%(everything)s or state = 'open')
            order by state desc, due_at, key
            """,
            {"product": product, "everything": everything},
        ).fetchall()


def take_up(conn: psycopg.Connection[Any]) -> int:
    """Make a request of each event that asks for something and has not been taken up (role: writer or owner)."""
    with conn.transaction():
        return conn.execute(
            """
            insert into batuta.privacy_requests (key, product, connector, kind, received_at, due_at)
            select
                key, product, connector, %(kinds)s::jsonb ->> type, received_at, received_at + %(given)s
            from batuta.events
            where connector = 'shopify' and dataset in ('privacy', 'shop') and %(kinds)s::jsonb ? type
            on conflict (key) do nothing
            """,
            {"kinds": Jsonb(KINDS), "given": TIME_GIVEN},
        ).rowcount


def has_expired_disclosures(conn: psycopg.Connection[Any], home: Path, now: datetime) -> bool:
    """Whether something that was disclosed is to be deleted: the next carrying out does it."""
    rows = conn.execute(
        "select key from batuta.privacy_requests where kind = 'disclose_person' and done_at <= %s",
        (now - KEPT,),
    )
    return any((home / "privacy" / f"{bytes(key).hex()}.json").exists() for (key,) in rows)


def carry_out_requests(
    conn: psycopg.Connection[Any],
    keys: KeyRing,
    home: Path,
    clock: Callable[[], datetime],
    store: Contents,
    *,
    product: str | None = None,
    folders: tuple[Path, ...] | None = None,
) -> list[PrivacyRequest]:
    """Take up what has come and carry out all that is open; each request as it stands then.

    One that fails keeps its problem and is tried again; it does not hold up the others.

    Args:
        conn: An idle connection that acts as owner, not in autocommit.
        keys: The keys of this installation.
        home: Where disclosures are written (`privacy/`).
        clock: Aware UTC time.
        store: Where attachments and media are kept.
        product: Only this product's requests.
        folders: Where reports, mails and pages lie; by default `reports`, `outbox` and `quality` of `home`.
    """
    places = folders if folders is not None else (home / "reports", home / "outbox", home / "quality")
    conn.execute("select pg_advisory_lock(%s)", (_LOCK,))
    conn.commit()
    try:
        take_up(conn)
        _delete_disclosures(conn, home, clock())
        # Who asked for both is told before they are forgotten.
        found = sorted(requests(conn, product=product), key=lambda request: request.kind != "disclose_person")
        conn.commit()
        for request in found:
            _carry_out(conn, request, keys, home, places, clock, store)
        tried = {request.key for request in found}
        outcome = [request for request in requests(conn, everything=True) if request.key in tried]
        conn.commit()
        _sweep(conn, outcome)
        return outcome
    finally:
        conn.rollback()
        conn.execute("select pg_advisory_unlock(%s)", (_LOCK,))
        conn.commit()


def forget_by_hand(
    conn: psycopg.Connection[Any],
    person: Person,
    keys: KeyRing,
    home: Path,
    now: datetime,
    folders: tuple[Path, ...],
    store: Contents,
) -> dict[str, int]:
    """Forget a person nobody sent a request for, and keep that as a request that is done (role: owner)."""
    held = _heard(conn, person, keys)
    conn.commit()
    with conn.transaction():
        counts = forget_person(conn, person, keys, folders, held, store)
        counts |= _delete_disclosures(conn, home, now, person)
        conn.execute(
            """
            insert into batuta.privacy_requests
                (key, product, connector, kind, received_at, due_at, state, digest, counts, attempts, done_at)
            values (%s, %s, '', 'forget_person', %s, %s, 'done', %s, %s, 1, %s)
            """,
            (secrets.token_bytes(16), person.product, now, now, person.digest(keys), Jsonb(counts), now),
        )
    return counts


def _carry_out(
    conn: psycopg.Connection[Any],
    request: PrivacyRequest,
    keys: KeyRing,
    home: Path,
    folders: tuple[Path, ...],
    clock: Callable[[], datetime],
    store: Contents,
) -> None:
    try:
        event = conn.execute(
            f"select source, data from batuta.events where {OF_KEYS}", {"keys": [request.key]}
        ).fetchone()
        if event is None:
            raise BatutaError("the event that asked is not in the log any more", hint="Forget by hand.")
        source, data = event
        if request.kind == "forget_shop":
            _forget_shop(conn, request, source, keys, folders, clock())
        else:
            if request.kind == "forget_person" and _is_yet_to_be_told(conn, request, data):
                raise BatutaError("the person has asked to be told first, and that could not be done yet")
            person = person_of_request(conn, request.product, source, data, keys)
            held = _heard(conn, person, keys)
            conn.commit()
            if request.kind == "forget_person":
                _forget_person(conn, request, person, keys, home, folders, held, clock(), store)
            else:
                path = home / "privacy" / f"{request.name}.json"
                counts = disclose(conn, person, keys, path, held, clock())
                conn.commit()
                with conn.transaction():
                    _finish(conn, request, counts, person.digest(keys), clock())
    except (BatutaError, psycopg.Error, OSError) as error:
        conn.rollback()
        problem = str(error) if isinstance(error, BatutaError) else f"{type(error).__name__} on the way"
        get_logger("privacy").error(
            "request_failed", request=request.name, kind=request.kind, problem=problem
        )
        with conn.transaction():
            conn.execute(
                "update batuta.privacy_requests set attempts = attempts + 1, problem = %s where key = %s",
                (problem, request.key),
            )


def _is_yet_to_be_told(conn: psycopg.Connection[Any], request: PrivacyRequest, data: dict[str, Any]) -> bool:
    row = conn.execute(
        """
        select 1 from batuta.privacy_requests as others
        join batuta.inbox on others.key = inbox.key
        join batuta.events on inbox.batch = events.batch and inbox.key = events.key
        where others.kind = 'disclose_person' and others.state = 'open' and others.product = %s
            and events.data #>> '{customer,id}' = %s
        """,
        (request.product, (data.get("customer") or {}).get("id")),
    ).fetchone()
    return row is not None


def _sweep(conn: psycopg.Connection[Any], outcome: list[PrivacyRequest]) -> None:
    """Free what deleted and changed rows left behind in their tables, so that it is written over."""
    changed = {
        place for request in outcome if request.kind != "disclose_person" for place in request.counts or {}
    }
    tables = [table for table in text_tables(conn) if table.label in changed]
    conn.commit()
    conn.autocommit = True
    try:
        for table in tables:
            conn.execute(sql.SQL("vacuum {}").format(table.identifier))
    finally:
        conn.autocommit = False


def _forget_person(
    conn: psycopg.Connection[Any],
    request: PrivacyRequest,
    person: Person,
    keys: KeyRing,
    home: Path,
    folders: tuple[Path, ...],
    held: list[str],
    now: datetime,
    store: Contents,
) -> None:
    with conn.transaction():
        counts = forget_person(conn, person, keys, folders, held, store)
        counts |= _delete_disclosures(conn, home, now, person)
        _finish(conn, request, counts, person.digest(keys), now)


def _delete_disclosures(
    conn: psycopg.Connection[Any], home: Path, now: datetime, person: Person | None = None
) -> dict[str, int]:
    """Delete what was disclosed long ago, and what was of a person who is forgotten once there was time to fetch it."""
    rows = conn.execute("select key, done_at from batuta.privacy_requests where kind = 'disclose_person'")
    made = {f"{bytes(key).hex()}.json": done_at for key, done_at in rows}
    deleted = 0
    for path in files_of([home / "privacy"]):
        age = now - (made.get(path.name) or now)
        if age >= KEPT or (person is not None and age >= FETCHED_WITHIN and speaks_of(path, person.words)):
            path.unlink()
            deleted += 1
    return {"disclosures": deleted} if deleted else {}


def _forget_shop(
    conn: psycopg.Connection[Any],
    request: PrivacyRequest,
    source: str,
    keys: KeyRing,
    folders: tuple[Path, ...],
    now: datetime,
) -> None:
    held = quarantined_of_shop(conn, request.product, source, keys)
    conn.commit()
    with conn.transaction():
        counts = forget_shop(conn, request.product, source, folders, held)
        _finish(conn, request, counts, None, now)


def _heard(conn: psycopg.Connection[Any], person: Person, keys: KeyRing) -> list[str]:
    ear = Ear(person, keys)
    return quarantined(
        conn,
        person.product,
        keys,
        lambda delivery: ear.hears(delivery.body) or ear.hears(dict(delivery.headers)),
    )


def _finish(
    conn: psycopg.Connection[Any],
    request: PrivacyRequest,
    counts: dict[str, int],
    digest: bytes | None,
    now: datetime,
) -> None:
    conn.execute(
        """
        update batuta.privacy_requests
        set state = 'done', counts = %s, digest = %s, done_at = %s, attempts = attempts + 1, problem = null
        where key = %s
        """,
        (Jsonb(counts), digest, now, request.key),
    )
