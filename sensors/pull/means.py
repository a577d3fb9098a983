"""What fetching works with, the same for every account: landing, database, blobs, HTTP and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from batuta.blob_store import open_blobs
from batuta.landing.land import Landing
from batuta.landing.model import Parse
from batuta.settings import Settings
from batuta.warehouse.connection import Connection, connect
from sensors.connectors import connector, puller
from sensors.connectors.pulling import Blobs, Puller, SourceFailed
from sensors.pull.calls import HttpCalls, Limits, http_client


def _now() -> datetime:
    return datetime.now(UTC)


def _parse_of(name: str) -> Parse:
    return connector(name).parse


def _puller_of(name: str) -> Puller:
    found = puller(name)
    if found is None:
        raise SourceFailed(f"{name} only sends: there is nothing to fetch")
    return found


@dataclass(frozen=True, slots=True)
class Means:
    """One per process is enough; several threads may use it."""

    landing: Landing
    connect: Callable[[], Connection]
    """Opens a connection that acts as writer, not in autocommit."""
    blobs: Blobs
    client: httpx.Client = field(default_factory=http_client)
    clock: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    parse_of: Callable[[str], Parse] = _parse_of
    puller_of: Callable[[str], Puller] = _puller_of

    @classmethod
    def open(
        cls,
        settings: Settings,
        url: str,
        *,
        application: str = "batuta pull",
        landing: Landing | None = None,
    ) -> Means:
        """The means of an installation; `url` is its database, `landing` what lands already in this process.

        Raises:
            ContractError, KeysMissing, KeysMismatch: landing cannot work.
            UsageError: the blob store's address does not fit.
        """
        landing = landing or Landing.open(settings, _now)
        return cls(
            landing=landing,
            connect=lambda: connect(url, "writer", application=application),
            blobs=open_blobs(settings, landing.keys),
        )

    def close(self) -> None:
        """Let go of the connections to vendors."""
        self.client.close()

    def calls(self, deadline: float, limits: Limits | None) -> HttpCalls:
        """HTTP for one account, up to a deadline."""
        return HttpCalls(
            self.client,
            clock=self.clock,
            deadline=deadline,
            monotonic=self.monotonic,
            sleep=self.sleep,
            limits=limits,
        )
