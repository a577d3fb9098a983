"""One poll, one stretch of a backfill, one audit of an account: page by page, each page one transaction.

The position moves with the rows it covers and with the known items, so that a crash anywhere costs a repetition and
never a gap. What goes wrong with one account becomes a sentence in its state and stops nothing else; only a database
that does not answer is an error to the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final

import psycopg

from batuta.errors import BatutaError
from batuta.keys import KeysMismatch
from batuta.landing.cursors import get_cursor, move_cursor
from batuta.landing.model import CursorMove, LandingCounts, PageSides, SourceCount, Way
from batuta.landing.reader import LoggedEvent, read
from batuta.landing.store import LandingFailed
from batuta.telemetry import get_logger
from batuta.warehouse.connection import Connection, DatabaseUnreachable
from sensors.connectors.pulling import (
    Account,
    Calls,
    Gone,
    OutOfTime,
    Page,
    Puller,
    RateLimited,
    Subscription,
    Tools,
    Window,
)
from sensors.pull.accounts import (
    BoundAccount,
    Key,
    begin_attempt,
    note_failure,
    note_gone,
    note_pause,
    note_success,
)
from sensors.pull.channels import record_channels
from sensors.pull.known import StoredKnown, moves_of
from sensors.pull.means import Means
from sensors.pull.pages import commit_page
from sensors.pull.positions import DONE, backfill_consumer, open_position, poll_consumer, seal_position

POLL_SECONDS: Final = 300

_log = get_logger(__name__)

Progress = Callable[[LandingCounts], None]


@dataclass(frozen=True, slots=True)
class Polled:
    """What came of a poll or a stretch of a backfill.

    Attributes:
        counts: Of all committed pages.
        pages: How many were committed.
        complete: Nothing more is there for now, or the window is done; else: go on from here.
        busy: Another process is at it; nothing was done.
        problem: What went wrong; the account's state has it too.
        notes: What the connector wants a person to know.
    """

    counts: LandingCounts = field(default_factory=LandingCounts)
    pages: int = 0
    complete: bool = False
    busy: bool = False
    problem: BatutaError | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Progressing:
    """What has been committed so far."""

    told: Progress | None
    counts: LandingCounts = field(default_factory=LandingCounts)
    pages: int = 0
    notes: list[str] = field(default_factory=list[str])

    def add(self, counts: LandingCounts, page: Page) -> None:
        self.counts += counts
        self.pages += 1
        if page.note is not None and page.note not in self.notes:
            self.notes.append(page.note)
        if self.told is not None:
            self.told(self.counts)

    def polled(self, *, complete: bool, problem: BatutaError | None = None) -> Polled:
        return Polled(self.counts, self.pages, complete, problem=problem, notes=tuple(self.notes))


def poll_account(
    bound: BoundAccount, means: Means, *, deadline: float, progress: Progress | None = None
) -> Polled:
    """Fetch what is new of an account until there is no more or the deadline comes.

    Args:
        bound: The account.
        means: What fetching works with.
        deadline: A time of `means.monotonic`.
        progress: Called after each committed page with the counts so far.

    Raises:
        LandingFailed, KeysMismatch, DatabaseUnreachable: the database takes nothing; the account's state is as it was.
    """
    consumer = poll_consumer(*bound.key[1:])
    with means.connect() as conn, _alone(conn, consumer, bound.key[0]) as alone:
        if not alone:
            return Polled(busy=True)
        begin_attempt(conn, bound, means.clock())
        done = _Progressing(progress)
        try:
            puller = means.puller_of(bound.key[1])
            tools = _tools(bound, means, conn, puller, deadline)
            position = _position(conn, means, consumer, bound.key[0])
            pages = puller.poll(bound.account, position, tools)
            _commit_pages(conn, means, pages, _Sink(bound.key, consumer, "poll"), done)
            complete = tools.time_left() > 0
        except Exception as error:  # noqa: BLE001 - of foreign answers; one account must not stop the others
            return done.polled(complete=False, problem=_note(conn, bound, means, error, done))
        now = means.clock()
        interval = timedelta(seconds=poll_seconds(bound, puller) if complete else 0)
        note_success(conn, bound, now, next_due_at=now + interval)
        return done.polled(complete=complete)


def backfill_account(
    bound: BoundAccount,
    window: Window,
    means: Means,
    *,
    deadline: float,
    progress: Progress | None = None,
) -> Polled:
    """Fetch what an account has of a window, from where the last call for the same window stopped.

    A window that is over and done stays done, and costs nothing to ask for again unless it is forgotten
    (`forget_backfill`). What is there already is left out by the second key. A rate limit pauses the account's polls
    too; any other problem is the caller's to show.

    Raises:
        LandingFailed, KeysMismatch, DatabaseUnreachable: as `poll_account`.
    """
    product, connector, _ = bound.key
    consumer = backfill_consumer(*bound.key[1:], window)
    with means.connect() as conn, _alone(conn, consumer, product) as alone:
        if not alone:
            return Polled(busy=True)
        done = _Progressing(progress)
        try:
            position = _position(conn, means, consumer, product)
            if position == DONE:
                return Polled(complete=True)
            puller = means.puller_of(connector)
            tools = _tools(bound, means, conn, puller, deadline)
            pages = puller.backfill(bound.account, window, position, tools)
            _commit_pages(conn, means, pages, _Sink(bound.key, consumer, "backfill", window), done)
            if tools.time_left() <= 0:
                return done.polled(complete=False)
        except RateLimited as error:
            note_pause(conn, bound, error.until, error.sentence)
            return done.polled(complete=False, problem=error)
        except OutOfTime as error:
            return done.polled(complete=False, problem=None if done.pages else error)
        except Exception as error:  # noqa: BLE001 - as in `poll_account`
            return done.polled(complete=False, problem=_sentence(error, bound))
        # A window that is still open will have more.
        ended = window.end <= means.clock()
        with conn.transaction():
            move_cursor(conn, consumer, DONE if ended else None, product)
        return done.polled(complete=True)


def poll_files(
    account: Account, calls: Calls | None, means: Means, *, progress: Progress | None = None
) -> Polled:
    """Poll an account that points at files from its start, against its known items; no position moves.

    Args:
        account: As `StateFiles.as_poll` gave it.
        calls: What answers its calls; None where it makes none.
        means: What fetching works with.
        progress: As in `poll_account`.

    Raises:
        SourceFailed: the files are not what they should be; what was committed stays.
        LandingFailed, KeysMismatch, DatabaseUnreachable: as `poll_account`.
    """
    key = account.product, account.connector, account.name or ""
    puller = means.puller_of(account.connector)
    with means.connect() as conn, _alone(conn, poll_consumer(*key[1:]), key[0]) as alone:
        if not alone:
            return Polled(busy=True)
        done = _Progressing(progress)
        tools = Tools(
            calls=calls or means.calls(math.inf, None),
            known=StoredKnown(conn, means.landing.keys, key),
            blobs=means.blobs,
            clock=means.clock,
            monotonic=means.monotonic,
            deadline=math.inf,
            keep_secret=lambda name, value: None,
        )
        _commit_pages(conn, means, puller.poll(account, None, tools), _Sink(key, None, "file"), done)
        return done.polled(complete=True)


def forget_backfill(bound: BoundAccount, window: Window, means: Means) -> None:
    """Let a window be fetched from its start again; nothing lands twice by it."""
    consumer = backfill_consumer(*bound.key[1:], window)
    with means.connect() as conn, conn.transaction():
        move_cursor(conn, consumer, None, bound.key[0])


def audit_account(
    bound: BoundAccount, means: Means, *, deadline: float
) -> tuple[tuple[Subscription, ...], BatutaError | None]:
    """Look at an account's push channels, mend what can be mended, and record how they stand.

    Returns:
        The channels, and the problem if they could not be looked at; then what was recorded before stays.

    Raises:
        DatabaseUnreachable: as `poll_account`.
    """
    with means.connect() as conn, _alone(conn, f"audit:{bound.key[1]}:{bound.key[2]}", bound.key[0]) as alone:
        if not alone:
            return (), None
        try:
            puller = means.puller_of(bound.key[1])
            tools = _tools(bound, means, conn, puller, deadline)
            found = puller.audit(bound.account, tools)
        except Exception as error:  # noqa: BLE001 - as in `poll_account`
            return (), _sentence(error, bound)
        with conn.transaction():
            record_channels(conn, bound.key, found, means.clock())
        return found, None


def poll_seconds(bound: BoundAccount, puller: Puller) -> int:
    """Seconds between two polls: the setting `pollSeconds`, else the connector's own `POLL_SECONDS`."""
    own = getattr(bound.account.settings, "poll_seconds", None)
    return int(own or getattr(puller, "POLL_SECONDS", POLL_SECONDS))


@dataclass(frozen=True, slots=True)
class _Sink:
    """Where pages go: whose they are, which position they move, how they came."""

    key: Key
    consumer: str | None
    way: Way
    window: Window | None = None

    def count(self, page: Page) -> SourceCount:
        return SourceCount(
            *self.key,
            window_start=self.window.start if self.window is not None else None,
            window_end=self.window.end if self.window is not None else None,
            counted=len(page.deliveries) if page.counted is None else page.counted,
            total=page.total,
        )


def _commit_pages(
    conn: Connection, means: Means, pages: Iterator[Page], sink: _Sink, done: _Progressing
) -> None:
    parse = means.parse_of(sink.key[1])
    for page in pages:
        sides = PageSides(
            cursor=_move(page, means, sink.consumer, sink.key[0]) if sink.consumer is not None else None,
            items=moves_of(page.items, sink.key),
            count=sink.count(page),
        )
        done.add(commit_page(means.landing, conn, page.deliveries, parse, sides, way=sink.way), page)


def _move(page: Page, means: Means, consumer: str, product: str) -> CursorMove:
    sealed = seal_position(page.position, means.landing.keys, consumer, product)
    return CursorMove(consumer, product, sealed)


def _position(conn: Connection, means: Means, consumer: str, product: str) -> Any:
    with conn.transaction():
        stored = get_cursor(conn, consumer, product)
    return open_position(stored, means.landing.keys, consumer, product)


def _tools(bound: BoundAccount, means: Means, conn: Connection, puller: Puller, deadline: float) -> Tools:
    return Tools(
        calls=means.calls(deadline, getattr(puller, "limits", None)),
        known=StoredKnown(conn, means.landing.keys, bound.key),
        blobs=means.blobs,
        clock=means.clock,
        monotonic=means.monotonic,
        deadline=deadline,
        keep_secret=bound.keep_secret,
        landed=partial(_landed, conn, bound.key[0], bound.key[1]),
    )


def _landed(
    conn: Connection, product: str, connector: str, after_batch: int, types: Sequence[str], limit: int
) -> list[LoggedEvent]:
    with conn.transaction():
        return read(conn, after_batch, product=product, connector=connector, types=types, limit=limit)


@contextmanager
def _alone(conn: Connection, consumer: str, product: str) -> Iterator[bool]:
    """Whether nobody else is at this consumer; two at once would move its position back and forth."""
    name = f"batuta {product} {consumer}"
    with conn.transaction():
        row = conn.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()
    alone = row is not None and bool(row[0])
    try:
        yield alone
    finally:
        # A broken connection has let go of it already.
        if alone:
            with suppress(psycopg.Error):
                conn.rollback()
                conn.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", (name,))
                conn.commit()


def _note(
    conn: Connection, bound: BoundAccount, means: Means, error: Exception, done: _Progressing
) -> BatutaError | None:
    """Put what went wrong into the account's state; None if that is nothing to worry about."""
    now = means.clock()
    if isinstance(error, OutOfTime) and done.pages:
        note_success(conn, bound, now, next_due_at=now)
        return None
    problem = _sentence(error, bound)
    if isinstance(error, RateLimited):
        note_pause(conn, bound, max(error.until, now), problem.sentence)
    elif isinstance(error, Gone):
        note_gone(conn, bound, now, problem.sentence)
    else:
        note_failure(conn, bound, now, problem.sentence)
    return problem


def _sentence(error: Exception, bound: BoundAccount) -> BatutaError:
    """What went wrong as a sentence; the database's troubles are the caller's and raised again.

    What a connector did not expect is told by its place in the code: its own words may hold what the vendor sent.
    """
    if isinstance(error, LandingFailed | KeysMismatch | DatabaseUnreachable | psycopg.Error):
        raise error
    if isinstance(error, BatutaError):
        return error
    frame = extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    product, connector, account = bound.key
    _log.error(
        "connector failed",
        product=product,
        connector=connector,
        account=account,
        error=type(error).__name__,
        at=place,
    )
    return BatutaError(
        f"the connector {connector} did not expect this answer ({type(error).__name__} at {place})",
        hint="That is a fault of BATUTA: report it with this line. The account is tried again later.",
    )
