"""Writing prepared deliveries: one transaction, all or nothing.

Rows are staged first, while others may land. Then, sent in one go so that a slow client holds nothing up: take the
landing lock, draw the batch number, insert what is new, count, commit. The lock is held to commit, so batch numbers
become visible in their order and a reader that remembers the last one misses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from weakref import WeakSet

import orjson
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from batuta.contracts.contract import Contract
from batuta.errors import BatutaError
from batuta.landing.model import CursorMove, LandingCounts, Way
from batuta.landing.prepare import Prepared
from batuta.landing.quarantine import Sealed
from batuta.policy.decision import Decision
from batuta.privacy.masking import VaultRow

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
_INSERT: Final = """
with batch as materialized (
    select nextval('batuta.batch_numbers') as number
),
fresh as (
    insert into batuta.inbox (key, batch, received_at, entity_version, body_digest)
    select s.key, batch.number, s.received_at, s.entity_version, s.body_digest
    from landing_stage as s, batch
    {only_new_versions}
    on conflict (key) do nothing
    returning key
),
landed as (
    insert into batuta.events (
        received_at, batch, key, product, source, id, type, subject, "time", connector, dataset, dataschema, data,
        extensions, decision, trace
    )
    select
        s.received_at, batch.number, s.key, s.product, s.source, s.id, s.type, s.subject, s."time", s.connector,
        s.dataset, s.dataschema, s.data, s.extensions, s.decision, s.trace
    from landing_stage as s inner join fresh using (key), batch
),
numbered as (
    insert into batuta.batches (batch, committed_at, way, landed)
    select batch.number, clock_timestamp(), %(way)s, count(*) from fresh, batch group by batch.number
),
counted as (
    insert into batuta.intake_counts as c (product, connector, dataset, hour, landed, duplicate, dropped_fields)
    select
        s.product, s.connector, s.dataset, date_trunc('hour', s.received_at), count(fresh.key),
        count(*) - count(fresh.key), coalesce(sum(s.dropped) filter (where fresh.key is not null), 0)
    from landing_stage as s left join fresh using (key)
    group by 1, 2, 3, 4
    on conflict (product, connector, dataset, hour) do update set
        landed = c.landed + excluded.landed,
        duplicate = c.duplicate + excluded.duplicate,
        dropped_fields = c.dropped_fields + excluded.dropped_fields
)
select batch.number, (select array_agg(s.n) from landing_stage as s inner join fresh using (key)) from batch
"""
_INSERT_ANY: Final = _INSERT.format(only_new_versions="")
_INSERT_NEW_VERSIONS: Final = _INSERT.format(
    only_new_versions="where not exists (select from batuta.inbox as i where i.entity_version = s.entity_version)"
)
_DECISION: Final = """
insert into batuta.decisions (
    id, product, event_type, policy, policy_digest, contract, contract_digest, allowed, plan, decided_at
) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp()) on conflict do nothing
"""
_VAULT: Final = """
insert into batuta.vault (token, product, kind, key_id, nonce, ciphertext, created_at)
values (%s, %s, %s, %s, %s, %s, clock_timestamp()) on conflict do nothing
"""
_QUARANTINE: Final = """
insert into batuta.quarantine as q (
    product, connector, account, way, digest, reason_code, reason, field, key_id, nonce, payload, received_at,
    last_attempt_at
) values (
    %(product)s, %(connector)s, %(account)s, %(way)s, %(digest)s, %(reason_code)s, %(reason)s, %(field)s, %(key_id)s,
    %(nonce)s, %(payload)s, %(received_at)s, %(now)s
)
on conflict (product, connector, digest) do update set
    attempts = q.attempts + 1, last_attempt_at = excluded.last_attempt_at, reason_code = excluded.reason_code,
    reason = excluded.reason, field = excluded.field,
    state = case q.state when 'discarded' then 'discarded' else 'held' end
returning id::text
"""
_REPLAYED: Final = """
update batuta.quarantine set
    state = 'replayed', attempts = attempts + 1, last_attempt_at = %s,
    replayed_batch = (select max(batch) from batuta.inbox where key = any(%s))
where id = %s
"""
_OTHER_COUNTS: Final = """
insert into batuta.intake_counts as c (product, connector, dataset, hour, duplicate, quarantined, filtered)
values (%s, %s, %s, date_trunc('hour', %s), %s, %s, %s)
on conflict (product, connector, dataset, hour) do update set
    duplicate = c.duplicate + excluded.duplicate,
    quarantined = c.quarantined + excluded.quarantined,
    filtered = c.filtered + excluded.filtered
"""
_CURSOR: Final = """
insert into batuta.cursors (consumer, product, position, updated_at) values (%s, %s, %s, clock_timestamp())
on conflict (consumer, product) do update set position = excluded.position, updated_at = excluded.updated_at
"""


class LandingFailed(BatutaError):
    """The database did not take a chunk; nothing of it landed, or (the connection lost while committing) all of it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one transaction writes."""

    prepared: Sequence[Prepared]
    sealed: Mapping[int, Sealed]
    decisions: Iterable[tuple[Decision, Contract]]
    way: Way
    cursor: CursorMove | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction did: the batch, the numbers of the rows that were new, quarantine ids by delivery."""

    batch: int | None
    fresh: frozenset[int]
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
        lines, doubles = number_rows(chunk)
        with conn.cursor() as cursor:
            if lines:
                self._stage(conn, cursor, lines)
            with conn.pipeline():
                cursor.execute("select pg_advisory_xact_lock(%s)", (LANDING_LOCK,))
                _write_sides(cursor, chunk, doubles)
                inserted = _insert(conn, chunk.way) if lines else None
                ids = {
                    index: conn.execute(_QUARANTINE, _quarantine_values(sealed, chunk))
                    for index, sealed in chunk.sealed.items()
                }
                for prepared in chunk.prepared:
                    if prepared.replay_of is not None and prepared.held is None:
                        keys = [row.key for row in prepared.rows]
                        cursor.execute(_REPLAYED, (chunk.now, keys, prepared.replay_of))
                conn.commit()
            batch, fresh = _fresh(inserted)
            return Written(batch, fresh, {index: row[0] for index, c in ids.items() if (row := c.fetchone())})

    def _stage(self, conn: psycopg.Connection[Any], cursor: psycopg.Cursor[Any], lines: list[bytes]) -> None:
        if conn not in self._staged:
            cursor.execute(_STAGE)
            conn.commit()
            self._staged.add(conn)
        with cursor.copy(_COPY) as copy:
            copy.write(b"".join(lines))


def number_rows(chunk: Chunk) -> tuple[list[bytes], list[int]]:
    """The chunk's rows as numbered COPY lines, each key once; and how many doubles each delivery has.

    In a backfill a version of an entity comes once, too. The number of a row counts all rows, doubles included.
    """
    lines: list[bytes] = []
    doubles: list[int] = []
    seen: set[bytes] = set()
    versions = chunk.way == "backfill"
    n = 0
    for prepared in chunk.prepared:
        doubled = 0
        for key, version, _, line in prepared.rows:
            if key in seen or (versions and version in seen):
                doubled += 1
            else:
                seen.add(key)
                if version is not None:
                    seen.add(version)
                lines.append(b"%d%b" % (n, line))
            n += 1
        doubles.append(doubled)
    return lines, doubles


def _insert(conn: psycopg.Connection[Any], way: Way) -> psycopg.Cursor[Any]:
    statement = _INSERT_NEW_VERSIONS if way == "backfill" else _INSERT_ANY
    return conn.execute(statement, {"way": way}, binary=True)


def _fresh(inserted: psycopg.Cursor[Any] | None) -> tuple[int | None, frozenset[int]]:
    row = inserted.fetchone() if inserted is not None else None
    if row is None or not row[1]:
        return None, frozenset()
    return row[0], frozenset(row[1])


def _write_sides(cursor: psycopg.Cursor[Any], chunk: Chunk, doubles: Sequence[int]) -> None:
    """Decisions, vault rows, the counts of what is not staged, the cursor."""
    for decision, contract in chunk.decisions:
        cursor.execute(_DECISION, _decision_values(decision, contract))
    tokens: dict[str, VaultRow] = {}
    for prepared in chunk.prepared:
        tokens |= prepared.tokens
    if tokens:
        cursor.executemany(
            _VAULT, [(t.token, t.product, t.kind, t.key_id, t.nonce, t.ciphertext) for t in tokens.values()]
        )
    for values in _other_counts(chunk, doubles):
        cursor.execute(_OTHER_COUNTS, values)
    if chunk.cursor is not None:
        move = chunk.cursor
        cursor.execute(_CURSOR, (move.consumer, move.product, Jsonb(move.position)))


def _other_counts(chunk: Chunk, doubles: Sequence[int]) -> list[tuple[Any, ...]]:
    totals: dict[tuple[str, str, str, datetime], LandingCounts] = {}
    for prepared, doubled in zip(chunk.prepared, doubles, strict=True):
        counts = prepared.counts
        if doubled or counts.quarantined or counts.filtered:
            hour = prepared.received_at.replace(minute=0, second=0, microsecond=0)
            place = (prepared.product, prepared.connector, prepared.dataset, hour)
            totals[place] = totals.get(place, LandingCounts()) + counts + LandingCounts(duplicate=doubled)
    return [(*place, c.duplicate, c.quarantined, c.filtered) for place, c in totals.items()]


def _decision_values(decision: Decision, contract: Contract) -> tuple[Any, ...]:
    return (
        decision.id,
        decision.product,
        decision.event_type,
        decision.policy,
        decision.policy_digest,
        decision.contract,
        decision.contract_digest,
        decision.allowed,
        orjson.dumps(decision.plan(contract)).decode(),
    )


def _quarantine_values(sealed: Sealed, chunk: Chunk) -> dict[str, Any]:
    return {
        "product": sealed.product,
        "connector": sealed.connector,
        "account": sealed.account,
        "way": chunk.way,
        "digest": sealed.digest,
        "reason_code": sealed.reason_code,
        "reason": sealed.reason,
        "field": sealed.field,
        "key_id": sealed.key_id,
        "nonce": sealed.nonce,
        "payload": sealed.payload,
        "received_at": sealed.received_at,
        "now": chunk.now,
    }
