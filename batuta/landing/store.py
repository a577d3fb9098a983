"""Writing prepared deliveries: one transaction, all or nothing.

A chunk's rows go over whole, in one message, before anything of them is done. Then, within the database: take the
landing lock, look up what is known, draw the batch number, insert the rest, count; what else belongs to the chunk and
the commit follow in the same flight, so that a slow client holds nothing up. The lock is held to commit, so batch
numbers become visible in their order and a reader that remembers the last one misses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakSet

import psycopg
from psycopg.pq import TransactionStatus

from batuta.errors import BatutaError
from batuta.landing.model import Way
from batuta.landing.rows import NULL, SEPARATOR, Row, columns, send_packed
from batuta.landing.sides import LANDED, Chunk, write_after_rows, write_quarantine, write_sides

# Ways in by which a version of an entity that is there is a duplicate, whatever its id. A webhook always lands.
PULLED: Final[frozenset[Way]] = frozenset({"poll", "backfill"})
# One landing at a time per database; "batlandi".
LANDING_LOCK: Final = 0x6261_746C_616E_6469

# A session's own function, so that this code and its SQL are always of one version. A scalar subquery looks each row up
# by index, whatever the planner thinks of a table it has no statistics of; generic plans spare it the copy of a chunk.
_FUNCTION: Final = f"""
create or replace function pg_temp.land_rows(
    way text, pulled boolean,
    keys bytea[], versions bytea[], bodies bytea[], received timestamptz[], times timestamptz[],
    lanes integer[], dropped integer[],
    ids text, sources text, subjects text, traces text, extensions text, data text,
    products text[], types text[], connectors text[], datasets text[], schemas text[], decisions bytea[],
    out drawn bigint, out known integer[]
) language plpgsql set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_variable
declare
    split constant text := chr({ord(SEPARATOR)});
    nothing constant text := chr({ord(NULL)});
    fresh boolean[];
    new_rows integer;
begin
    perform pg_advisory_xact_lock({LANDING_LOCK});

    select array_agg(r.fresh), count(*) filter (where r.fresh)
    into fresh, new_rows
    from (
        select (select true from batuta.inbox as i where i.key = k.key limit 1) is null and (
            not pulled
            or (select true from batuta.inbox as i where i.entity_version = k.version limit 1) is null
        ) as fresh
        from (select unnest(keys) as key, unnest(versions) as version) as k
    ) as r;
    perform set_config('{LANDED}', new_rows::text, true);

    if new_rows > 0 then
        insert into batuta.batches (batch, committed_at, way, landed)
        values (nextval('batuta.batch_numbers'), clock_timestamp(), way, new_rows)
        returning batch into drawn;

        insert into batuta.inbox (key, batch, received_at, entity_version, body_digest)
        select r.key, drawn, r.received_at, r.version, r.body
        from (
            select
                unnest(keys) as key, unnest(received) as received_at, unnest(versions) as version,
                unnest(bodies) as body, unnest(fresh) as fresh
        ) as r
        where r.fresh;

        insert into batuta.events (
            received_at, batch, key, product, source, id, type, subject, "time", connector, dataset, dataschema, data,
            extensions, decision, trace
        )
        select
            r.received_at, drawn, r.key, products[r.lane], r.source, r.id, types[r.lane], r.subject, r.happened_at,
            connectors[r.lane], datasets[r.lane], schemas[r.lane], r.data::jsonb, r.extensions::jsonb,
            decisions[r.lane], r.trace
        from (
            select
                unnest(keys) as key, unnest(received) as received_at, unnest(times) as happened_at,
                unnest(lanes) as lane, unnest(fresh) as fresh,
                unnest(string_to_array(ids, split)) as id,
                unnest(string_to_array(sources, split)) as source,
                unnest(string_to_array(subjects, split, nothing)) as subject,
                unnest(string_to_array(traces, split, nothing)) as trace,
                unnest(string_to_array(extensions, split, nothing)) as extensions,
                unnest(string_to_array(data, split)) as data
        ) as r
        where r.fresh;
    end if;

    insert into batuta.intake_counts as c (product, connector, dataset, hour, landed, duplicate, dropped_fields)
    select
        products[r.lane], connectors[r.lane], datasets[r.lane], date_trunc('hour', r.received_at),
        sum(r.landed), sum(r.duplicate), sum(r.dropped)
    from (
        select
            s.lane, s.received_at, count(*) filter (where s.fresh) as landed,
            count(*) filter (where not s.fresh) as duplicate,
            coalesce(sum(s.dropped) filter (where s.fresh), 0) as dropped
        from (
            select
                unnest(lanes) as lane, unnest(received) as received_at, unnest(dropped) as dropped,
                unnest(fresh) as fresh
        ) as s
        group by 1, 2
    ) as r
    group by 1, 2, 3, 4
    on conflict (product, connector, dataset, hour) do update set
        landed = c.landed + excluded.landed, duplicate = c.duplicate + excluded.duplicate,
        dropped_fields = c.dropped_fields + excluded.dropped_fields;

    if new_rows < cardinality(keys) then
        known := array(select f.n from unnest(fresh) with ordinality as f (fresh, n) where not f.fresh);
    end if;
end
$$
"""
_LAND: Final = """
select drawn, known from pg_temp.land_rows(
    %(way)s, %(pulled)s, %(keys)s, %(versions)s, %(bodies)s, %(received)s, %(times)s, %(lanes)s, %(dropped)s, %(ids)s,
    %(sources)s, %(subjects)s, %(traces)s, %(extensions)s, %(data)s, %(products)s::text[], %(types)s::text[],
    %(connectors)s::text[], %(datasets)s::text[], %(schemas)s::text[], %(decisions)s::bytea[]
)
"""


class LandingFailed(BatutaError):
    """The database did not take a chunk; nothing of it landed, or (the connection lost while committing) all of it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction did: the batch, the numbers of rows that were known before, quarantine ids by delivery."""

    batch: int | None
    known: frozenset[int]
    quarantine_ids: Mapping[int, str]


class Writer:
    """Writes chunks; remembers which connections are made ready."""

    def __init__(self) -> None:
        self._ready: WeakSet[psycopg.Connection[Any]] = WeakSet()

    def write(self, conn: psycopg.Connection[Any], chunk: Chunk) -> Written:
        """Write one chunk in one transaction.

        Args:
            conn: An idle connection, not in autocommit, that acts as writer.
            chunk: What to write.
        """
        if conn.info.transaction_status != TransactionStatus.IDLE or conn.autocommit:
            raise ValueError(
                "landing needs an idle connection without autocommit: its transaction is its own"
            )
        try:
            return self._write(conn, chunk)
        except BaseException:
            if not conn.closed:
                conn.rollback()
            raise

    def _write(self, conn: psycopg.Connection[Any], chunk: Chunk) -> Written:
        distinct = distinct_rows(chunk)
        if distinct.rows:
            self._make_ready(conn)
            values = columns(distinct.rows) | {"way": chunk.way, "pulled": chunk.way in PULLED}
        else:
            values = None
        with conn.cursor() as cursor, conn.pipeline():
            if values is not None:
                landed = conn.execute(_LAND, values, binary=True)
            else:
                landed = None
                cursor.execute("select pg_advisory_xact_lock(%s)", (LANDING_LOCK,))
            write_sides(cursor, chunk, distinct.doubles)
            ids = write_quarantine(conn, chunk)
            write_after_rows(cursor, chunk, rows=landed is not None)
            conn.commit()
        batch, known = (landed.fetchone() if landed is not None else None) or (None, None)
        quarantine_ids = {index: row[0] for index, c in ids.items() if (row := c.fetchone())}
        numbers = distinct.numbers
        return Written(batch, distinct.doubled | {numbers[n - 1] for n in known or ()}, quarantine_ids)

    def _make_ready(self, conn: psycopg.Connection[Any]) -> None:
        if conn not in self._ready:
            send_packed(conn)
            conn.execute(_FUNCTION.encode())
            conn.commit()
            self._ready.add(conn)


@dataclass(frozen=True, slots=True)
class Distinct:
    """The rows of a chunk, each key once, and of what was pulled each version of an entity once.

    Attributes:
        rows: The rows to write.
        numbers: Their numbers among all rows.
        doubled: The numbers of the others.
        doubles: How many of the others each delivery has; empty where there is none at all.
    """

    rows: Sequence[Row]
    numbers: Sequence[int]
    doubled: frozenset[int]
    doubles: Sequence[int]


def distinct_rows(chunk: Chunk) -> Distinct:
    """Which rows of a chunk are to be written."""
    everything = [row for prepared in chunk.prepared for row in prepared.rows]
    versions = chunk.way in PULLED
    if not versions and len({row.key for row in everything}) == len(everything):
        # The common case, without a look at every delivery.
        return Distinct(everything, range(len(everything)), frozenset(), ())
    rows: list[Row] = []
    numbers: list[int] = []
    doubles: list[int] = []
    seen: set[bytes] = set()
    n = 0
    for prepared in chunk.prepared:
        before = len(rows)
        for row in prepared.rows:
            if row.key not in seen and not (versions and row.entity_version in seen):
                seen.add(row.key)
                if row.entity_version is not None:
                    seen.add(row.entity_version)
                rows.append(row)
                numbers.append(n)
            n += 1
        doubles.append(len(prepared.rows) - (len(rows) - before))
    return Distinct(rows, numbers, frozenset(range(n)).difference(numbers), doubles)
