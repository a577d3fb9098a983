"""Landing what comes over the bus: rows and the place on the bus commit in one transaction.

The database says where a partition goes on, never the broker: after whatever end, a message is landed exactly once.
A consumer that lost a partition without knowing cannot move it any more. A message that cannot be read, or that the
database refuses, goes to quarantine, and consumption goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Final

import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as Received
from psycopg.errors import NotNullViolation
from psycopg.types.json import Jsonb

from batuta.bus import message as bus
from batuta.bus.address import BusAddress
from batuta.bus.brokers import BrokerWatch
from batuta.errors import BatutaError
from batuta.landing.land import Landing
from batuta.landing.model import BusMove, Parse, Rejected, Way
from batuta.landing.prepare import Prepared
from batuta.landing.store import LandingFailed
from batuta.telemetry import get_logger
from batuta.warehouse.connection import Connection

_log = get_logger(__name__)

BATCH: Final = 500
WAIT_SECONDS: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0
SESSION_SECONDS = 10
UNBOUND: Final = "(bus)"
"""Stands for the product of what strangers write to a topic that is nobody's."""
_CONNECTOR: Final = "events"
_RECORD: Final = """
insert into batuta.decisions (
    id, product, event_type, policy, policy_digest, contract, contract_digest, allowed, plan, decided_at
) values (
    decode(%(id)s, 'hex'), %(product)s, %(event_type)s, %(policy)s, %(policy_digest)s, %(contract)s,
    %(contract_digest)s, %(allowed)s, %(plan)s, clock_timestamp()
) on conflict do nothing
"""


class Overtaken(Exception):
    """Another consumer has landed a partition further than this one believes it to be."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """One message, ready to be landed, or to be recorded only."""

    partition: int
    offset: int
    way: Way
    received: Received
    prepared: Prepared | None = None
    decision: dict[str, Any] | None = None


class BusConsumer:
    """One member of the landing group. `run` it in the thread that made it."""

    def __init__(
        self,
        address: BusAddress,
        landing: Callable[[], Landing],
        connect: Callable[[], Connection],
        parse: Parse,
        clock: Callable[[], datetime],
    ) -> None:
        """Make a consumer; it joins its group when it runs.

        Args:
            address: The topic.
            landing: Gives the landing in force, asked before each batch.
            connect: Gives a connection that acts as writer.
            parse: Reads what strangers write.
            clock: When a stranger's message is received.
        """
        self._address = address
        self._in_force = landing
        self._landing = landing()
        self._connect = connect
        self._parse = parse
        self._clock = clock
        self._connection: Connection | None = None
        self._next: dict[int, int | None] = {}
        self._ours: list[TopicPartition] = []
        self._unplaced: list[TopicPartition] = []
        self._generation = 0
        self._consumer = Consumer(
            {
                **address.connection(),
                "group.id": address.group,
                "client.id": "batuta-landing",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.message.max.bytes": 8 * 1024 * 1024,
                "session.timeout.ms": SESSION_SECONDS * 1000,
                "heartbeat.interval.ms": SESSION_SECONDS * 1000 // 10,
                "allow.auto.create.topics": True,
                "topic.metadata.refresh.interval.ms": 5_000,
                **BrokerWatch(address).settings(),
            }
        )

    def run(self, stop: threading.Event) -> None:
        """Land until told to stop; what is not committed then is landed by whoever comes next."""
        self._consumer.subscribe(
            [self._address.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        try:
            while not stop.is_set():
                if self._unplaced and not self._place():
                    self._idle(WAIT_SECONDS)
                    continue
                generation = self._generation
                received = self._consumer.consume(BATCH, WAIT_SECONDS)
                if self._generation != generation:
                    # Some of it may have been read before the partitions changed hands.
                    self._unplaced = self._ours
                elif received:
                    self._landing = self._in_force()
                    self._land(self._pieces(received), stop)
        finally:
            self._consumer.close()
            self._disconnect()

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._generation += 1
        self._ours = self._unplaced = partitions
        self._place()

    def _revoked(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        """What is read and not committed is dropped; whoever gets the partition reads it again."""
        self._generation += 1
        self._ours, self._unplaced, self._next = [], [], {}
        consumer.unassign()

    def _place(self) -> bool:
        """Go to where the database says; False while it does not answer."""
        partitions = self._unplaced
        try:
            found = self._places()
        except (BatutaError, psycopg.Error) as error:
            _log.error("places on the bus not read", kind=type(error).__name__)
            self._disconnect()
            self._consumer.assign([])
            return False
        self._next = {one.partition: found.get(one.partition) for one in partitions}
        self._consumer.assign(
            [
                TopicPartition(one.topic, one.partition, found.get(one.partition, OFFSET_BEGINNING))
                for one in partitions
            ]
        )
        self._unplaced = []
        _log.info("landing from the bus", topic=self._address.topic, partitions=sorted(self._next))
        return True

    def _places(self) -> dict[int, int]:
        conn = self._connected()
        rows = conn.execute(
            "select partition, next_offset from batuta.bus_offsets where topic = %s", (self._address.topic,)
        ).fetchall()
        conn.commit()
        return dict(rows)

    def _pieces(self, received: Sequence[Received]) -> list[_Piece]:
        pieces: list[_Piece] = []
        for one in received:
            trouble = one.error()
            if trouble is not None:
                _log.warning("bus in trouble", reason=trouble.name())
                continue
            partition, offset = one.partition(), one.offset()
            if partition in self._next and partition is not None and offset is not None:
                pieces.append(self._piece(one, partition, offset))
        return pieces

    def _piece(self, received: Received, partition: int, offset: int) -> _Piece:
        key, value, headers = _content(received)
        if not bus.is_ours(headers):
            return _Piece(partition, offset, "post", received, self._stranger(value, headers))
        try:
            carried = bus.read(key, value, headers, self._landing.keys)
        except (bus.Forged, BatutaError):
            refused = self._refuse(
                received, "forged", "it says that it is BATUTA's own and does not prove it"
            )
            return _Piece(partition, offset, "post", received, refused)
        decision = dict(carried.decision) if carried.decision is not None else None
        return _Piece(partition, offset, carried.way, received, carried.prepared, decision)

    def _stranger(self, value: bytes, headers: dict[str, bytes]) -> Prepared:
        product = self._address.product
        delivery = bus.foreign(product or UNBOUND, value, headers, self._clock())
        if product is None:
            reason = "the topic is no product's; name one in BATUTA_BUS (?product=NAME) and replay"
            return self._landing.refuse(delivery, Rejected("unbound", reason))
        return self._landing.prepare(delivery, self._parse)

    def _refuse(self, received: Received, code: str, reason: str) -> Prepared:
        _, value, headers = _content(received)
        delivery = bus.foreign(self._address.product or UNBOUND, value, headers, self._clock())
        return self._landing.refuse(delivery, Rejected(code, reason))

    def _land(self, pieces: list[_Piece], stop: threading.Event) -> None:
        """Land pieces of one way after the other, each with its place, as long as the partitions are ours."""
        generation = self._generation
        for _, group in groupby(pieces, key=lambda piece: piece.way):
            waiting = list(group)
            way = waiting[0].way
            pause = 0.1
            while waiting:
                try:
                    self._commit(waiting, way)
                    waiting = []
                except Overtaken:
                    _log.warning("another consumer has landed further; going on from there")
                    self._unplaced = self._ours
                    return
                except _Trouble as trouble:
                    _log.error("database in trouble", reason=str(trouble))
                    self._disconnect()
                    self._idle(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_S)
                except Exception as error:  # noqa: BLE001 - one of them is to blame; find out which
                    waiting = self._blame(waiting, error, stop)
                if stop.is_set() or self._unplaced or self._generation != generation:
                    return

    def _blame(self, waiting: list[_Piece], error: Exception, stop: threading.Event) -> list[_Piece]:
        """What is left to land: nothing after all were tried alone, or the one to blame, refused."""
        if len(waiting) > 1:
            generation = self._generation
            for piece in waiting:
                self._land([piece], stop)
                if stop.is_set() or self._unplaced or self._generation != generation:
                    break
            return []
        [piece] = waiting
        kind = type(error.__cause__ or error).__name__
        _log.error("message not storable", kind=kind, partition=piece.partition, offset=piece.offset)
        reason = f"storing it failed with {kind}; replay it once that is mended"
        refused = self._refuse(piece.received, "defect", reason)
        return [replace(piece, prepared=refused, decision=None)]

    def _commit(self, pieces: list[_Piece], way: Way) -> None:
        """One transaction: rows, what is held, and how far the bus is landed."""
        try:
            conn = self._connected()
            self._record([piece.decision for piece in pieces if piece.decision is not None])
            moves = tuple(self._moves(pieces))
            prepared = [piece.prepared for piece in pieces if piece.prepared is not None]
            self._landing.commit(conn, prepared, way=way, bus=moves)
        except LandingFailed as error:
            cause = error.__cause__
            if isinstance(cause, NotNullViolation) and cause.diag.table_name == "bus_offsets":
                raise Overtaken from None
            if isinstance(cause, psycopg.DataError | psycopg.IntegrityError):
                raise
            raise _Trouble(error.message) from error
        except (BatutaError, psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise _Trouble(getattr(error, "message", type(error).__name__)) from error
        for move in moves:
            self._next[move.partition] = move.next

    def _record(self, decisions: list[dict[str, Any]]) -> None:
        """Before what rests on them, and for themselves: a decision says the same however often it is written."""
        if decisions:
            conn = self._connected()
            with conn.cursor() as cursor:
                for decision in decisions:
                    cursor.execute(_RECORD, decision | {"plan": Jsonb(decision["plan"])})
            conn.commit()

    def _moves(self, pieces: list[_Piece]) -> Iterator[BusMove]:
        last = {piece.partition: piece.offset for piece in pieces}
        for partition, offset in sorted(last.items()):
            yield BusMove(self._address.topic, partition, self._next[partition], offset + 1)

    def _idle(self, seconds: float) -> None:
        """Wait as a living member of the group, and read nothing."""
        try:
            self._consumer.pause(self._consumer.assignment())
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0:
                if self._consumer.poll(min(left, WAIT_SECONDS)) is not None:
                    # Of partitions that came meanwhile; it is read again from where the database says.
                    self._unplaced = self._ours
            self._consumer.resume(self._consumer.assignment())
        except KafkaException as error:
            _log.warning("bus in trouble", reason=str(error.args[0].name()))

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Trouble(Exception):
    """The database takes nothing now; the same again, later, is safe."""


def _content(received: Received) -> tuple[str, bytes, dict[str, bytes]]:
    """Key, value and headers of a message; of a header that came twice, the last."""
    raw: Any = received.key() or b""
    key = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    value: Any = received.value() or b""
    headers: Any = received.headers() or []
    return key, value, {name: content or b"" for name, content in headers}
