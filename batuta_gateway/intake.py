"""Group commit: what has arrived while the last transaction committed goes into the next one.

Requests are prepared as they come and wait for their commit; one thread with one connection commits. Alone,
a delivery waits for nobody; under load a transaction carries many. A delivery that a transaction chokes on
is retried by itself and, if it is to blame, quarantined, so that it harms no other. A database that does
not answer, or has no room, costs the sender a 503 and loses nothing: what was not acknowledged is sent
again.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import psycopg

from batuta.errors import BatutaError
from batuta.landing.land import Landing
from batuta.landing.model import Delivery, Outcome, Parse, Rejected, Way
from batuta.landing.prepare import Prepared
from batuta.landing.store import LandingFailed
from batuta.telemetry import get_logger
from batuta.warehouse.connection import Connection
from batuta_gateway.answers import unavailable

_log = get_logger(__name__)

Intent: TypeAlias = tuple[Delivery, Parse]

# SQLSTATE class of limits a single row can run into, such as the size of an index entry.
_LIMIT_EXCEEDED: Final = "54"
_STATEMENT_TIMEOUT: Final = "set statement_timeout = '30s'"
_LOOP_BYTES: Final = 65_536


class NotLanded(Exception):
    """The database took nothing; the message says why, without any data."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one delivery, and the rejection behind it if that is quarantine.

    `accepted`: it is safe on the bus, and lands later; what the log will say of it is not known yet.
    """

    outcome: Outcome
    rejection: Rejected | None
    accepted: bool = False


class WayIn(Protocol):
    """What requests hand their deliveries to: the database's intake, or the bus."""

    def start(self) -> None:
        """Begin; called in the loop that submits."""
        ...

    async def stop(self, seconds: float) -> None:
        """Finish what waits, for at most so long."""
        ...

    def renew(self, landing: Landing) -> None:
        """Prepare through this landing from now on."""
        ...

    async def land(self, intents: Sequence[Intent], *, way: Way, patience_s: float) -> list[Settled]:
        """Take deliveries and say what became of each, once that is safe."""
        ...


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """How much may wait for its commit, and how much one transaction carries."""

    waiting_deliveries: int = 5_000
    waiting_bytes: int = 256 * 1024 * 1024
    per_transaction: int = 500


@dataclass(slots=True)
class _Submission:
    """Deliveries of one request and the request's wait for them."""

    deliveries: Sequence[Delivery]
    prepared: Sequence[Prepared]
    way: Way
    size: int
    done: asyncio.Future[list[Settled]]


class Intake:
    """The one queue in front of landing. `start` and `stop` belong to the loop that submits."""

    def __init__(
        self, landing: Landing, connect: Callable[[], Connection], limits: IntakeLimits | None = None
    ) -> None:
        self._landing = landing
        self._connect = connect
        self._limits = limits or IntakeLimits()
        self._queue: queue.SimpleQueue[list[_Submission] | None] = queue.SimpleQueue()
        self._gathered: list[_Submission] = []
        self._waiting = 0
        self._waiting_bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None
        # A daemon thread: a database that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="intake", daemon=True)

    def renew(self, landing: Landing) -> None:
        """Prepare and commit through this landing from now on: contracts have changed."""
        self._landing = landing

    def start(self) -> None:
        """Begin to commit."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self, seconds: float) -> None:
        """Commit what waits, for at most so long, and end."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, seconds)

    async def land(self, intents: Sequence[Intent], *, way: Way, patience_s: float) -> list[Settled]:
        """Land deliveries and say what became of each, once that is committed.

        Raises:
            Refusal: 503, the database does not take them or not in time; sending again is safe.
        """
        size = sum(len(delivery.body) for delivery, _ in intents)
        if self._waiting >= self._limits.waiting_deliveries or (
            self._waiting and self._waiting_bytes + size > self._limits.waiting_bytes
        ):
            raise unavailable("the database does not keep up")
        if size <= _LOOP_BYTES:
            prepared = prepare_all(self._landing, intents)
        else:
            prepared = await asyncio.to_thread(prepare_all, self._landing, intents)
        submission = _Submission(
            [delivery for delivery, _ in intents],
            prepared,
            way,
            size,
            asyncio.get_running_loop().create_future(),
        )
        self._waiting += len(prepared)
        self._waiting_bytes += size
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._gathered.append(submission)
        try:
            async with asyncio.timeout(patience_s):
                return await submission.done
        except TimeoutError:
            raise unavailable("the database did not commit in time") from None
        except NotLanded as trouble:
            raise unavailable(str(trouble)) from None

    def _hand_over(self) -> None:
        """What came at one moment goes to the thread at once: waking it for each costs more than the handing."""
        gathered, self._gathered = self._gathered, []
        self._queue.put(gathered)

    def _work(self) -> None:
        while (waiting := self._queue.get()) is not None:
            waiting, ended = self._take(waiting)
            for taken in self._transactions(waiting):
                self._settle(taken, taken[0].way)
            if ended:
                break
        self._disconnect()

    def _take(self, waiting: list[_Submission]) -> tuple[list[_Submission], bool]:
        """All that waits; and whether the end was among it."""
        waiting = list(waiting)
        while True:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                return waiting, False
            if more is None:
                return waiting, True
            waiting += more

    def _transactions(self, waiting: list[_Submission]) -> Iterator[list[_Submission]]:
        """What is committed together: what came the same way, up to a transaction's worth."""
        for way in sorted({item.way for item in waiting}):
            taken: list[_Submission] = []
            count = 0
            for item in waiting:
                if item.way != way:
                    continue
                if taken and count + len(item.prepared) > self._limits.per_transaction:
                    yield taken
                    taken, count = [], 0
                taken.append(item)
                count += len(item.prepared)
            yield taken

    def _settle(self, submissions: Sequence[_Submission], way: Way) -> None:
        """Commit together, else one by one, and let the requests know."""
        results: list[list[Settled] | NotLanded]
        try:
            settled = iter(self._commit([one for item in submissions for one in item.prepared], way))
            results = [[next(settled) for _ in item.prepared] for item in submissions]
        except NotLanded as trouble:
            results = [trouble for _ in submissions]
        except Exception as error:  # noqa: BLE001 - one of them is to blame; find out which
            _log.warning("transaction taken apart", kind=_kind(error), deliveries=len(submissions))
            results = [self._settle_alone(item, way) for item in submissions]
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._resolve, submissions, results)

    def _settle_alone(self, submission: _Submission, way: Way) -> list[Settled] | NotLanded:
        settled: list[Settled] = []
        for delivery, prepared in zip(submission.deliveries, submission.prepared, strict=True):
            try:
                settled += self._commit_or_quarantine(delivery, prepared, way)
            except NotLanded as trouble:
                return trouble
        return settled

    def _commit_or_quarantine(self, delivery: Delivery, prepared: Prepared, way: Way) -> list[Settled]:
        try:
            return self._commit([prepared], way)
        except NotLanded:
            raise
        except Exception as error:  # noqa: BLE001 - this one is to blame
            _log.error("delivery not storable", connector=delivery.connector, kind=_kind(error))
            defect = _defect("storing", error)
        try:
            return self._commit([self._landing.refuse(delivery, defect)], way)
        except NotLanded:
            raise
        except Exception as error:
            raise NotLanded(f"storing it failed with {_kind(error)}") from error

    def _commit(self, prepared: Sequence[Prepared], way: Way) -> list[Settled]:
        """One transaction. A broken connection is opened anew once; what was committed is then duplicate.

        Raises:
            NotLanded: the server is the trouble. Anything else: one of the rows is.
        """
        for last in (False, True):
            try:
                outcomes = self._landing.commit(self._connected(), prepared, way=way)
            except LandingFailed as error:
                broken = self._connection is None or self._connection.closed
                self._recover()
                if not broken and _is_to_blame(error.__cause__):
                    raise
                _log.error("database in trouble", reason=error.message, kind=_kind(error), broken=broken)
                if last or not broken:
                    raise NotLanded("the database is in trouble") from error
            except (BatutaError, psycopg.Error) as error:
                self._disconnect()
                _log.error("database not usable", kind=_kind(error), reason=getattr(error, "message", None))
                raise NotLanded("the database cannot be used") from error
            except Exception:
                self._recover()
                raise
            else:
                return [
                    Settled(outcome, item.held.rejection if item.held else None)
                    for outcome, item in zip(outcomes, prepared, strict=True)
                ]
        raise AssertionError("unreachable")

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = self._connect()
            connection.execute(_STATEMENT_TIMEOUT)
            connection.commit()
            self._connection = connection
        return self._connection

    def _recover(self) -> None:
        """Leave no transaction open; without that, no connection."""
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except psycopg.Error:
            pass
        if self._connection.closed:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _resolve(
        self, submissions: Sequence[_Submission], results: Sequence[list[Settled] | NotLanded]
    ) -> None:
        for submission, result in zip(submissions, results, strict=True):
            self._waiting -= len(submission.prepared)
            self._waiting_bytes -= submission.size
            if submission.done.done():
                continue
            if isinstance(result, NotLanded):
                submission.done.set_exception(result)
            else:
                submission.done.set_result(result)


def prepare_all(landing: Landing, intents: Sequence[Intent]) -> list[Prepared]:
    """The deliveries, prepared; one that nobody understands is refused, and so kept."""
    return [_prepare(landing, delivery, parse) for delivery, parse in intents]


def _prepare(landing: Landing, delivery: Delivery, parse: Parse) -> Prepared:
    try:
        return landing.prepare(delivery, parse)
    except Exception as error:  # noqa: BLE001 - whatever a delivery does to us, it is kept and can be replayed
        _log.error("delivery not understood", connector=delivery.connector, kind=type(error).__name__)
        return landing.refuse(delivery, _defect("reading", error))


def _defect(doing: str, error: Exception) -> Rejected:
    return Rejected("defect", f"{doing} it failed with {_kind(error)}; replay it once that is mended")


def _kind(error: Exception) -> str:
    return type(error.__cause__ or error).__name__


def _is_to_blame(cause: BaseException | None) -> bool:
    """Whether a row can be the cause of this, rather than the server."""
    if isinstance(cause, psycopg.DataError | psycopg.IntegrityError):
        return True
    return isinstance(cause, psycopg.Error) and (cause.sqlstate or "").startswith(_LIMIT_EXCEEDED)
