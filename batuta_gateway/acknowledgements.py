"""Counts which good deliveries were acknowledged, and keeps the counts in the warehouse now and then.

A delivery is good when its sender was believed; one that is refused for its own sake (4xx) is no failure of ours.
Counts wait in memory while the database is away, which is when they matter most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

import psycopg

from batuta.errors import BatutaError
from batuta.platform.connector_hours import Reached, count_reached
from batuta.telemetry import get_logger
from batuta.warehouse.connection import Connection
from batuta_gateway.doors import Door

_log = get_logger(__name__)

KEEP_EVERY_S: Final = 15.0


class Acknowledgements:
    """The counts since they were last kept; belongs to the loop that serves."""

    def __init__(self, connect: Callable[[], Connection], clock: Callable[[], datetime]) -> None:
        self._connect = connect
        self._clock = clock
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, door: Door, status: int) -> None:
        """Count the answer to a delivery at a door; 0 is none, because the sender has left."""
        if not status or (400 <= status < 500 and status != 422):
            return
        counted = self._counts.setdefault((door.product, door.connector.NAME), [0, 0])
        counted[0] += 1
        counted[1] += status >= 500

    def start(self) -> None:
        """Begin to keep what is counted."""
        self._task = asyncio.get_running_loop().create_task(self._work(), name="acknowledgements")

    async def stop(self) -> None:
        """Keep what is left, and end."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self.keep()

    async def keep(self) -> None:
        """Write the counts down; what the database does not take is counted on."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        at = self._clock()
        found = [
            Reached(product, connector, at, deliveries=total, deliveries_unacknowledged=lost)
            for (product, connector), (total, lost) in counts.items()
        ]
        try:
            await asyncio.to_thread(self._write, found)
        except (BatutaError, psycopg.Error) as error:
            _log.warning("acknowledgements not kept yet", kind=type(error).__name__)
            for key, (total, lost) in counts.items():
                counted = self._counts.setdefault(key, [0, 0])
                counted[0] += total
                counted[1] += lost

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            await self.keep()

    def _write(self, found: list[Reached]) -> None:
        with self._connect() as conn:
            count_reached(conn, found)
