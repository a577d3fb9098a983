"""Writing prepared deliveries to the bus, acknowledged when every replica in sync has them.

Idempotent, in order per product (the key decides the partition): a decision is written before what rests on it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from batuta.bus.address import BusAddress
from batuta.bus.brokers import BrokerWatch
from batuta.bus.message import Message

LARGEST_MESSAGE: Final = 64 * 1024 * 1024
SEND_SECONDS: Final = 20
_POLL_SECONDS: Final = 0.1

Done = Callable[["NotSent | None"], None]


class NotSent(Exception):
    """The bus did not take a delivery; `too_large` if it never will."""

    def __init__(self, reason: str, *, too_large: bool = False) -> None:
        super().__init__(reason)
        self.too_large = too_large


class BusProducer:
    """One per process; `close` it."""

    def __init__(self, address: BusAddress) -> None:
        self._topic = address.topic
        self._producer = Producer(
            {
                **address.connection(),
                "client.id": "batuta-gateway",
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 2,
                "message.timeout.ms": SEND_SECONDS * 1000,
                "message.max.bytes": LARGEST_MESSAGE,
                **BrokerWatch(address).settings(),
            }
        )
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="bus", daemon=True)
        self._poller.start()

    def send(self, messages: Sequence[Message], done: Done) -> None:
        """Write the messages of one delivery; `done` is called from another thread once all or one of them is settled.

        Raises:
            NotSent: too many messages wait for the bus, or one is too large; nothing more will be told to `done`.
        """
        wait = _Wait(len(messages), done)
        for message in messages:
            try:
                self._producer.produce(
                    self._topic,
                    message.value,
                    message.key.encode(),
                    headers=list(message.headers),
                    on_delivery=wait.settle,
                )
            except BufferError:
                wait.forget()
                raise NotSent("too many deliveries wait for the bus") from None
            except KafkaException as error:
                wait.forget()
                raise _not_sent(error.args[0]) from None

    def close(self, seconds: float) -> None:
        """Wait for what is under way, for at most so long."""
        self._producer.flush(seconds)
        self._closing.set()
        self._poller.join(seconds)

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_SECONDS)


class _Wait:
    """Counts the answers for the messages of one delivery; the callbacks come from one thread."""

    def __init__(self, messages: int, done: Done) -> None:
        self._left = messages
        self._done: Done | None = done

    def settle(self, error: KafkaError | None, _: Any) -> None:
        self._left -= 1
        if self._done is not None and (error is not None or not self._left):
            done, self._done = self._done, None
            done(_not_sent(error) if error is not None else None)

    def forget(self) -> None:
        self._done = None


def _not_sent(error: KafkaError) -> NotSent:
    return NotSent(str(error.name()), too_large=error.code() == KafkaError.MSG_SIZE_TOO_LARGE)
