"""Sends orders through a gateway as a vendor does: again and again until each is acknowledged, some of them twice.

Paced, so that what happens to the installation happens while events come in.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

ANSWER_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.2
DUPLICATED: Final = 0.05
_REFUSED: Final = range(400, 500)


@dataclass(slots=True)
class Sent:
    """What became of a load so far."""

    acknowledged: set[int] = field(default_factory=set[int])
    attempts: int = 0
    refused: Counter[int] = field(default_factory=Counter[int])


async def send_all(
    port: int,
    request: Callable[[int], bytes],
    numbers: range,
    *,
    per_second: float,
    connections: int,
    seed: int,
    sent: Sent,
) -> None:
    """Send every number's request until it is acknowledged; a share of them once more after that.

    Args:
        port: Of the gateway, on this machine.
        request: The request of a number, as it goes over the wire; the same each time.
        numbers: What is sent.
        per_second: How fast new ones begin.
        connections: How many are under way at once.
        seed: Chooses those that are sent twice.
        sent: Filled as answers come.
    """
    chosen = random.Random(seed)
    begun = time.monotonic()
    waiting: Iterator[int] = iter(numbers)

    async def work() -> None:
        connection = _Connection(port)
        for number in waiting:
            late = begun + (number - numbers.start) / per_second - time.monotonic()
            if late > 0:
                await asyncio.sleep(late)
            await _until_acknowledged(connection, request(number), sent)
            sent.acknowledged.add(number)
            if chosen.random() < DUPLICATED:
                await _until_acknowledged(connection, request(number), sent)
        connection.close()

    await asyncio.gather(*(work() for _ in range(connections)))


async def _until_acknowledged(connection: _Connection, request: bytes, sent: Sent) -> None:
    while True:
        sent.attempts += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status = await connection.ask(request)
        except (OSError, TimeoutError, EOFError, ValueError):
            connection.close()
            status = 0
        if status == 200:
            return
        if status in _REFUSED:
            sent.refused[status] += 1
        await asyncio.sleep(PAUSE_SECONDS)


class _Connection:
    """One kept-alive connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """Send a request; the status of its answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        at = head.index(b"content-length:") + len(b"content-length:")
        await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        return int(head[9:12])

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
