"""What a landing transaction writes beside its rows: decisions, vault rows, counts, quarantine, and a page's sides.

The position, the known items, the wake-ups and the completeness of a page commit with its rows or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any, Final

import orjson
import psycopg
from psycopg.types.json import Jsonb

from batuta.contracts.contract import Contract
from batuta.landing.items import SealedMoves, write_moves
from batuta.landing.model import BusMove, CursorMove, LandingCounts, SourceCount, Way
from batuta.landing.prepare import NOTHING, Prepared
from batuta.landing.quarantine import Sealed
from batuta.policy.decision import Decision
from batuta.privacy.masking import VaultRow

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
# Not from where it was begun: another consumer has landed the partition meanwhile. NULL ends the transaction.
_BUS: Final = """
insert into batuta.bus_offsets as o (topic, partition, next_offset) values (%(topic)s, %(partition)s, %(next)s)
on conflict (topic, partition) do update
set next_offset = case when o.next_offset is not distinct from %(start)s::bigint then excluded.next_offset end
"""
_WAKE: Final = """
insert into batuta.wakeups (product, connector, account, at) values (%s, %s, %s, clock_timestamp())
on conflict (product, connector, account) do update set at = excluded.at
"""
# A transaction's setting in which the database keeps how many rows it took; the rest of them were there before.
LANDED: Final = "batuta.landed"
_COMPLETENESS: Final = """
insert into batuta.completeness (
    product, connector, account, window_start, window_end, way, counted, total, landed, duplicate, quarantined,
    filtered, committed_at
)
select
    %(product)s, %(connector)s, %(account)s, %(window_start)s, %(window_end)s, %(way)s, %(counted)s, %(total)s,
    taken.landed, %(rows)s - taken.landed, %(quarantined)s, %(filtered)s, clock_timestamp()
from (select {landed} as landed) as taken
"""
_COMPLETENESS_OF_ROWS: Final = _COMPLETENESS.format(landed=f"current_setting('{LANDED}')::integer")
_COMPLETENESS_OF_NONE: Final = _COMPLETENESS.format(landed="0")


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one transaction writes."""

    prepared: Sequence[Prepared]
    sealed: Mapping[int, Sealed]
    decisions: Iterable[tuple[Decision, Contract]]
    way: Way
    cursor: CursorMove | None
    now: datetime
    items: SealedMoves | None = None
    count: SourceCount | None = None
    bus: tuple[BusMove, ...] = ()


def write_sides(cursor: psycopg.Cursor[Any], chunk: Chunk, doubles: Sequence[int]) -> None:
    """Write what does not depend on which rows are new.

    Args:
        cursor: Of the transaction.
        chunk: What is landing.
        doubles: How many rows of each delivery repeat another of the chunk; empty where none does.
    """
    for decision, contract in chunk.decisions:
        cursor.execute(_DECISION, _decision_values(decision, contract))
    tokens: dict[str, VaultRow] = {}
    for prepared in chunk.prepared:
        if prepared.tokens:
            tokens |= prepared.tokens
    if tokens:
        cursor.executemany(
            _VAULT, [(t.token, t.product, t.kind, t.key_id, t.nonce, t.ciphertext) for t in tokens.values()]
        )
    for values in _other_counts(chunk, doubles):
        cursor.execute(_OTHER_COUNTS, values)
    for account in sorted({(p.product, p.connector, p.wakes) for p in chunk.prepared if p.wakes is not None}):
        cursor.execute(_WAKE, account)
    if chunk.cursor is not None:
        move = chunk.cursor
        cursor.execute(_CURSOR, (move.consumer, move.product, Jsonb(move.position)))
    for move in chunk.bus:
        values = {"topic": move.topic, "partition": move.partition, "start": move.start, "next": move.next}
        cursor.execute(_BUS, values)
    if chunk.items is not None:
        write_moves(cursor, chunk.items)


def write_quarantine(conn: psycopg.Connection[Any], chunk: Chunk) -> dict[int, psycopg.Cursor[Any]]:
    """Write what is held; for each delivery the answer, still on its way, with the row's id."""
    return {
        index: conn.execute(_QUARANTINE, _quarantine_values(sealed, chunk))
        for index, sealed in chunk.sealed.items()
    }


def write_after_rows(cursor: psycopg.Cursor[Any], chunk: Chunk, *, rows: bool) -> None:
    """Write what depends on which rows were new: replays that are done, and the completeness of a page."""
    for prepared in chunk.prepared:
        if prepared.replay_of is not None and prepared.held is None:
            keys = [row.key for row in prepared.rows]
            cursor.execute(_REPLAYED, (chunk.now, keys, prepared.replay_of))
    if chunk.count is not None:
        cursor.execute(
            _COMPLETENESS_OF_ROWS if rows else _COMPLETENESS_OF_NONE,
            _completeness_values(chunk, chunk.count),
        )


def _completeness_values(chunk: Chunk, count: SourceCount) -> dict[str, Any]:
    other = sum((prepared.counts for prepared in chunk.prepared), LandingCounts())
    return {
        "product": count.product,
        "connector": count.connector,
        "account": count.account,
        "window_start": count.window_start,
        "window_end": count.window_end,
        "way": chunk.way,
        "counted": count.counted,
        "total": count.total,
        "rows": sum(len(prepared.rows) for prepared in chunk.prepared),
        "quarantined": other.quarantined,
        "filtered": other.filtered,
    }


def _other_counts(chunk: Chunk, doubles: Sequence[int]) -> list[tuple[Any, ...]]:
    totals: dict[tuple[str, str, str, datetime], LandingCounts] = {}
    for prepared, doubled in zip(chunk.prepared, doubles or repeat(0, len(chunk.prepared)), strict=True):
        counts = prepared.counts
        if doubled or counts is not NOTHING:
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
