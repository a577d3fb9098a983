"""A cluster that speaks Kafka's protocol (librdkafka's own), consumers in threads, and what stands in the log."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Producer

from batuta.bus.address import BusAddress
from batuta.bus.consumer import BusConsumer
from batuta.bus.producer import BusProducer
from batuta.contracts.contract import Contracts
from batuta.keys import KeyRing, create_keys
from batuta.landing.land import Landing
from batuta.policy.decision import DefaultPolicy
from batuta.warehouse.connection import Connection, connect
from sensors.connectors import events


class Cluster:
    """Brokers that live as long as this object."""

    def __init__(self, brokers: int = 2) -> None:
        self._producer = Producer({"test.mock.num.brokers": brokers, "log_level": 0})
        known = self._producer.list_topics(timeout=10).brokers.values()
        self.brokers = ",".join(f"{one.host}:{one.port}" for one in known)

    def topic(self, product: str | None = None) -> BusAddress:
        """A topic nobody has used."""
        name = f"t{uuid.uuid4().hex[:12]}"
        return BusAddress(self.brokers, name, product, f"g{name}")

    def write(
        self, address: BusAddress, value: bytes | None, headers: dict[str, bytes], key: bytes | None = None
    ) -> None:
        """Write as a stranger would."""
        done = threading.Event()
        self._producer.produce(
            address.topic, value, key, headers=list(headers.items()), on_delivery=lambda *_: done.set()
        )
        self._producer.flush(10)
        assert done.is_set()


@dataclass
class Installation:
    """Keys and a database."""

    home: Path
    url: str
    keys: KeyRing = field(init=False)

    def __post_init__(self) -> None:
        self.keys = create_keys(self.home)

    def landing(self) -> Landing:
        """A landing as a process of its own would have."""
        return Landing(Contracts.load(), DefaultPolicy(), self.keys, lambda: datetime.now(UTC))

    def connect(self) -> Connection:
        """A connection that acts as writer."""
        return connect(self.url, "writer")

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask as the owner."""
        with psycopg.connect(self.url) as conn:
            return conn.execute(sql.encode(), values).fetchall()

    def consumer(self, address: BusAddress, connect: Callable[[], Connection] | None = None) -> BusConsumer:
        """A consumer that has not begun."""
        landing = self.landing()
        return BusConsumer(
            address, lambda: landing, connect or self.connect, events.parse, lambda: datetime.now(UTC)
        )

    @contextmanager
    def consuming(
        self, address: BusAddress, connect: Callable[[], Connection] | None = None
    ) -> Iterator[BusConsumer]:
        """A consumer at work; it must end when it is told to."""
        with running_consumer(self.consumer(address, connect)) as consumer:
            yield consumer


@contextmanager
def running_consumer(consumer: BusConsumer) -> Iterator[BusConsumer]:
    """A consumer at work in a thread; it must end when it is told to."""
    stop, failed = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            consumer.run(stop)
        except BaseException as error:  # noqa: BLE001 - the test says so in its own thread
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield consumer
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        assert not failed, failed


@contextmanager
def producing(address: BusAddress) -> Iterator[BusProducer]:
    """A gateway's producer."""
    producer = BusProducer(address)
    try:
        yield producer
    finally:
        producer.close(10)
