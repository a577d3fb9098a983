"""Reading the log by batch: commit-ordered, so a reader that remembers a batch number misses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row


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


def read(
    conn: psycopg.Connection[Any],
    after_batch: int,
    *,
    product: str | None = None,
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
        types: Only these types; `.*` at the end takes in a family.
        limit: About how many.
    """
    patterns = [
        pattern[:-1].replace("_", r"\_") + "%" if pattern.endswith(".*") else None for pattern in types or ()
    ]
    filters = {
        "after": after_batch,
        "product": product,
        "exact": [t for t in types if not t.endswith(".*")] if types is not None else None,
        "families": [pattern for pattern in patterns if pattern is not None],
        "limit": limit,
    }
    condition = """
        batch > %(after)s and (%(product)s::text is null or product = %(product)s)
        and (%(exact)s::text[] is null or type = any(%(exact)s) or type like any(%(families)s::text[]))
    """
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
            filters,
        ).fetchall()


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
