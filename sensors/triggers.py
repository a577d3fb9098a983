"""Events that trigger pipelines, coalesced: one window of the log per run, each event in exactly one window.

A window is a row, committed before its run is asked for. Whatever dies in between, the window is still there
as `requested` and is asked for again under the same run key, which Dagster answers with the same run. No
Dagster here.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg

from batuta.manifests.graph import CompiledGraph, matches

CHANNEL: Final = "batuta_landed"
"""Where the database tells of each batch that is committed."""
LISTENER_LOCK: Final = 0x6261_746C_6973_746E
"""Held by the listener: "batlistn"."""


@dataclass(frozen=True, slots=True, order=True)
class Trigger:
    """A pipeline that events start, for one product. Patterns are types, or prefixes with `.*`."""

    pipeline: str
    product: str
    patterns: tuple[str, ...]
    timezone: str
    sources: tuple[str, ...] = field(default=(), compare=False)
    """The datasets its gates let in, as in `shopify/orders`."""

    @property
    def name(self) -> str:
        """Pipeline and product, as one word."""
        return f"{self.pipeline}/{self.product}"


@dataclass(frozen=True, slots=True)
class Window:
    """The batches (after, up to] that one run takes, and when the last of them was committed."""

    digest: str
    pipeline: str
    product: str
    batch_after: int
    batch_to: int
    event_count: int
    committed_at: datetime
    requested_at: datetime

    def day(self, timezone: str) -> date:
        """The product's local date of the window's end: what the run's analyses are as of."""
        return self.committed_at.astimezone(ZoneInfo(timezone)).date()


def triggers(graph: CompiledGraph) -> tuple[Trigger, ...]:
    """Every pipeline and product that events start."""
    return tuple(
        Trigger(
            *(pipeline.name, product.name, pipeline.events, product.timezone),
            tuple("/".join(dep) for step in pipeline.steps if step.kind == "ingest" for dep in step.deps),
        )
        for pipeline in graph.pipelines
        if pipeline.events
        for name in pipeline.products
        if (product := graph.product(name)) is not None
    )


def concerned(
    conn: psycopg.Connection[Any], among: Iterable[Trigger], after: int, upto: int
) -> tuple[Trigger, ...]:
    """The triggers for which something landed in (after, upto]; one query however many products there are."""
    landed = conn.execute(
        "select distinct product, type from batuta.events where batch > %s and batch <= %s", (after, upto)
    ).fetchall()
    types: dict[str, set[str]] = {}
    for product, event_type in landed:
        types.setdefault(product, set()).add(event_type)
    return tuple(
        trigger
        for trigger in among
        if any(matches(p, t) for t in types.get(trigger.product, ()) for p in trigger.patterns)
    )


def claim(conn: psycopg.Connection[Any], trigger: Trigger, upto: int, now: datetime) -> Window | None:
    """Put what is new for a trigger into a window of its own, in one transaction; None where nothing is.

    New is what lies behind the pipeline's cursor, which the last successful run moved, and behind the last
    window. While a window is still `requested`, nothing is claimed. Of several that claim at once, one does.
    """
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"trigger:{trigger.name}",))
        base = _base(conn, trigger)
        if base is None or base >= upto:
            return None
        where = (trigger.product, base, upto, *_type_filter(trigger.patterns))
        count, keys = conn.execute(_MATCHING, where).fetchone() or (0, b"")
        if not count or keys is None:
            return None
        text = f"{trigger.pipeline}\0{trigger.product}\0{base}\0{upto}\0".encode()
        digest = hashlib.sha256(text + bytes(keys)).hexdigest()[:32]
        conn.execute(_ADD_WINDOW, (digest, trigger.pipeline, trigger.product, base, upto, count, now))
        conn.execute(_ADD_EVENTS, (digest, *where))
    return next((w for w in requested(conn) if w.digest == digest), None)


def requested(conn: psycopg.Connection[Any]) -> tuple[Window, ...]:
    """Windows whose run has not been seen yet."""
    return tuple(Window(*row) for row in conn.execute(_REQUESTED))


def mark_launched(conn: psycopg.Connection[Any], digest: str, run_id: str) -> None:
    """Record the run of a window; a retry of the run takes its place."""
    conn.execute(
        "update batuta.trigger_windows set state = 'launched', run_id = %s where digest = %s",
        (run_id, digest),
    )


def be_the_listener(conn: psycopg.Connection[Any]) -> bool:
    """Let it be known that a listener lives, as long as this connection does; False where another one does."""
    row = conn.execute("select pg_try_advisory_lock(%s)", (LISTENER_LOCK,)).fetchone()
    return bool(row and row[0])


def listener_lives(conn: psycopg.Connection[Any]) -> bool:
    """Whether a listener launches runs when events land."""
    with conn.transaction():
        row = conn.execute("select pg_try_advisory_xact_lock_shared(%s)", (LISTENER_LOCK,)).fetchone()
    return not (row and row[0])


def _base(conn: psycopg.Connection[Any], trigger: Trigger) -> int | None:
    row = conn.execute(_BASE, {"pipeline": trigger.pipeline, "product": trigger.product}).fetchone()
    return None if row is None or row[1] else int(row[0])


def _type_filter(patterns: tuple[str, ...]) -> tuple[list[str], list[str]]:
    exact = [p for p in patterns if not p.endswith(".*")]
    prefixes = [p[:-1].replace("_", r"\_") + "%" for p in patterns if p.endswith(".*")]
    return exact, prefixes


_BASE = """
select
    greatest(
        coalesce((
            select (position #>> '{}')::bigint from batuta.cursors
            where consumer = 'pipeline:' || %(pipeline)s and product = %(product)s
        ), 0),
        coalesce(max(batch_to), 0)
    ),
    coalesce(bool_or(state = 'requested'), false)
from batuta.trigger_windows
where pipeline = %(pipeline)s and product = %(product)s
"""

_WHERE = """
where product = %s and batch > %s and batch <= %s
    and (type = any(%s::text[]) or type like any(%s::text[]))
"""

_MATCHING = f"select count(*), string_agg(key, ''::bytea order by batch, key) from batuta.events {_WHERE}"

_ADD_WINDOW = """
insert into batuta.trigger_windows
    (digest, pipeline, product, batch_after, batch_to, event_count, state, requested_at)
values (%s, %s, %s, %s, %s, %s, 'requested', %s)
"""

_ADD_EVENTS = f"""
insert into batuta.trigger_events (digest, batch, product, source, id, type)
select %s, batch, product, source, id, type from batuta.events {_WHERE}
"""

_REQUESTED = """
select w.digest, w.pipeline, w.product, w.batch_after, w.batch_to, w.event_count,
    coalesce(b.committed_at, w.requested_at), w.requested_at
from batuta.trigger_windows as w
left join batuta.batches as b on b.batch = w.batch_to
where w.state = 'requested'
order by w.requested_at, w.digest
"""
