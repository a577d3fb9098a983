"""Group commit against a landing that can be told how to behave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import psycopg
import pytest

from batuta.landing.model import Delivery, LandingCounts, Outcome, Parsed, Rejected
from batuta.landing.prepare import Held, Prepared
from batuta.landing.store import LandingFailed
from batuta.warehouse.connection import DatabaseUnreachable
from batuta_gateway.answers import Refusal
from batuta_gateway.intake import Intake, IntakeLimits, Settled
from tests.support.vendor_deliveries import RECEIVED_AT


class Connection:
    """Stands for a connection; `closed` like that of one the server has cut."""

    def __init__(self) -> None:
        self.closed = False

    def execute(self, _: str) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None:
        self.closed = True


class Landing:
    """Stands for landing; keeps each transaction and fails as told, by the bodies it is given."""

    def __init__(
        self, fails: Callable[[list[bytes], Connection], Exception | None] = lambda *_: None
    ) -> None:
        self.transactions: list[list[bytes]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._fails = fails

    def prepare(self, delivery: Delivery, _: Any) -> Prepared:
        if delivery.body == b"confusing":
            raise RecursionError
        return self._prepared(delivery, None)

    def refuse(self, delivery: Delivery, rejection: Rejected) -> Prepared:
        return self._prepared(delivery, rejection)

    def commit(self, conn: Connection, prepared: Sequence[Prepared], *, way: str) -> list[Outcome]:
        self.gate.wait(10)
        bodies = [bytes(item.connector, "ascii") for item in prepared if item.held is None]
        error = self._fails(bodies, conn)
        if error is not None:
            raise error
        self.transactions.append(bodies)
        return [
            Outcome("quarantined" if item.held else "landed", item.connector, counts=LandingCounts())
            for item in prepared
        ]

    def _prepared(self, delivery: Delivery, rejection: Rejected | None) -> Prepared:
        held = Held(delivery, rejection) if rejection else None
        return Prepared(delivery.body.decode(), "p", "d", RECEIVED_AT, [], {}, LandingCounts(), held)


def failed(cause: psycopg.Error) -> LandingFailed:
    error = LandingFailed("the database did not take it")
    error.__cause__ = cause
    return error


def nothing(_: Delivery) -> Parsed:
    return Parsed((), "d")


def intent(body: bytes) -> Any:
    return Delivery("p", "c", None, {}, body, RECEIVED_AT), nothing


def with_intake(
    landing: Landing,
    use: Callable[[Intake], Any],
    *,
    connect: Callable[[], Connection] = Connection,
    limits: IntakeLimits | None = None,
) -> Any:
    async def run() -> Any:
        intake = Intake(cast("Any", landing), cast("Any", connect), limits)
        intake.start()
        try:
            return await use(intake)
        finally:
            landing.gate.set()
            await intake.stop(5)

    return asyncio.run(run())


def land(intake: Intake, *bodies: bytes, patience_s: float = 5.0, way: Any = "webhook") -> Any:
    return intake.land([intent(body) for body in bodies], way=way, patience_s=patience_s)


def states(settled: list[Settled]) -> list[str]:
    return [one.outcome.state for one in settled]


def refusal_of(landing: Landing, **options: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        with_intake(landing, lambda intake: land(intake, b"a"), **options)
    return caught.value


def test_what_arrives_during_a_commit_shares_the_next_one():
    landing = Landing()

    async def use(intake: Intake) -> None:
        landing.gate.clear()
        waits = [asyncio.ensure_future(land(intake, b"%d" % n)) for n in range(20)]
        await asyncio.sleep(0.1)
        landing.gate.set()
        await asyncio.gather(*waits)

    with_intake(landing, use)
    assert len(landing.transactions) <= 2
    assert sorted(body for bodies in landing.transactions for body in bodies) == sorted(
        b"%d" % n for n in range(20)
    )


def test_ways_are_committed_apart_and_large_crowds_in_turns():
    landing = Landing()

    async def use(intake: Intake) -> None:
        landing.gate.clear()
        waits = [asyncio.ensure_future(land(intake, b"w", way="webhook")) for _ in range(5)]
        waits += [asyncio.ensure_future(land(intake, b"p", way="post")) for _ in range(5)]
        await asyncio.sleep(0.1)
        landing.gate.set()
        await asyncio.gather(*waits)

    with_intake(landing, use, limits=IntakeLimits(per_transaction=4))
    assert all(len(set(bodies)) == 1 and len(bodies) <= 4 for bodies in landing.transactions)
    assert sum(len(bodies) for bodies in landing.transactions) == 10


@pytest.mark.parametrize(
    "cause",
    [
        psycopg.errors.UntranslatableCharacter(),
        psycopg.errors.UniqueViolation(),
        psycopg.errors.ProgramLimitExceeded(),
    ],
)
def test_a_delivery_that_chokes_the_transaction_is_quarantined_and_the_others_land(cause: psycopg.Error):
    landing = Landing(lambda bodies, _: failed(cause) if b"bad" in bodies else None)
    settled = with_intake(landing, lambda intake: land(intake, b"a", b"bad", b"b"))
    assert states(settled) == ["landed", "quarantined", "landed"]
    assert settled[1].rejection.code == "defect"


def test_a_delivery_that_confuses_the_parser_is_quarantined():
    assert states(with_intake(Landing(), lambda intake: land(intake, b"confusing"))) == ["quarantined"]


def test_a_cut_connection_is_opened_anew_once():
    connections: list[Connection] = []

    def connect() -> Connection:
        connections.append(Connection())
        return connections[-1]

    def fails(_: list[bytes], conn: Connection) -> Exception | None:
        if conn is connections[0]:
            conn.close()
            return failed(psycopg.OperationalError())
        return None

    assert states(with_intake(Landing(fails), lambda intake: land(intake, b"a"), connect=connect)) == [
        "landed"
    ]
    assert len(connections) == 2


@pytest.mark.parametrize(
    "error",
    [
        failed(psycopg.errors.DiskFull()),
        failed(psycopg.errors.QueryCanceled()),
        failed(psycopg.errors.ReadOnlySqlTransaction()),
        failed(psycopg.errors.UndefinedTable()),
        DatabaseUnreachable("no answer"),
    ],
)
def test_trouble_of_the_server_is_a_503_and_nobody_is_quarantined(error: Exception):
    landing = Landing(lambda *_: error)
    refused = refusal_of(landing)
    assert (refused.status, "Retry-After" in refused.headers) == (503, True)
    assert landing.transactions == []


def test_a_server_that_cannot_be_reached_is_a_503():
    def connect() -> Connection:
        raise DatabaseUnreachable("no answer")

    assert refusal_of(Landing(), connect=connect).status == 503


def test_whoever_waits_too_long_is_told_so_and_what_was_sent_is_still_committed():
    landing = Landing()

    async def use(intake: Intake) -> None:
        landing.gate.clear()
        with pytest.raises(Refusal, match="in time"):
            await land(intake, b"late", patience_s=0.05)

    with_intake(landing, use)
    assert landing.transactions == [[b"late"]]


@pytest.mark.parametrize("limits", [IntakeLimits(waiting_deliveries=2), IntakeLimits(waiting_bytes=2)])
def test_a_full_queue_refuses_at_once(limits: IntakeLimits):
    landing = Landing()

    async def use(intake: Intake) -> None:
        landing.gate.clear()
        waits = [asyncio.ensure_future(land(intake, b"a")) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(Refusal, match="keep up"):
            await land(intake, b"b")
        landing.gate.set()
        await asyncio.gather(*waits)
        await land(intake, b"c")

    with_intake(landing, use, limits=limits)


def test_stopping_commits_what_waits():
    landing = Landing()

    async def use(intake: Intake) -> list[asyncio.Future[Any]]:
        landing.gate.clear()
        waits = [asyncio.ensure_future(land(intake, b"%d" % n)) for n in range(3)]
        await asyncio.sleep(0.05)
        landing.gate.set()
        await intake.stop(5)
        assert states((await asyncio.gather(*waits))[2]) == ["landed"]
        return waits

    with_intake(landing, use)
    assert sorted(body for bodies in landing.transactions for body in bodies) == [b"0", b"1", b"2"]
