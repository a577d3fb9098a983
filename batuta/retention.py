"""Retention of the log: events older than their product's policy go, how every entity stands stays.

Chunk by chunk, the oldest first, each in one transaction: events that are the newest word on an entity move to
`batuta.kept_events`, the others go. So a full rebuild of the models, which read log and kept events as one
(`batuta.history`), gives the same values before and after. What a reader has still to read stays, and so does what
belongs to another product. The inbox is left alone: an event lands once, ever. Attachments and media go with the last
event that names them (`retention_contents.py`).

A chunk goes when all of it is older than the policy says, so an event stays up to a chunk's length (7 days) longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.rows import class_row

from batuta.errors import BatutaError
from batuta.manifests.graph import CompiledGraph
from batuta.policy.retention import days_kept, retention_policy
from batuta.privacy.contents import Contents
from batuta.privacy.requests import take_up
from batuta.retention_contents import named, note, release, still_named

Place: TypeAlias = Literal["log", "kept_events", "quarantine", "contents"]
MODELS: Final = "the dbt models"
LOCK_PATIENCE: Final = "2s"
_LOG: Final = sql.SQL("batuta.events")
QUARANTINE_POLICY: Final = "BATUTA_QUARANTINE_DAYS"


class RetentionBlocked(BatutaError):
    """What the models rest on cannot be told, so nothing may go."""


@dataclass(frozen=True, slots=True)
class Period:
    """How long one product's events stay, by the policy of that name."""

    product: str
    policy: str

    def cutoff(self, now: datetime) -> datetime:
        """What was received before this moment may go."""
        return now - timedelta(days=days_kept(self.policy))


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of the log that remembers a batch number, under this name in `batuta.cursors`."""

    consumer: str
    product: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one product's share of a chunk, of the kept events, of quarantine or of their contents comes to.

    Attributes:
        place: Where the rows were.
        product: Whose they are.
        policy: Why they go.
        chunk_from: Start of the chunk, by `received_at`; None for other places.
        chunk_to: Its end, not included.
        found: Rows there are.
        kept: Rows that stay: from the log they move to `batuta.kept_events`.
        removed: Rows that go; of quarantine, those whose content goes.
        waits_for: Why nothing is done this time; None where it is, or was, done.
    """

    place: Place
    product: str
    policy: str
    chunk_from: datetime | None
    chunk_to: datetime | None
    found: int
    kept: int
    removed: int
    waits_for: str | None = None


@dataclass(frozen=True, slots=True)
class _Chunk:
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


def periods_of(graph: CompiledGraph) -> tuple[Period, ...]:
    """The products whose policies name a retention; the events of all others are kept for good."""
    named = ((product.name, retention_policy(product.policies)) for product in graph.products)
    return tuple(Period(product, policy) for product, policy in named if policy is not None)


def readers_of(graph: CompiledGraph, embedder: str) -> tuple[Reader, ...]:
    """The readers that the manifests in force give work to.

    Args:
        graph: The compiled manifests.
        embedder: The consumer name of `vector.embed`.
    """
    found: dict[Reader, None] = {}
    for pipeline in graph.pipelines:
        for product in pipeline.products:
            found[Reader(f"pipeline:{pipeline.name}", product)] = None
            if any(step.kind == "vector" for step in pipeline.steps):
                found[Reader(embedder, product)] = None
    return tuple(found)


def plan(
    conn: psycopg.Connection[Any],
    periods: Sequence[Period],
    readers: Sequence[Reader],
    quarantine_days: int,
    now: datetime,
) -> list[Step]:
    """What `carry_out` would do now, without doing it (role: owner).

    Raises:
        RetentionBlocked: a model reads the log and does not say which events it rests on.
    """
    steps: list[Step] = []
    going = Counter[tuple[str, str]]()
    with _snapshot(conn):
        for chunk in _chunks(conn):
            due = _due(chunk, periods, now)
            if due:
                shares = _shares(conn, chunk, due, readers)
                leaving = [step.product for step in shares if step.waits_for is None]
                going += named(conn, _LOG, _leaves(conn, chunk, leaving))
                steps += shares
        steps += _outdated(conn, delete=False)
        steps += _old_quarantine(conn, quarantine_days, now, empty=False)
        steps += _going_contents(conn, going, {period.product: period.policy for period in periods})
    return steps


def _going_contents(
    conn: psycopg.Connection[Any], going: Counter[tuple[str, str]], policies: Mapping[str, str]
) -> list[Step]:
    """The contents that so many events that go name, and how many of them no other event names."""
    in_use = still_named(conn, {product for product, _ in going}) if going else going
    found = Counter(product for product, _ in going)
    last = Counter(
        product for (product, digest), events in going.items() if in_use[product, digest] == events
    )
    return [
        Step("contents", product, policies[product], None, None, count, count - last[product], last[product])
        for product, count in sorted(found.items())
    ]


def carry_out(
    conn: psycopg.Connection[Any],
    periods: Sequence[Period],
    readers: Sequence[Reader],
    quarantine_days: int,
    clock: Callable[[], datetime],
    store: Contents,
    told: Callable[[Step], None] = lambda _: None,
) -> list[Step]:
    """Let go of what is older than the policies say; every step, also those that wait (role: owner).

    One transaction per chunk, then one each for kept events, quarantine and contents. Killed anywhere, it is as if the
    step that was under way had not begun, and the next call goes on.

    Args:
        conn: An idle connection that acts as owner, not in autocommit. No refresh of the models may run beside it.
        periods: How long each product's events stay.
        readers: Whose positions are waited for; one without a position has nothing to lose.
        quarantine_days: After how many days what lies in quarantine loses its content.
        clock: Aware UTC time.
        store: Keeps attachments and media.
        told: Hears of each step when it is committed.

    Raises:
        RetentionBlocked: a model reads the log and does not say which events it rests on.
        BlobStoreFailed: the blob store does not answer; everything else is done, and contents go the next time.
    """
    take_up(conn)
    conn.commit()
    now = clock()
    done: list[Step] = []
    with _snapshot(conn):
        chunks = [chunk for chunk in _chunks(conn) if _due(chunk, periods, now)]
    for chunk in chunks:
        _tell(_carry_out_chunk(conn, chunk, _due(chunk, periods, now), readers, clock), done, told)
    with _snapshot(conn):
        steps = _outdated(conn, delete=True)
        _record(conn, steps, clock())
    _tell(steps, done, told)
    with _snapshot(conn):
        steps = _old_quarantine(conn, quarantine_days, now, empty=True)
        _record(conn, steps, clock())
    _tell(steps, done, told)
    with conn.transaction():
        steps = [
            Step("contents", product, policy, None, None, noted, noted - deleted, deleted)
            for product, policy, noted, deleted in release(conn, store)
        ]
        _record(conn, steps, clock())
    _tell(steps, done, told)
    return done


def _carry_out_chunk(
    conn: psycopg.Connection[Any],
    chunk: _Chunk,
    due: Mapping[str, str],
    readers: Sequence[Reader],
    clock: Callable[[], datetime],
) -> list[Step]:
    try:
        with _snapshot(conn, lock=chunk):
            steps = _shares(conn, chunk, due, readers)
            leaving = [step.product for step in steps if step.waits_for is None]
            note(conn, _LOG, _leaves(conn, chunk, leaving), due)
            _move(conn, chunk, leaving)
            _record(conn, steps, clock())
    except psycopg.errors.LockNotAvailable:
        waits_for = "a transaction that uses the chunk"
        return [
            Step("log", product, policy, chunk.chunk_from, chunk.chunk_to, 0, 0, 0, waits_for)
            for product, policy in due.items()
        ]
    return steps


@contextmanager
def _snapshot(conn: psycopg.Connection[Any], lock: _Chunk | None = None) -> Iterator[None]:
    """A transaction that sees one state of the database, and holds off all who would write to a chunk."""
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with conn.transaction():
            if lock is not None:
                # Everybody who reads the log would queue behind a drop that waits: it waits a moment only.
                conn.execute(f"set local lock_timeout = '{LOCK_PATIENCE}'")
                # Before the first look: what is being written there now is waited for and then seen.
                chunk = sql.Identifier("_timescaledb_internal", lock.name)
                conn.execute(sql.SQL("lock table {} in share row exclusive mode").format(chunk))
            yield
    finally:
        conn.isolation_level = None


def _tell(steps: Iterable[Step], done: list[Step], told: Callable[[Step], None]) -> None:
    for step in steps:
        done.append(step)
        told(step)


def _chunks(conn: psycopg.Connection[Any]) -> list[_Chunk]:
    """The log's chunks, the oldest first."""
    with conn.cursor(row_factory=class_row(_Chunk)) as cursor:
        return cursor.execute(
            """
            select chunk_name as name, range_start as chunk_from, range_end as chunk_to
            from timescaledb_information.chunks
            where hypertable_schema = 'batuta' and hypertable_name = 'events' order by range_start
            """
        ).fetchall()


def _due(chunk: _Chunk, periods: Sequence[Period], now: datetime) -> dict[str, str]:
    """The products for which all of a chunk is old enough, with the policy that says so."""
    return {period.product: period.policy for period in periods if chunk.chunk_to <= period.cutoff(now)}


def _shares(
    conn: psycopg.Connection[Any], chunk: _Chunk, due: Mapping[str, str], readers: Sequence[Reader]
) -> list[Step]:
    """What is to be done with each product's part of a chunk."""
    positions = _positions(conn, readers, list(due))
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
        where
            events.received_at >= %(from)s and events.received_at < %(to)s and events.product = any(%(products)s)
        group by events.product order by events.product
        """
    ).format(newest=_is_newest_word(conn))
    with conn.cursor(row_factory=class_row(_Share)) as cursor:
        shares = cursor.execute(query, _range(chunk, list(due))).fetchall()
    return [
        Step(
            "log",
            share.product,
            due[share.product],
            chunk.chunk_from,
            chunk.chunk_to,
            share.found,
            share.kept,
            share.found - share.kept,
            _waits_for(share, positions),
        )
        for share in shares
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
    models = _models_position(conn)
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


def _models_position(conn: psycopg.Connection[Any]) -> int:
    """The last batch that every model has read; 0 before the first refresh."""
    if not _model_names(conn):
        return 0
    row = conn.execute("select min(read_to) from batuta_intermediate.int_log_position").fetchone()
    return int(row[0] or 0) if row else 0


def _model_names(conn: psycopg.Connection[Any]) -> list[str]:
    """The models that fold the log into entities, as dbt lists them; none before they are built."""
    told = conn.execute(
        "select from pg_attribute "
        "where attrelid = to_regclass('batuta_intermediate.int_log_position') and attname = 'folds_log'"
    ).fetchone()
    if told is None:
        return []
    rows = conn.execute(
        "select model from batuta_intermediate.int_log_position where folds_log order by model"
    )
    return [model for (model,) in rows]


def _is_newest_word(conn: psycopg.Connection[Any]) -> sql.Composable:
    """The condition that a row `events` is what a model, or the embedded texts, hold of an entity.

    Raises:
        RetentionBlocked: a model does not say which event a row of it is.
    """
    models = _model_names(conn)
    rows = conn.execute(
        """
        select relname from pg_attribute
        join pg_class on pg_class.oid = attrelid
        where
            relnamespace = to_regnamespace('batuta_intermediate') and relname = any(%s)
            and attname in ('product', 'event_source', 'event_id') and not attisdropped
        group by relname having count(*) = 3
        """,
        (models,),
    )
    telling = {name for (name,) in rows}
    silent = sorted(set(models) - telling)
    if silent:
        raise RetentionBlocked(
            f"batuta_intermediate.{silent[0]} reads the log but has no columns product, event_source and event_id: "
            "what it rests on cannot be kept",
            hint="Build the models (`refresh_marts`), or give the model those columns.",
        )
    of_models = [
        sql.SQL(
            "exists (select from batuta_intermediate.{} as state where state.product = events.product "
            "and state.event_source = events.source and state.event_id = events.id)"
        ).format(sql.Identifier(model))
        for model in models
    ]
    of_texts = sql.SQL(
        "exists (select from batuta.documents as texts where not texts.removed and texts.product = events.product "
        "and texts.source = events.source and texts.event_id = events.id)"
    )
    return sql.SQL("({})").format(sql.SQL(" or ").join([*of_models, of_texts]))


def _move(conn: psycopg.Connection[Any], chunk: _Chunk, products: Sequence[str]) -> None:
    """Keep the newest words of these products' events in a chunk, and let the chunk, or their part of it, go."""
    if products:
        _keep(conn, chunk, products)
    others = conn.execute(
        "select exists (select from batuta.events where received_at >= %(from)s and received_at < %(to)s "
        "and product <> all(%(products)s))",
        _range(chunk, products),
    ).fetchone()
    if others is None or others[0]:
        if products:
            conn.execute(
                "delete from batuta.events "
                "where received_at >= %(from)s and received_at < %(to)s and product = any(%(products)s)",
                _range(chunk, products),
            )
        return
    conn.execute(
        "select drop_chunks('batuta.events', older_than => %(to)s::timestamptz, newer_than => %(from)s::timestamptz)",
        _range(chunk, products),
    )


def _keep(conn: psycopg.Connection[Any], chunk: _Chunk, products: Sequence[str]) -> None:
    statement = sql.SQL(
        """
        insert into batuta.kept_events
        select events.* from batuta.events
        where
            events.received_at >= %(from)s and events.received_at < %(to)s and events.product = any(%(products)s)
            and {}
        """
    ).format(_is_newest_word(conn))
    conn.execute(statement, _range(chunk, products))


def _leaves(conn: psycopg.Connection[Any], chunk: _Chunk, products: Sequence[str]) -> sql.Composable:
    """The condition that an event of these products, in a chunk, is not kept."""
    return sql.SQL(
        "events.received_at >= {} and events.received_at < {} and events.product = any({}) and not {}"
    ).format(chunk.chunk_from, chunk.chunk_to, sql.Literal(list(products)), _is_newest_word(conn))


def _outdated(conn: psycopg.Connection[Any], *, delete: bool) -> list[Step]:
    """Kept events that a later event has overtaken: the log has a newer word on their entity."""
    read_to = _models_position(conn)
    overtaken = sql.SQL("events.batch <= {} and not {}").format(sql.Literal(read_to), _is_newest_word(conn))
    rows = conn.execute(
        sql.SQL(
            "select events.product, count(*), count(*) filter (where {}) from batuta.kept_events as events "
            "group by events.product order by events.product"
        ).format(overtaken)
    ).fetchall()
    if delete:
        note(conn, sql.SQL("batuta.kept_events"), overtaken, {}, otherwise="overtaken")
        conn.execute(sql.SQL("delete from batuta.kept_events as events where {}").format(overtaken))
    return [
        Step("kept_events", product, "overtaken", None, None, found, found - gone, gone)
        for product, found, gone in rows
        if gone
    ]


def _old_quarantine(conn: psycopg.Connection[Any], days: int, now: datetime, *, empty: bool) -> list[Step]:
    """Deliveries that have lain in quarantine too long lose their content; reason and times stay, as proof."""
    given = {"before": now - timedelta(days=days)}
    rows = conn.execute(
        """
        select product, count(*), count(*) filter (where last_attempt_at < %(before)s)
        from batuta.quarantine where payload <> '' group by product order by product
        """,
        given,
    ).fetchall()
    if empty:
        conn.execute(
            """
            update batuta.quarantine
            set payload = '', state = case state when 'replayed' then state else 'discarded' end
            where payload <> '' and last_attempt_at < %(before)s
            """,
            given,
        )
    return [
        Step("quarantine", product, f"{QUARANTINE_POLICY}={days}", None, None, found, found - old, old)
        for product, found, old in rows
        if old
    ]


def _record(conn: psycopg.Connection[Any], steps: Iterable[Step], at: datetime) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into batuta.retention_steps
                (place, product, policy, chunk_from, chunk_to, rows_found, rows_kept, rows_removed, done_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (s.place, s.product, s.policy, s.chunk_from, s.chunk_to, s.found, s.kept, s.removed, at)
                for s in steps
                if s.waits_for is None
            ],
        )


def _range(chunk: _Chunk, products: Sequence[str]) -> dict[str, Any]:
    return {"from": chunk.chunk_from, "to": chunk.chunk_to, "products": list(products)}
