"""Rows on their way to the database: from one tuple an event to one parameter a column.

A chunk goes over in a single message, column by column: fixed-size values as PostgreSQL's binary arrays, texts joined
by a character that no text may hold. That costs a fraction of what a line of COPY an event does, on both sides.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.adapt import Dumper, PyFormat
from psycopg.pq import Format

from batuta.events.event import DIGEST_BYTES

# Control characters, which neither attributes (CloudEvents) nor written JSON hold.
SEPARATOR: Final = "\x1f"
NULL: Final = "\x1e"

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_TEXT: Final = 25
_BYTEA, _BYTEA_ARRAY = 17, 1001
_INT4, _INT4_ARRAY = 23, 1007
_TIMESTAMPTZ, _TIMESTAMPTZ_ARRAY = 1184, 1185
_DIGEST_PREFIX: Final = struct.pack(">i", DIGEST_BYTES)
_NULL_LENGTH: Final = struct.pack(">i", -1)


class Lane(NamedTuple):
    """What all events of one product, type, connector and dataset share."""

    product: str
    type: str
    connector: str
    dataset: str
    dataschema: str
    decision: bytes


class Row(NamedTuple):
    """One event, as it will be stored. Times as `microseconds` gives them; `data` is written JSON."""

    key: bytes
    entity_version: bytes | None
    body_digest: bytes
    received_at: int
    time: int
    lane: Lane
    dropped: int
    event_id: str
    source: str
    subject: str | None
    trace: str | None
    extensions: str | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """A query parameter in PostgreSQL's binary form."""

    oid: int
    content: bytes


def microseconds(moment: datetime) -> int:
    """Microseconds since 2000-01-01 UTC, which is what PostgreSQL keeps of an aware time."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def columns(rows: Sequence[Row]) -> dict[str, Packed | list[str] | list[bytes] | None]:
    """The parameters of one chunk: a column each, and for every row the number (from 1) of its lane."""
    (
        keys, versions, bodies, received, times, row_lanes, dropped, ids, sources, subjects, traces, extensions, data,
    ) = zip(*rows, strict=True)  # fmt: skip
    lanes: dict[int, tuple[int, Lane]] = {}
    for lane in row_lanes:
        if id(lane) not in lanes:
            lanes[id(lane)] = (len(lanes) + 1, lane)
    distinct = [lane for _, lane in lanes.values()]
    return {
        "keys": _digests(keys),
        "versions": _digests(versions),
        "bodies": _digests(bodies),
        "received": _fixed(_TIMESTAMPTZ_ARRAY, _TIMESTAMPTZ, "q", received),
        "times": _fixed(_TIMESTAMPTZ_ARRAY, _TIMESTAMPTZ, "q", times),
        "lanes": _fixed(_INT4_ARRAY, _INT4, "i", [lanes[id(lane)][0] for lane in row_lanes]),
        "dropped": _fixed(_INT4_ARRAY, _INT4, "i", dropped),
        "ids": _texts(ids),
        "sources": _texts(sources),
        "subjects": _texts(subjects),
        "traces": _texts(traces),
        "extensions": _texts(extensions),
        "data": Packed(_TEXT, SEPARATOR.encode().join(data)),
        "products": [lane.product for lane in distinct],
        "types": [lane.type for lane in distinct],
        "connectors": [lane.connector for lane in distinct],
        "datasets": [lane.dataset for lane in distinct],
        "schemas": [lane.dataschema for lane in distinct],
        "decisions": [lane.decision for lane in distinct],
    }


def send_packed(conn: psycopg.Connection[Any]) -> None:
    """Teach a connection to send `Packed` parameters."""
    conn.adapters.register_dumper(Packed, _PackedDumper)


class _PackedDumper(Dumper):
    format = Format.BINARY

    def get_key(self, obj: Packed, format: PyFormat) -> Any:
        return (Packed, obj.oid)

    def upgrade(self, obj: Packed, format: PyFormat) -> Dumper:
        dumper = _PackedDumper(Packed)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Packed) -> bytes:
        return obj.content


def _array(array: int, element: int, count: int, nulls: bool, content: bytes) -> Packed:
    """One dimension from 1 on: number of dimensions, whether there are nulls, type, length, lower bound."""
    return Packed(array, struct.pack(">iiIii", 1, nulls, element, count, 1) + content)


def _digests(values: Sequence[bytes | None]) -> Packed:
    parts = [_NULL_LENGTH if value is None else _DIGEST_PREFIX + value for value in values]
    return _array(_BYTEA_ARRAY, _BYTEA, len(values), None in values, b"".join(parts))


def _fixed(array: int, element: int, form: str, values: Sequence[int]) -> Packed:
    width = struct.calcsize(f">{form}")
    flat = [width] * (2 * len(values))
    flat[1::2] = values
    return _array(array, element, len(values), False, struct.pack(">" + f"i{form}" * len(values), *flat))


def _texts(values: Sequence[str | None]) -> Packed | None:
    """The texts joined; None where there is none at all."""
    if None in values and not any(values):
        return None
    texts = [NULL if value is None else value for value in values]
    joined = SEPARATOR.join(texts)
    if joined.count(SEPARATOR) >= len(texts):
        # A connector has built an event past `Event.create`; it must not shift its neighbours.
        joined = SEPARATOR.join(text.replace(SEPARATOR, "\ufffd") for text in texts)
    return Packed(_TEXT, joined.encode())
