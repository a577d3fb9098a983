"""Known items of state feeds (a drive, a vault, a mailbox): what the next change is told from.

Ids and paths name people and their affairs, so an item lies in the database as a keyed digest of its id, one of its
parent's, and a ciphertext of the whole; reading opens it with the master keys.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson
import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from batuta.errors import BatutaError
from batuta.keys import KeyRing
from batuta.landing.model import ItemMoves, KnownItem

DIGEST_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_READ_AT_ONCE: Final = 1000

_FORGET: Final = """
delete from batuta.entities where product = %s and connector = %s and account = %s and digest = any(%s)
"""
_KEEP: Final = """
insert into batuta.entities as e (
    product, connector, account, digest, parent, key_id, nonce, payload, updated_at
)
select %s, %s, %s, item.digest, item.parent, %s, item.nonce, item.payload, clock_timestamp()
from unnest(%s::bytea[], %s::bytea[], %s::bytea[], %s::bytea[]) as item (digest, parent, nonce, payload)
on conflict (product, connector, account, digest) do update set
    parent = excluded.parent, key_id = excluded.key_id, nonce = excluded.nonce, payload = excluded.payload,
    updated_at = excluded.updated_at
"""
_READ: Final = """
select digest, key_id, nonce, payload from batuta.entities
where product = %s and connector = %s and account = %s and {which}
"""
_READ_THESE: Final = _READ.format(which="digest = any(%s)")
_READ_CHILDREN: Final = _READ.format(which="parent = %s")
_READ_ON: Final = _READ.format(which="digest > %s order by digest limit %s")

_Row: TypeAlias = tuple[bytes, str, bytes, bytes]


class ItemUnreadable(BatutaError):
    """A known item does not open."""


@dataclass(frozen=True, slots=True)
class SealedItem:
    """A known item as it lies in the database."""

    digest: bytes
    parent: bytes | None
    nonce: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class SealedMoves:
    """`ItemMoves`, ready to be written."""

    product: str
    connector: str
    account: str
    key_id: str
    keep: tuple[SealedItem, ...]
    forget: tuple[bytes, ...]


def seal_moves(moves: ItemMoves, keys: KeyRing) -> SealedMoves:
    """Encrypt the items of `moves`; of an item that is kept twice, the last one stays."""
    seals = _Seals(keys, moves.product, moves.connector, moves.account)
    last = {item.id: item for item in moves.keep}
    return SealedMoves(
        moves.product,
        moves.connector,
        moves.account,
        seals.key_id,
        # In one order whoever writes them.
        tuple(sorted((seals.seal(item) for item in last.values()), key=lambda sealed: sealed.digest)),
        tuple(seals.digest(id) for id in moves.forget),
    )


def write_moves(cursor: psycopg.Cursor[Any], moves: SealedMoves) -> None:
    """Forget and keep, in the caller's transaction."""
    owner = (moves.product, moves.connector, moves.account)
    if moves.forget:
        cursor.execute(_FORGET, (*owner, list(moves.forget)))
    if moves.keep:
        columns = [
            [item.digest for item in moves.keep],
            [item.parent for item in moves.keep],
            [item.nonce for item in moves.keep],
            [item.payload for item in moves.keep],
        ]
        cursor.execute(_KEEP, (*owner, moves.key_id, *columns))


class KnownItems:
    """The known items of one account, read through a connection that acts as writer.

    Each reading is a transaction of its own, so the connection may commit pages in between.
    """

    def __init__(
        self, conn: psycopg.Connection[Any], keys: KeyRing, product: str, connector: str, account: str
    ) -> None:
        self._conn = conn
        self._owner = (product, connector, account)
        self._seals = _Seals(keys, product, connector, account)

    def get(self, ids: Collection[str]) -> Mapping[str, KnownItem]:
        """Those of these items that are known, by id.

        Raises:
            ItemUnreadable: as for every reading, an item does not open.
        """
        if not ids:
            return {}
        rows = self._read(_READ_THESE, [self._seals.digest(id) for id in ids])
        return {item.id: item for item in self._open(rows)}

    def children(self, parent: str) -> tuple[KnownItem, ...]:
        """The known items that lie directly in a folder, by id."""
        rows = self._read(_READ_CHILDREN, self._seals.digest(parent))
        return tuple(sorted(self._open(rows), key=lambda item: item.id))

    def all(self) -> Iterator[KnownItem]:
        """Every known item, in no order that means anything; those that change meanwhile may come either way."""
        last = b""
        while rows := self._read(_READ_ON, last, _READ_AT_ONCE):
            yield from self._open(rows)
            last = rows[-1][0]

    def _read(self, query: str, *values: Any) -> list[_Row]:
        with self._conn.transaction():
            return self._conn.execute(query.encode(), (*self._owner, *values)).fetchall()

    def _open(self, rows: Iterable[_Row]) -> Iterator[KnownItem]:
        return (self._seals.open(*row) for row in rows)


class _Seals:
    """Digests, encrypts and opens the items of one account; a ciphertext is bound to account and digest."""

    def __init__(self, keys: KeyRing, product: str, connector: str, account: str) -> None:
        self._keys = keys
        self._product = product
        self._account = f"{connector}\x00{account}\x00".encode()
        self._digest_key = keys.hmac(product, "known-items")
        self.key_id, key = keys.aead(product, "known-items")
        self._ciphers = {self.key_id: AESGCM(key)}

    def digest(self, id: str) -> bytes:
        return hmac.digest(self._digest_key, self._account + id.encode(), "sha256")[:DIGEST_BYTES]

    def seal(self, item: KnownItem) -> SealedItem:
        digest = self.digest(item.id)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        document = orjson.dumps([item.id, item.parent, dict(item.state), item.mark])
        payload = self._ciphers[self.key_id].encrypt(nonce, document, self._bound_to(digest))
        parent = self.digest(item.parent) if item.parent is not None else None
        return SealedItem(digest, parent, nonce, payload)

    def open(self, digest: bytes, key_id: str, nonce: bytes, payload: bytes) -> KnownItem:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            cipher = AESGCM(self._keys.aead_by_id(key_id, self._product, "known-items"))
            self._ciphers[key_id] = cipher
        try:
            id, parent, state, mark = orjson.loads(cipher.decrypt(nonce, payload, self._bound_to(digest)))
        except InvalidTag:
            raise ItemUnreadable(
                "a known item does not open: it was changed, or sealed with other keys",
                hint="Restore it, or the master keys it was sealed with, from a backup.",
            ) from None
        return KnownItem(id, parent, state, mark)

    def _bound_to(self, digest: bytes) -> bytes:
        return f"{self._product}\x00".encode() + self._account + digest
