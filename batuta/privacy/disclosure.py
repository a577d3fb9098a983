"""Telling what is held of a person: a file for the merchant, who answers them.

What is stored masked is told masked; what the vault can turn back, and what waits in quarantine, is told in clear,
because it goes to the merchant it came from. The file says so, and only its owner may read it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg
from psycopg import sql

from batuta.keys import KeyRing
from batuta.landing.quarantine import unseal
from batuta.privacy.masking import VaultRow, open_vault_row
from batuta.privacy.person import Person
from batuta.privacy.replacing import text_tables

NOTICE: Final = (
    "All that BATUTA holds of the person who asked. Hashes (h1:...) are what is stored and cannot be turned back; "
    "under `vault` and `quarantine` are values in clear. Hand it to the person, then delete this file."
)
_LEFT_OUT: Final = frozenset({"batuta.vault", "batuta.quarantine", "batuta.privacy_requests"})


def disclose(
    conn: psycopg.Connection[Any],
    person: Person,
    keys: KeyRing,
    path: Path,
    held: Sequence[str],
    at: datetime,
) -> dict[str, int]:
    """Write the file (role: owner); how much of each kind is in it."""
    vault = {row.token: open_vault_row(row, keys) for row in _vault_rows(conn, person)}
    waiting = [
        {
            "receivedAt": entry.received_at.isoformat(),
            "reason": entry.reason,
            "body": delivery.body.decode("utf-8", "backslashreplace"),
        }
        for entry, delivery in unseal(conn, list(held), keys)
    ]
    tables = _rows(conn, person)
    document = {
        "notice": NOTICE,
        "product": person.product,
        "madeAt": at.isoformat(),
        "pseudonyms": sorted(person.pseudonyms),
        "vault": vault,
        "quarantine": waiting,
        "tables": tables,
    }
    _write_private(path, orjson.dumps(document, option=orjson.OPT_INDENT_2))
    counts = {name: len(rows) for name, rows in tables.items()}
    return counts | {"batuta.vault": len(vault), "quarantine": len(waiting)}


def _vault_rows(conn: psycopg.Connection[Any], person: Person) -> list[VaultRow]:
    rows = conn.execute(
        """
        select token, product, kind, key_id, nonce, ciphertext from batuta.vault
        where product = %s and token = any(%s)
        """,
        (person.product, sorted(person.tokens)),
    )
    return [
        VaultRow(token, product, kind, key_id, bytes(nonce), bytes(ciphertext))
        for token, product, kind, key_id, nonce, ciphertext in rows.fetchall()
    ]


def _rows(conn: psycopg.Connection[Any], person: Person) -> dict[str, list[Any]]:
    """Every row of every table in which the person stands, as JSON."""
    found: dict[str, list[Any]] = {}
    for table in text_tables(conn) if person.words else ():
        if table.label in _LEFT_OUT:
            continue
        query = sql.SQL("select to_jsonb(held) from {} as held where {}").format(
            table.identifier, table.has(person.words)
        )
        rows = [row for (row,) in conn.execute(query)]
        if rows:
            found[table.label] = rows
    return found


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
