"""Reading the log by batch: commit-ordered, so a reader that remembers a batch number misses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from batuta.events.event import event_key


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event of the log."""

    batch: int
    product: str
    source: str
    id: str
    type: str
    subject: str | None
    time: datetime
    received_at: datetime
    connector: str
    dataset: str
    dataschema: str
    data: dict[str, Any]
    extensions: dict[str, Any] | None
    decision: bytes
    trace: str | None


COLUMNS = """
batch, product, source, id, type, subject, "time", received_at, connector, dataset, dataschema, data, extensions,
decision, trace
"""

OF_KEYS = """
batch = any(array(select batch from batuta.inbox where key = any(%(keys)s))) and key = any(%(keys)s)
"""
"""Condition on events by their keys: the log has no index of them, the inbox knows their batches."""

_WANTED = """
(%(product)s::text is null or product = %(product)s)
and (%(exact)s::text[] is null or type = any(%(exact)s) or type like any(%(families)s::text[]))
"""


def _wanted(product: str | None, types: Sequence[str] | None) -> dict[str, Any]:
    chosen = types or ()
    return {
        "product": product,
        "exact": [t for t in chosen if not t.endswith(".*")] if types is not None else None,
        "families": [t[:-1].replace("_", r"\_") + "%" for t in chosen if t.endswith(".*")],
    }


def read(
    conn: psycopg.Connection[Any],
    after_batch: int,
    *,
    product: str | None = None,
    connector: str | None = None,
    types: Sequence[str] | None = None,
    limit: int = 1000,
) -> list[LoggedEvent]:
    """Events of the batches after `after_batch`, in order, whole batches only.

    A batch is never cut in two: the last one is read to its end even beyond `limit`, so that its number is a position
    to go on from.

    Args:
        conn: Any connection that may read the log.
        after_batch: The last batch read so far.
        product: Only this product's.
        connector: Only this connector's: what others landed meanwhile is not even looked at.
        types: Only these types; `.*` at the end takes in a family.
        limit: About how many.
    """
    condition = (
        f"batch > %(after)s and (%(connector)s::text is null or connector = %(connector)s) and {_WANTED}"
    )
    with conn.cursor(row_factory=class_row(LoggedEvent)) as cursor:
        return cursor.execute(
            f"""
            with last as (
                select max(batch) as batch
                from (select batch from batuta.events where {condition} order by batch limit %(limit)s) as first
            )
            select {COLUMNS} from batuta.events
            where {condition} and batch <= (select last.batch from last) order by batch, received_at, key
            """,
            _wanted(product, types) | {"after": after_batch, "connector": connector, "limit": limit},
        ).fetchall()


def newest(
    conn: psycopg.Connection[Any],
    *,
    product: str | None = None,
    types: Sequence[str] | None = None,
    limit: int = 50,
) -> list[LoggedEvent]:
    """The events that landed last, the newest first."""
    with conn.cursor(row_factory=class_row(LoggedEvent)) as cursor:
        return cursor.execute(
            f"""
            select {COLUMNS} from batuta.events
            where batch > 0 and {_WANTED} order by batch desc, received_at desc, key limit %(limit)s
            """,
            _wanted(product, types) | {"limit": limit},
        ).fetchall()


def find(
    conn: psycopg.Connection[Any], id: str, *, product: str | None = None, source: str | None = None
) -> list[LoggedEvent]:
    """Every event of that id, whatever its product and source unless they are given.

    Those that retention took out of the log and kept are among them.
    """
    with conn.cursor(row_factory=class_row(LoggedEvent)) as cursor:
        if product is not None and source is not None:
            return cursor.execute(
                f"select {COLUMNS} from batuta.history where {OF_KEYS}",
                {"keys": [event_key(product, source, id)]},
            ).fetchall()
        return cursor.execute(
            f"""
            select {COLUMNS} from batuta.history
            where id = %(id)s and (%(product)s::text is null or product = %(product)s)
                and (%(source)s::text is null or source = %(source)s)
            order by batch
            """,
            {"id": id, "product": product, "source": source},
        ).fetchall()


def has_landed(conn: psycopg.Connection[Any], product: str, source: str, id: str) -> bool:
    """Whether an event landed once; where it is not found any more, it was removed by policy."""
    key = event_key(product, source, id)
    return conn.execute("select from batuta.inbox where key = %s", (key,)).fetchone() is not None


def last_batch(conn: psycopg.Connection[Any]) -> int:
    """The number of the newest committed batch; 0 where nothing has landed."""
    row = conn.execute("select coalesce(max(batch), 0) from batuta.batches").fetchone()
    return row[0] if row is not None else 0


def counts_since(conn: psycopg.Connection[Any], after_batch: int) -> dict[tuple[str, str, str], int]:
    """How many events each (product, connector, dataset) got in the batches after `after_batch`."""
    rows = conn.execute(
        """
        select product, connector, dataset, count(*) from batuta.events where batch > %s group by 1, 2, 3
        """,
        (after_batch,),
    )
    return {(product, connector, dataset): count for product, connector, dataset, count in rows}
