"""Letting go of what is older than the policies say, and planning it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import IsolationLevel, sql

from batuta.privacy.contents import Contents
from batuta.privacy.requests import take_up
from batuta.retention.chunks import Chunk, chunks_of_log, due, leaves, move, shares
from batuta.retention.contents import named, note, release, still_named
from batuta.retention.newest import is_newest_word, models_position
from batuta.retention.steps import Period, Reader, Step, record

LOCK_PATIENCE: Final = "2s"
QUARANTINE_POLICY: Final = "BATUTA_QUARANTINE_DAYS"
_LOG: Final = sql.SQL("batuta.events")


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
        for chunk in chunks_of_log(conn):
            policies = due(chunk, periods, now)
            if policies:
                found = shares(conn, chunk, policies, readers)
                leaving = [step.product for step in found if step.waits_for is None]
                going += named(conn, _LOG, leaves(conn, chunk, leaving))
                steps += found
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
        chunks = [chunk for chunk in chunks_of_log(conn) if due(chunk, periods, now)]
    for chunk in chunks:
        _tell(_carry_out_chunk(conn, chunk, due(chunk, periods, now), readers, clock), done, told)
    with _snapshot(conn):
        steps = _outdated(conn, delete=True)
        record(conn, steps, clock())
    _tell(steps, done, told)
    with _snapshot(conn):
        steps = _old_quarantine(conn, quarantine_days, now, empty=True)
        record(conn, steps, clock())
    _tell(steps, done, told)
    with conn.transaction():
        steps = [
            Step("contents", product, policy, None, None, noted, noted - deleted, deleted)
            for product, policy, noted, deleted in release(conn, store)
        ]
        record(conn, steps, clock())
    _tell(steps, done, told)
    return done


def _carry_out_chunk(
    conn: psycopg.Connection[Any],
    chunk: Chunk,
    policies: Mapping[str, str],
    readers: Sequence[Reader],
    clock: Callable[[], datetime],
) -> list[Step]:
    try:
        with _snapshot(conn, lock=chunk):
            steps = shares(conn, chunk, policies, readers)
            leaving = [step.product for step in steps if step.waits_for is None]
            note(conn, _LOG, leaves(conn, chunk, leaving), policies)
            move(conn, chunk, leaving)
            record(conn, steps, clock())
    except psycopg.errors.LockNotAvailable:
        waits_for = "a transaction that uses the chunk"
        return [
            Step("log", product, policy, chunk.chunk_from, chunk.chunk_to, 0, 0, 0, waits_for)
            for product, policy in policies.items()
        ]
    return steps


@contextmanager
def _snapshot(conn: psycopg.Connection[Any], lock: Chunk | None = None) -> Iterator[None]:
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


def _outdated(conn: psycopg.Connection[Any], *, delete: bool) -> list[Step]:
    """Kept events that a later event has overtaken: the log has a newer word on their entity."""
    read_to = models_position(conn)
    overtaken = sql.SQL("events.batch <= {} and not {}").format(sql.Literal(read_to), is_newest_word(conn))
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
