"""Quarantine: what could not be accepted, encrypted, with its reason, until it is replayed or discarded.

The payload (headers and raw body) opens only with the master keys; the reason never holds a value of it. The digest is
keyed and covers what a vendor's retry repeats, so a delivery that comes again bumps its attempts instead of piling up.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg.rows import class_row

from batuta.errors import BatutaError
from batuta.keys import KeyRing
from batuta.landing.model import Delivery, Rejected

DIGEST_BYTES: Final = 16
_NONCE_BYTES: Final = 12
# Credentials are not kept, and what changes from one attempt of a sender to the next is no part of a delivery.
_SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_PASSING_HEADERS: Final = frozenset(
    {
        "accept", "accept-encoding", "accept-language", "connection", "content-length", "date", "forwarded", "host",
        "traceparent", "tracestate", "transfer-encoding", "user-agent", "via", "x-forwarded-for", "x-forwarded-host",
        "x-forwarded-port", "x-forwarded-proto", "x-forwarded-server", "x-real-ip", "x-request-id",
    }
)  # fmt: skip


class QuarantineUnreadable(BatutaError):
    """A quarantined payload does not open."""


class NotInQuarantine(BatutaError):
    """No such row, or it is no longer held."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A delivery as it lies in quarantine."""

    product: str
    connector: str
    account: str | None
    digest: bytes
    reason_code: str
    reason: str
    field: str | None
    key_id: str
    nonce: bytes
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """What may be shown of a row in quarantine."""

    id: str
    product: str
    connector: str
    account: str | None
    way: str
    reason_code: str
    reason: str
    field: str | None
    attempts: int
    received_at: datetime
    last_attempt_at: datetime
    state: str
    replayed_batch: int | None

    @property
    def sentence(self) -> str:
        """What is wrong and where, on one line; most reasons name the field themselves."""
        if self.field is None or re.search(rf"(?<!\w){re.escape(self.field)}(?!\w)", self.reason):
            return self.reason
        return f"{self.field}: {self.reason}"


_ENTRY_COLUMNS: Final = """
id::text, product, connector, account, way, reason_code, reason, field, attempts, received_at, last_attempt_at, state,
replayed_batch
"""


def seal(delivery: Delivery, rejection: Rejected, keys: KeyRing) -> Sealed:
    """Encrypt a delivery for quarantine."""
    headers = {name: value for name, value in delivery.headers.items() if name not in _SECRET_HEADERS}
    identity = delivery_digest(delivery, keys)
    key_id, key = keys.aead(delivery.product, "quarantine")
    nonce = secrets.token_bytes(_NONCE_BYTES)
    document = orjson.dumps([headers, base64.b64encode(delivery.body).decode("ascii")])
    payload = AESGCM(key).encrypt(nonce, document, _bound_to(delivery.product, delivery.connector, identity))
    return Sealed(
        delivery.product,
        delivery.connector,
        delivery.account,
        identity,
        rejection.code,
        rejection.message,
        rejection.field,
        key_id,
        nonce,
        payload,
        delivery.received_at,
    )


def delivery_digest(delivery: Delivery, keys: KeyRing) -> bytes:
    """What is the same for every attempt to deliver the same thing."""
    lasting = {
        name: value
        for name, value in delivery.headers.items()
        if name not in _PASSING_HEADERS and name not in _SECRET_HEADERS
    }
    key = keys.hmac(delivery.product, "quarantine-digest")
    inner = hmac.new(
        key, orjson.dumps([delivery.account, lasting], option=orjson.OPT_SORT_KEYS), hashlib.sha256
    )
    inner.update(b"\x00" + delivery.body)
    return inner.digest()[:DIGEST_BYTES]


def entries(
    conn: psycopg.Connection[Any],
    *,
    product: str | None = None,
    connector: str | None = None,
    state: str | None = "held",
    limit: int = 100,
) -> list[QuarantineEntry]:
    """What lies in quarantine, the latest attempt first."""
    with conn.cursor(row_factory=class_row(QuarantineEntry)) as cursor:
        return cursor.execute(
            f"""
            select {_ENTRY_COLUMNS} from batuta.quarantine
            where (%(product)s::text is null or product = %(product)s)
                and (%(connector)s::text is null or connector = %(connector)s)
                and (%(state)s::text is null or state = %(state)s)
            order by last_attempt_at desc, id limit %(limit)s
            """,
            {"product": product, "connector": connector, "state": state, "limit": limit},
        ).fetchall()


def entry(conn: psycopg.Connection[Any], quarantine_id: str) -> QuarantineEntry:
    """One row of quarantine.

    Raises:
        NotInQuarantine: there is no such row.
    """
    with conn.cursor(row_factory=class_row(QuarantineEntry)) as cursor:
        found = cursor.execute(
            f"select {_ENTRY_COLUMNS} from batuta.quarantine where id::text = %s", (quarantine_id,)
        ).fetchone()
    if found is None:
        raise NotInQuarantine(
            f"nothing in quarantine has the id {quarantine_id}", hint="See `batuta quarantine list`."
        )
    return found


def not_replayed(conn: psycopg.Connection[Any], ids: list[str]) -> list[QuarantineEntry]:
    """Of these rows those that could not be replayed so far, with their latest reason, in the order of receipt."""
    with conn.cursor(row_factory=class_row(QuarantineEntry)) as cursor:
        return cursor.execute(
            f"""
            select {_ENTRY_COLUMNS} from batuta.quarantine
            where id::text = any(%s) and state <> 'replayed' order by received_at, id
            """,
            (ids,),
        ).fetchall()


def held_ids(conn: psycopg.Connection[Any], product: str | None = None) -> list[str]:
    """Ids of everything held, in the order it was received."""
    rows = conn.execute(
        """
        select id::text from batuta.quarantine
        where state = 'held' and (%(product)s::text is null or product = %(product)s) order by received_at, id
        """,
        {"product": product},
    )
    return [row[0] for row in rows]


def unseal(
    conn: psycopg.Connection[Any], ids: list[str], keys: KeyRing
) -> Iterator[tuple[QuarantineEntry, Delivery]]:
    """The deliveries of quarantined rows, decrypted, one at a time.

    Raises:
        NotInQuarantine: an id is unknown.
        QuarantineUnreadable: the keys or the row are not what they were.
    """
    for quarantine_id in ids:
        found = entry(conn, quarantine_id)
        row = conn.execute(
            "select digest, key_id, nonce, payload from batuta.quarantine where id::text = %s",
            (quarantine_id,),
        ).fetchone()
        conn.commit()
        assert row is not None
        headers, body = _open(found.id, found.product, found.connector, row, keys)
        yield (
            found,
            Delivery(found.product, found.connector, found.account, headers, body, found.received_at),
        )


def open_sealed(sealed: Sealed, keys: KeyRing) -> Delivery:
    """The delivery in a sealed one that has not reached the database yet.

    Raises:
        QuarantineUnreadable: it was changed, or sealed with other keys.
    """
    row = (sealed.digest, sealed.key_id, sealed.nonce, sealed.payload)
    headers, body = _open("a delivery", sealed.product, sealed.connector, row, keys)
    return Delivery(sealed.product, sealed.connector, sealed.account, headers, body, sealed.received_at)


def discard(conn: psycopg.Connection[Any], ids: list[str]) -> int:
    """Give up what is held under these ids; how many there were. The rows stay, as proof."""
    cursor = conn.execute(
        "update batuta.quarantine set state = 'discarded' where id::text = any(%s) and state = 'held'", (ids,)
    )
    conn.commit()
    return cursor.rowcount


def _open(
    name: str, product: str, connector: str, row: tuple[Any, ...], keys: KeyRing
) -> tuple[Mapping[str, str], bytes]:
    identity, key_id, nonce, payload = row
    key = keys.aead_by_id(key_id, product, "quarantine")
    try:
        document = AESGCM(key).decrypt(nonce, payload, _bound_to(product, connector, identity))
    except InvalidTag:
        raise QuarantineUnreadable(
            f"the payload of {name} does not open: it was changed, or sealed with other keys",
            hint="Restore it, or the master keys it was sealed with, from a backup.",
        ) from None
    headers, body = orjson.loads(document)
    return headers, base64.b64decode(body)


def _bound_to(product: str, connector: str, identity: bytes) -> bytes:
    return f"{product}\x00{connector}\x00".encode() + identity
