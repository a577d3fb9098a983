"""`python -m batuta_cli.bench.webhook_load`: sends signed Shopify orders over kept-alive connections, and times each.

A process of its own, so that it takes no time from what it measures but that of its core. The requests are made before
the clock runs. Told what to send as one JSON line on standard input; says `ready`, waits for a second line, sends, and
ends with one JSON line: seconds, milliseconds of each request (sorted), and how often each status came.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final, cast

import orjson

from batuta_cli.bench.orders import SHOP, small_order, vendor_order

ORDERS: Final = {"small": small_order, "vendor": vendor_order}
_HEADER_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent, and where to."""

    port: int
    path: str
    secret: str
    kind: str
    first: int
    count: int
    connections: int


def requests(load: Load) -> Iterator[bytes]:
    """The requests, as they go over the wire: each another order under another delivery id."""
    order = ORDERS[load.kind]
    for number in range(load.first, load.first + load.count):
        body = orjson.dumps(order(number))
        signature = base64.b64encode(hmac.digest(load.secret.encode(), body, hashlib.sha256)).decode()
        head = (
            f"POST {load.path} HTTP/1.1\r\n"
            f"host: 127.0.0.1:{load.port}\r\n"
            "user-agent: Shopify-Captain-Hook\r\n"
            "accept: */*\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            "x-shopify-topic: orders/create\r\n"
            f"x-shopify-shop-domain: {SHOP}\r\n"
            "x-shopify-api-version: 2025-10\r\n"
            f"x-shopify-webhook-id: {uuid.UUID(int=number + 1)}\r\n"
            f"x-shopify-event-id: {uuid.UUID(int=number + 2**64)}\r\n"
            "x-shopify-triggered-at: 2025-11-12T11:00:00.123456Z\r\n"
            f"x-shopify-hmac-sha256: {signature}\r\n"
        )
        yield head.encode() + b"\r\n" + body


class Sender(asyncio.Protocol):
    """One connection: sends a request when the last one is answered."""

    def __init__(self, waiting: Iterator[bytes], took_ms: list[float], statuses: Counter[int]) -> None:
        self._waiting = waiting
        self._took_ms = took_ms
        self._statuses = statuses
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(_HEADER_END)
        if end < 0:
            return
        head = self._received[:end].lower() + b"\r\n"
        at = head.find(_LENGTH)
        length = int(head[at + len(_LENGTH) : head.find(b"\r\n", at + 2)]) if at >= 0 else 0
        if len(self._received) < end + len(_HEADER_END) + length:
            return
        self._took_ms.append((time.perf_counter() - self._sent_at) * 1000)
        self._statuses[int(self._received[9:12])] += 1
        self._received = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        assert self._transport is not None
        request = next(self._waiting, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


async def send(load: Load, prepared: list[bytes]) -> dict[str, object]:
    """Send everything; seconds in all, milliseconds of the median and of the 99th percentile, statuses."""
    loop = asyncio.get_running_loop()
    waiting, took_ms, statuses = iter(prepared), list[float](), Counter[int]()
    begun = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Sender(waiting, took_ms, statuses), "127.0.0.1", load.port)
        for _ in range(min(load.connections, load.count))
    ]
    await asyncio.gather(*(sender.done for _, sender in made))
    seconds = time.perf_counter() - begun
    took_ms.sort()
    return {
        "seconds": seconds,
        "p50_ms": took_ms[len(took_ms) // 2],
        "p99_ms": took_ms[min(len(took_ms) - 1, len(took_ms) * 99 // 100)],
        "statuses": {str(status): count for status, count in statuses.items()},
    }


def order_line(load: Load) -> str:
    """A load as the line that is given to this process."""
    return json.dumps(asdict(load))


def main() -> None:
    """Make the requests, wait for the word, send."""
    load = Load(**json.loads(sys.stdin.readline()))
    prepared = list(requests(load))
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    print(json.dumps(run(send(load, prepared))), flush=True)


if __name__ == "__main__":
    main()
