"""Content-addressed records in the warehouse: written once, found by the digest of what they hold."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import psycopg

JSON_MEDIA_TYPE = "application/json"


def digest_of(content: bytes) -> str:
    """The address of a content: `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, so that equal values have equal digests. Decimals must already be strings."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def put_blob(conn: psycopg.Connection[Any], content: bytes, media_type: str, at: datetime) -> str:
    """Keep a content (role: writer) and return its digest; keeping it again changes nothing."""
    digest = digest_of(content)
    conn.execute(
        "insert into batuta.blobs (digest, media_type, content, created_at) values (%s, %s, %s, %s) "
        "on conflict (digest) do nothing",
        (digest, media_type, content, at),
    )
    return digest


def get_blob(conn: psycopg.Connection[Any], digest: str) -> bytes | None:
    """The content behind a digest (role: writer or auditor), or None where it is not kept."""
    row = conn.execute("select content from batuta.blobs where digest = %s", (digest,)).fetchone()
    return None if row is None else bytes(row[0])
