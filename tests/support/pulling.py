"""Tools for the tests of pullers: real HTTP calls; time, known items and blobs that live in memory.

Waits are skipped, not waited for: `TrialTime` jumps ahead by what the code under test asks to sleep.
"""

from __future__ import annotations

import atexit
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import httpx

from batuta.landing.model import Candidate, Delivery
from sensors.connectors.protocol import Connector
from sensors.connectors.pulling import Account, Forgotten, Item, ItemChange, Page, Puller, Tools, Window
from sensors.pull.calls import HttpCalls, Limits, http_client

NOW: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BUDGET_S: Final = 3600.0


class TrialTime:
    """A clock and a monotonic time that move only when somebody sleeps or a test says so."""

    def __init__(self, now: datetime = NOW) -> None:
        self._start = now
        self._passed = 0.0
        self.waits: list[float] = []
        """Every sleep, in seconds."""

    def clock(self) -> datetime:
        """Aware, UTC."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._passed

    def sleep(self, seconds: float) -> None:
        """Jump ahead."""
        self.waits.append(seconds)
        self._passed += seconds

    def advance(self, seconds: float) -> None:
        """Let time pass without anybody waiting."""
        self._passed += seconds


class MemoryKnown:
    """`Known` in memory; `apply` does what landing does with a page's items."""

    def __init__(self, items: Collection[Item] = ()) -> None:
        self.items: dict[str, Item] = {item.id: item for item in items}

    def get(self, ids: Collection[str]) -> Mapping[str, Item]:
        return {id: self.items[id] for id in ids if id in self.items}

    def children(self, parent: str) -> tuple[Item, ...]:
        return tuple(item for item in self.items.values() if item.parent == parent)

    def all(self) -> Iterator[Item]:
        return iter(tuple(self.items.values()))

    def apply(self, changes: Sequence[ItemChange]) -> None:
        """Keep and forget, in this order."""
        for change in changes:
            if isinstance(change, Forgotten):
                self.items.pop(change.id, None)
            else:
                self.items[change.id] = change


class MemoryBlobs:
    """`Blobs` in memory."""

    def __init__(self) -> None:
        self.contents: dict[tuple[str, str], tuple[bytes, str]] = {}
        """(content, media type) by (product, digest)."""

    def put(self, product: str, content: bytes, media_type: str) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.contents[product, digest] = (content, media_type)
        return digest


@cache
def shared_client() -> httpx.Client:
    """One for all tests, as the runner has one for all accounts; it is closed with the process."""
    client = http_client()
    atexit.register(client.close)
    return client


def tools(
    *,
    known: MemoryKnown | None = None,
    blobs: MemoryBlobs | None = None,
    time: TrialTime | None = None,
    limits: Limits | None = None,
    kept: dict[str, bytes] | None = None,
    budget_s: float = BUDGET_S,
) -> Tools:
    """What a puller works with: `kept` collects the credentials it renews, `limits` is the puller's own hook."""
    time = time or TrialTime()
    deadline = time.monotonic() + budget_s
    secrets = {} if kept is None else kept
    calls = HttpCalls(
        shared_client(),
        clock=time.clock,
        deadline=deadline,
        monotonic=time.monotonic,
        sleep=time.sleep,
        limits=limits,
    )
    return Tools(
        calls=calls,
        known=known or MemoryKnown(),
        blobs=blobs or MemoryBlobs(),
        clock=time.clock,
        monotonic=time.monotonic,
        deadline=deadline,
        keep_secret=secrets.__setitem__,
    )


@dataclass(slots=True)
class Pulled:
    """What a poll or a backfill gave."""

    position: Any
    """Where the next call goes on."""
    pages: list[Page] = field(default_factory=list[Page])

    @property
    def deliveries(self) -> list[Delivery]:
        """Of all pages, in order."""
        return [delivery for page in self.pages for delivery in page.deliveries]

    def candidates(self, connector: Connector) -> list[Candidate]:
        """What the connector reads out of them."""
        return [found for delivery in self.deliveries for found in connector.parse(delivery).candidates]


def pull_all(
    puller: Puller,
    account: Account,
    tools: Tools,
    position: Any = None,
    *,
    window: Window | None = None,
    pages_at_most: int = 1000,
) -> Pulled:
    """One poll, or one backfill of a window, to its end, as the runner does it: items count from page to page.

    Known items must be a `MemoryKnown`. An endless feed fails the test; pass `pages_at_most` to break off as a crash
    between two pages does.
    """
    known = tools.known
    assert isinstance(known, MemoryKnown)
    pulled = Pulled(position)
    pages = (
        puller.poll(account, position, tools)
        if window is None
        else puller.backfill(account, window, position, tools)
    )
    for page in pages:
        known.apply(page.items)
        pulled.pages.append(page)
        pulled.position = page.position
        if len(pulled.pages) >= pages_at_most:
            assert pages_at_most < 1000, "the feed does not end"
            break
    return pulled
