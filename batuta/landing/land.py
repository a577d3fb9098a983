"""The one landing path: webhooks, polls, backfills, files, replays and the demo all end here.

`prepare` and `commit` are for a gateway that gathers deliveries and commits them together; `land` streams any number
of them in chunks, preparing the next chunk while the database works on the last one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.errors import (
    DeadlockDetected,
    DiskFull,
    InsufficientPrivilege,
    ReadOnlySqlTransaction,
    SerializationFailure,
)
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from batuta.contracts.applied import contracts_in_force
from batuta.contracts.contract import Contract, Contracts
from batuta.keys import KeyRing, bind_keys
from batuta.landing.items import seal_moves
from batuta.landing.model import (
    BusMove,
    CursorMove,
    Delivery,
    LandingCounts,
    Outcome,
    PageSides,
    Parse,
    Rejected,
    State,
    Way,
)
from batuta.landing.prepare import NOTHING, Preparation, Prepared
from batuta.landing.quarantine import QuarantineEntry, seal, unseal
from batuta.landing.sides import Chunk
from batuta.landing.store import LandingFailed, Writer, Written
from batuta.policy.decision import Decision, DefaultPolicy, Policy
from batuta.settings import Settings

CHUNK_DELIVERIES: Final = 2000
CHUNK_BYTES: Final = 8 * 1024 * 1024
_ATTEMPTS: Final = 6
# What is read from deliveries makes no cycles and is freed by its reference counts; more of it lives at one time than
# the collector of cycles waits for by default, and its passes find nothing.
_COLLECT_AFTER: Final = 50_000

Progress = Callable[[LandingCounts], None]
_Database = tuple[str, int, str]


class Landing:
    """Lands deliveries. One per process is enough; `prepare` and `commit` may be called from several threads."""

    def __init__(
        self, contracts: Contracts, policy: Policy, keys: KeyRing, clock: Callable[[], datetime]
    ) -> None:
        self.keys = keys
        self._clock = clock
        self._preparation = Preparation(contracts, policy, keys)
        self._writer = Writer()
        self._recorded: dict[_Database, set[bytes]] = {}

    @classmethod
    def open(cls, settings: Settings, clock: Callable[[], datetime]) -> Landing:
        """Landing with the contracts in force, the default policy and the keys of this installation.

        Raises:
            ContractError, KeysMissing, KeysMismatch: any of that is not usable.
        """
        return cls(contracts_in_force(settings.home), DefaultPolicy(), KeyRing.load(settings.home), clock)

    def prepare(self, delivery: Delivery, parse: Parse) -> Prepared:
        """Everything up to the database: parse, contract, policy, mask. Never raises for bad input."""
        return self._preparation.prepare(delivery, parse)

    @property
    def decisions(self) -> Mapping[bytes, tuple[Decision, Contract]]:
        """The decisions made here so far, by id, each with its contract."""
        return self._preparation.decisions

    def refuse(self, delivery: Delivery, rejection: Rejected) -> Prepared:
        """A delivery that goes to quarantine unread, for example for its signature."""
        return self._preparation.refuse(delivery, rejection)

    def commit(
        self,
        conn: psycopg.Connection[Any],
        prepared: Sequence[Prepared],
        *,
        way: Way,
        cursor: CursorMove | None = None,
        bus: tuple[BusMove, ...] = (),
    ) -> list[Outcome]:
        """Commit prepared deliveries in one transaction; what became of each.

        Args:
            conn: An idle connection that acts as writer, not in autocommit.
            prepared: At least one, or none with a cursor to move.
            way: How they came.
            cursor: A position to commit with them.
            bus: Places on the bus to commit with them; `LandingFailed` if another consumer has moved one of them.

        Raises:
            LandingFailed: the database did not take them; none of them landed, or the connection was lost while
                committing and all may have. To land them again is always safe.
            KeysMismatch: the database was filled with other master keys.
        """
        return _outcomes(*self._commit(conn, prepared, way=way, page=PageSides(cursor, None, None, bus)))

    def _commit(
        self,
        conn: psycopg.Connection[Any],
        prepared: Sequence[Prepared],
        *,
        way: Way,
        page: PageSides,
    ) -> tuple[Chunk, Written]:
        sealed = {
            index: seal(item.held.delivery, item.held.rejection, self.keys)
            for index, item in enumerate(prepared)
            if item.held is not None
        }
        items = seal_moves(page.items, self.keys) if page.items is not None else None
        try:
            recorded = self._bind(conn)
            known = self._preparation.decisions
            decisions = {identity: known[identity] for identity in known.keys() - recorded}
            chunk = Chunk(
                prepared,
                sealed,
                tuple(decisions.values()),
                way,
                page.cursor,
                self._clock(),
                items,
                page.count,
                page.bus,
            )
            written = self._write(conn, chunk)
        except psycopg.Error as error:
            raise _failure(error, conn) from error
        recorded.update(decisions)
        return chunk, written

    def commit_page(
        self,
        conn: psycopg.Connection[Any],
        deliveries: Sequence[Delivery],
        parse: Parse,
        page: PageSides,
        *,
        way: Way,
    ) -> LandingCounts:
        """Land what was fetched as one page in one transaction, with the position and all that belongs to it.

        The completeness row counts what this transaction did: landing a page again adds one that counts duplicates.

        Args:
            conn: An idle connection that acts as writer, not in autocommit.
            deliveries: What the page brought; may be none.
            parse: Reads them.
            page: What is committed with them.
            way: How they came.

        Raises:
            LandingFailed, KeysMismatch: as `commit`.
        """
        prepared = [self.prepare(delivery, parse) for delivery in deliveries]
        return _total(*self._commit(conn, prepared, way=way, page=page))

    def land(
        self,
        conn: psycopg.Connection[Any],
        deliveries: Iterable[Delivery],
        parse: Parse,
        *,
        way: Way,
        cursor: CursorMove | None = None,
        progress: Progress | None = None,
        chunk: int = CHUNK_DELIVERIES,
    ) -> LandingCounts:
        """Land a stream of deliveries; each chunk is one transaction, the cursor moves with the last one.

        Memory stays within a few chunks, whatever the stream's length. If it breaks off, what was committed stays,
        and landing the whole stream again adds exactly the rest.

        Raises:
            LandingFailed, KeysMismatch: as `commit`.
        """
        prepared = (self.prepare(delivery, parse) for delivery in deliveries)
        return self.land_prepared(conn, prepared, way=way, cursor=cursor, progress=progress, chunk=chunk)

    def land_prepared(
        self,
        conn: psycopg.Connection[Any],
        prepared: Iterable[Prepared],
        *,
        way: Way,
        cursor: CursorMove | None = None,
        progress: Progress | None = None,
        chunk: int = CHUNK_DELIVERIES,
    ) -> LandingCounts:
        """`land` for deliveries that are prepared as they come, some of them perhaps refused."""
        total = LandingCounts()

        def settle(pending: Future[tuple[Chunk, Written]]) -> None:
            nonlocal total
            total += _total(*pending.result())
            if progress is not None:
                progress(total)

        with (
            _seldom_collecting(),
            ThreadPoolExecutor(max_workers=1, thread_name_prefix="landing") as committer,
        ):
            pending: Future[tuple[Chunk, Written]] | None = None
            for batch, last in _chunks(prepared, chunk):
                if pending is not None:
                    settle(pending)
                sides = PageSides(cursor if last else None, None, None)
                pending = committer.submit(self._commit, conn, batch, way=way, page=sides)
            if pending is not None:
                settle(pending)
        return total

    def replay(
        self,
        conn: psycopg.Connection[Any],
        ids: Sequence[str],
        parse_for: Callable[[QuarantineEntry], Parse],
        *,
        progress: Progress | None = None,
    ) -> LandingCounts:
        """Take quarantined deliveries through today's code, with their time of receipt.

        Args:
            conn: An idle connection that acts as writer.
            ids: Rows of quarantine.
            parse_for: The parse function for a row; what was held for its signature must be verified by it.
            progress: Called after each delivery.

        Raises:
            NotInQuarantine, QuarantineUnreadable, LandingFailed
        """
        total = LandingCounts()
        for found, delivery in unseal(conn, list(ids), self.keys):
            prepared = self.prepare(delivery, parse_for(found))
            prepared.replay_of = found.id
            for outcome in self.commit(conn, [prepared], way="replay"):
                total += outcome.counts
            if progress is not None:
                progress(total)
        return total

    def _write(self, conn: psycopg.Connection[Any], chunk: Chunk) -> Written:
        retrying = Retrying(
            retry=retry_if_exception_type((DeadlockDetected, SerializationFailure)),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.02, max=1),
            reraise=True,
        )
        return retrying(self._writer.write, conn, chunk)

    def _bind(self, conn: psycopg.Connection[Any]) -> set[bytes]:
        """Hold the keys against the database, once; the decisions this process has recorded there."""
        database = (conn.info.host, conn.info.port, conn.info.dbname)
        if database not in self._recorded:
            with conn.transaction():
                bind_keys(conn, self.keys)
            self._recorded[database] = set()
        return self._recorded[database]


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Let the collector of cycles wait longer, unless it is off."""
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(before[0], _COLLECT_AFTER), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _chunks(prepared: Iterable[Prepared], most: int) -> Iterator[tuple[list[Prepared], bool]]:
    """Chunks by count and size, each with whether it is the last; one empty chunk for an empty stream."""
    current: list[Prepared] = []
    size = 0
    for item in prepared:
        if len(current) >= most or size >= CHUNK_BYTES:
            yield current, False
            current, size = [], 0
        current.append(item)
        for row in item.rows:
            size += len(row.data)
        if item.held is not None:
            size += len(item.held.delivery.body)
    yield current, True


def _total(chunk: Chunk, written: Written) -> LandingCounts:
    """What became of a chunk, without going through it delivery by delivery more than needed."""
    rows = sum(len(prepared.rows) for prepared in chunk.prepared)
    total = LandingCounts(landed=rows - len(written.known), duplicate=len(written.known))
    for prepared in chunk.prepared:
        if prepared.counts is not NOTHING:
            total += prepared.counts
    return total


def _outcomes(chunk: Chunk, written: Written) -> list[Outcome]:
    outcomes: list[Outcome] = []
    n = 0
    for index, prepared in enumerate(chunk.prepared):
        rows = len(prepared.rows)
        landed = sum(number not in written.known for number in range(n, n + rows))
        n += rows
        counts = prepared.counts + LandingCounts(landed=landed, duplicate=rows - landed)
        outcomes.append(
            Outcome(
                state=_state(counts),
                event_id=prepared.rows[0].event_id if prepared.rows else None,
                reason=prepared.held.rejection.message if prepared.held else None,
                quarantine_id=written.quarantine_ids.get(index),
                counts=counts,
            )
        )
    return outcomes


def _state(counts: LandingCounts) -> State:
    if counts.quarantined:
        return "quarantined"
    if counts.landed:
        return "landed"
    return "duplicate" if counts.duplicate else "filtered"


def _failure(error: psycopg.Error, conn: psycopg.Connection[Any]) -> LandingFailed:
    again = "What landed stays; land the same again to add the rest, nothing is doubled."
    if isinstance(error, DiskFull):
        return LandingFailed(
            "the database's disk is full; nothing of this chunk landed", hint=f"Free space. {again}"
        )
    if isinstance(error, InsufficientPrivilege | ReadOnlySqlTransaction):
        detail = error.diag.message_primary or type(error).__name__
        return LandingFailed(
            f"the database refuses to be written to: {detail}",
            hint="Connect with a login that may act as batuta_writer.",
        )
    if isinstance(error, psycopg.errors.UndefinedTable):
        return LandingFailed("the database has not BATUTA's tables, or old ones", hint="Run `batuta doctor`.")
    if conn.closed or isinstance(error, psycopg.OperationalError):
        return LandingFailed(
            "the connection to the database was lost while landing", hint=f"Start it again. {again}"
        )
    detail = error.diag.message_primary or type(error).__name__
    return LandingFailed(f"the database did not take the chunk: {detail}", hint=again)
