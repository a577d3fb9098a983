"""The log's chunks, and each product's share of one: what of it stays, what goes, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from batuta.retention.newest import is_newest_word, models_position
from batuta.retention.steps import Period, Reader, Step

MODELS: Final = "the dbt models"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of the log, by `received_at`; its end is not included."""

    name: str
    chunk_from: datetime
    chunk_to: datetime


@dataclass(frozen=True, slots=True)
class _Share:
    """One product's part of a chunk."""

    product: str
    found: int
    kept: int
    last_batch: int
    asked: int
    """Events of privacy requests that are still open: carrying them out needs the event."""


def chunks_of_log(conn: psycopg.Connection[Any]) -> list[Chunk]:
    """The log's chunks, the oldest first."""
    with conn.cursor(row_factory=class_row(Chunk)) as cursor:
        return cursor.execute(
            """
            select chunk_name as name, range_start as chunk_from, range_end as chunk_to
            from timescaledb_information.chunks
            where hypertable_schema = 'batuta' and hypertable_name = 'events' order by range_start
            """
        ).fetchall()


def due(chunk: Chunk, periods: Sequence[Period], now: datetime) -> dict[str, str]:
    """The products for which all of a chunk is old enough, with the policy that says so."""
    return {period.product: period.policy for period in periods if chunk.chunk_to <= period.cutoff(now)}


def shares(
    conn: psycopg.Connection[Any], chunk: Chunk, policies: Mapping[str, str], readers: Sequence[Reader]
) -> list[Step]:
    """What is to be done with each product's part of a chunk."""
    positions = _positions(conn, readers, list(policies))
    query = sql.SQL(
        """
        select
            events.product,
            count(*) as found,
            count(*) filter (where {newest}) as kept,
            max(events.batch) as last_batch,
            count(*) filter (
                where exists (
                    select from batuta.privacy_requests as requests
                    where requests.state = 'open' and requests.key = events.key
                )
            ) as asked
        from batuta.events
        where {those}
        group by events.product order by events.product
        """
    ).format(newest=is_newest_word(conn), those=_of_chunk(chunk, list(policies)))
    with conn.cursor(row_factory=class_row(_Share)) as cursor:
        found = cursor.execute(query).fetchall()
    return [
        Step(
            "log",
            share.product,
            policies[share.product],
            chunk.chunk_from,
            chunk.chunk_to,
            share.found,
            share.kept,
            share.found - share.kept,
            _waits_for(share, positions),
        )
        for share in found
    ]


def _waits_for(share: _Share, positions: Mapping[str, Mapping[str, int]]) -> str | None:
    behind = [
        f"{name} (at batch {position} of {share.last_batch})"
        for name, position in positions[share.product].items()
        if position < share.last_batch
    ]
    if share.asked:
        behind.append(f"{share.asked} privacy requests that are open")
    return ", ".join(behind) or None


def _positions(
    conn: psycopg.Connection[Any], readers: Sequence[Reader], products: Sequence[str]
) -> dict[str, dict[str, int]]:
    """How far each product's readers have read, by their names."""
    models = models_position(conn)
    found = {product: {MODELS: models} for product in products}
    rows = conn.execute(
        """
        select consumer, product, (position #>> '{}')::bigint from batuta.cursors
        where
            jsonb_typeof(position) = 'number'
            and (consumer, product) in (select * from unnest(%(consumers)s::text[], %(products)s::text[]))
        union all
        select 'the trigger of ' || pipeline, product, min(batch_after) from batuta.trigger_windows
        where state = 'requested' group by pipeline, product
        """,
        {"consumers": [r.consumer for r in readers], "products": [r.product for r in readers]},
    )
    for consumer, product, position in rows:
        if product in found:
            found[product][consumer] = position
    return found


def move(conn: psycopg.Connection[Any], chunk: Chunk, products: Sequence[str]) -> None:
    """Keep the newest words of these products' events in a chunk, and let the chunk, or their part of it, go."""
    those = _of_chunk(chunk, products)
    if products:
        keep = "insert into batuta.kept_events select events.* from batuta.events where {} and {}"
        conn.execute(sql.SQL(keep).format(those, is_newest_word(conn)))
    others = sql.SQL("select from batuta.events where {} and not events.product = any({})").format(
        _within(chunk), sql.Literal(list(products))
    )
    if conn.execute(others + sql.SQL(" limit 1")).fetchone() is not None:
        if products:
            conn.execute(sql.SQL("delete from batuta.events where {}").format(those))
        return
    conn.execute(
        "select drop_chunks('batuta.events', older_than => %s::timestamptz, newer_than => %s::timestamptz)",
        (chunk.chunk_to, chunk.chunk_from),
    )


def leaves(conn: psycopg.Connection[Any], chunk: Chunk, products: Sequence[str]) -> sql.Composable:
    """The condition that an event of these products, in a chunk, is not kept."""
    return sql.SQL("{} and not {}").format(_of_chunk(chunk, products), is_newest_word(conn))


def _of_chunk(chunk: Chunk, products: Sequence[str]) -> sql.Composable:
    """The condition that a row `events` is in a chunk and of these products."""
    return sql.SQL("{} and events.product = any({})").format(_within(chunk), sql.Literal(list(products)))


def _within(chunk: Chunk) -> sql.Composable:
    return sql.SQL("events.received_at >= {} and events.received_at < {}").format(
        sql.Literal(chunk.chunk_from), sql.Literal(chunk.chunk_to)
    )
