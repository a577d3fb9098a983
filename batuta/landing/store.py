"""Writing prepared deliveries: one transaction, all or nothing.

Rows are staged first, while others may land. Then, sent in one go so that a slow client holds nothing up: take the
landing lock, draw the batch number, insert what is new, count, commit. The lock is held to commit, so batch numbers
become visible in their order and a reader that remembers the last one misses nothing.
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
from batuta.landing.sides import Chunk, write_after_rows, write_quarantine, write_sides

# Ways in by which a version of an entity that is there is a duplicate, whatever its id. A webhook always lands.
PULLED: Final[frozenset[Way]] = frozenset({"poll", "backfill"})
# One landing at a time per database; "batlandi".
LANDING_LOCK: Final = 0x6261_746C_616E_6469

_STAGE: Final = """
create temporary table if not exists landing_stage (
    n integer, key bytea, entity_version bytea, body_digest bytea, received_at timestamptz, source text, id text,
    subject text, "time" timestamptz, product text, type text, connector text, dataset text, dataschema text,
    decision bytea, trace text, extensions jsonb, dropped integer, data jsonb
) on commit delete rows
"""
_COPY: Final = "copy landing_stage from stdin"
# A scalar subquery looks each staged row up by index, whatever the planner thinks of a table it has no statistics of.
_SET_ASIDE: Final = """
with known as (
    delete from landing_stage as s
    where (select true from batuta.inbox as i where {match} limit 1)
    returning s.n, s.product, s.connector, s.dataset, s.received_at
),
counted as (
    insert into batuta.intake_counts as c (product, connector, dataset, hour, duplicate)
    select product, connector, dataset, date_trunc('hour', received_at), count(*) from known group by 1, 2, 3, 4
    on conflict (product, connector, dataset, hour) do update set duplicate = c.duplicate + excluded.duplicate
)
select array_agg(n) from known
"""
_SET_ASIDE_KNOWN: Final = _SET_ASIDE.format(match="i.key = s.key")
_SET_ASIDE_VERSIONS: Final = _SET_ASIDE.format(match="i.entity_version = s.entity_version")
_NUMBER: Final = """
insert into batuta.batches (batch, committed_at, way, landed)
select nextval('batuta.batch_numbers'), clock_timestamp(), %s, count(*) from landing_stage having count(*) > 0
returning batch
"""
_INSERT: Final = (
    """
insert into batuta.inbox (key, batch, received_at, entity_version, body_digest)
select key, (select currval('batuta.batch_numbers')), received_at, entity_version, body_digest
from landing_stage order by key
""",
    """
insert into batuta.events (
    received_at, batch, key, product, source, id, type, subject, "time", connector, dataset, dataschema, data,
    extensions, decision, trace
)
select
    received_at, (select currval('batuta.batch_numbers')), key, product, source, id, type, subject, "time",
    connector, dataset, dataschema, data, extensions, decision, trace
from landing_stage
""",
    """
insert into batuta.intake_counts as c (product, connector, dataset, hour, landed, dropped_fields)
select product, connector, dataset, date_trunc('hour', received_at), count(*), sum(dropped)
from landing_stage group by 1, 2, 3, 4
on conflict (product, connector, dataset, hour) do update set
    landed = c.landed + excluded.landed, dropped_fields = c.dropped_fields + excluded.dropped_fields
""",
)


class LandingFailed(BatutaError):
    """The database did not take a chunk; nothing of it landed, or (the connection lost while committing) all of it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction did: the batch, the numbers of rows that were known before, quarantine ids by delivery."""

    batch: int | None
    known: frozenset[int]
    quarantine_ids: Mapping[int, str]


class Writer:
    """Writes chunks; remembers which connections have their stage."""

    def __init__(self) -> None:
        self._staged: WeakSet[psycopg.Connection[Any]] = WeakSet()

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
        lines, doubles, doubled = number_rows(chunk)
        with conn.cursor() as cursor:
            if lines:
                self._stage(conn, cursor, lines)
            with conn.pipeline():
                cursor.execute("select pg_advisory_xact_lock(%s)", (LANDING_LOCK,))
                write_sides(cursor, chunk, doubles)
                stored = _store_rows(conn, chunk.way) if lines else None
                ids = write_quarantine(conn, chunk)
                write_after_rows(cursor, chunk, staged=bool(lines))
                conn.commit()
            batch, known = stored.result() if stored is not None else (None, frozenset[int]())
            quarantine_ids = {index: row[0] for index, c in ids.items() if (row := c.fetchone())}
            return Written(batch, known | doubled, quarantine_ids)

    def _stage(self, conn: psycopg.Connection[Any], cursor: psycopg.Cursor[Any], lines: list[bytes]) -> None:
        if conn not in self._staged:
            cursor.execute(_STAGE)
            conn.commit()
            self._staged.add(conn)
        with cursor.copy(_COPY) as copy:
            copy.write(b"".join(lines))


def number_rows(chunk: Chunk) -> tuple[list[bytes], list[int], frozenset[int]]:
    """The chunk's rows as numbered COPY lines, each key once, and of what was pulled each version of an entity once.

    Returns:
        The lines; how many doubles each delivery has; the numbers of the doubles. Numbers count all rows.
    """
    lines: list[bytes] = []
    doubles: list[int] = []
    doubled: set[int] = set()
    seen: set[bytes] = set()
    versions = chunk.way in PULLED
    n = 0
    for prepared in chunk.prepared:
        before = len(doubled)
        for key, version, _, line in prepared.rows:
            if key in seen or (versions and version in seen):
                doubled.add(n)
            else:
                seen.add(key)
                if versions and version is not None:
                    seen.add(version)
                lines.append(b"%d%b" % (n, line))
            n += 1
        doubles.append(len(doubled) - before)
    return lines, doubles, frozenset(doubled)


@dataclass(frozen=True, slots=True)
class _Stored:
    """Answers that are still on their way."""

    known: Sequence[psycopg.Cursor[Any]]
    batch: psycopg.Cursor[Any]

    def result(self) -> tuple[int | None, frozenset[int]]:
        known: set[int] = set()
        for cursor in self.known:
            row = cursor.fetchone()
            known.update((row and row[0]) or ())
        numbered = self.batch.fetchone()
        return (numbered[0] if numbered is not None else None), frozenset(known)


def _store_rows(conn: psycopg.Connection[Any], way: Way) -> _Stored:
    """Set aside what is known, number and insert the rest."""
    known = [conn.execute(_SET_ASIDE_KNOWN, binary=True)]
    if way in PULLED:
        known.append(conn.execute(_SET_ASIDE_VERSIONS, binary=True))
    batch = conn.execute(_NUMBER, (way,))
    for statement in _INSERT:
        conn.execute(statement)
    return _Stored(known, batch)
