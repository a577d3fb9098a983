"""Deliveries on their way to the bus instead of the database: prepared and masked here, landed elsewhere.

A request is answered when the brokers have what it brought. What becomes of it in the log is then not known yet, so
the answer says `accepted`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from batuta.bus.address import BusAddress
from batuta.bus.message import Message, decision_message, messages
from batuta.bus.producer import BusProducer, NotSent
from batuta.landing.land import Landing
from batuta.landing.model import Outcome, Way
from batuta.landing.prepare import Prepared
from batuta.telemetry import get_logger
from batuta_gateway.answers import Refusal, unavailable
from batuta_gateway.intake import Intent, Settled, prepare_all

_log = get_logger(__name__)
_LOOP_BYTES: Final = 65_536


class BusIntake:
    """The way in over the bus; `start` and `stop` belong to the loop that submits."""

    def __init__(self, landing: Landing, address: BusAddress) -> None:
        self._landing = landing
        self._address = address
        self._producer: BusProducer | None = None
        self._decided: set[bytes] = set()

    def renew(self, landing: Landing) -> None:
        """Prepare through this landing from now on: contracts have changed."""
        self._landing = landing

    def start(self) -> None:
        """Connect to the brokers."""
        self._producer = BusProducer(self._address)

    async def stop(self, seconds: float) -> None:
        """Wait for what is under way, for at most so long."""
        if self._producer is not None:
            await asyncio.to_thread(self._producer.close, seconds)

    async def land(self, intents: Sequence[Intent], *, way: Way, patience_s: float) -> list[Settled]:
        """Hand deliveries to the bus; each is `accepted`, or `quarantined` if that is where it will go.

        Raises:
            Refusal: 503, the bus does not take them or not in time; sending again is safe. 413, it never will.
        """
        if sum(len(delivery.body) for delivery, _ in intents) <= _LOOP_BYTES:
            prepared, made, rests_on = self._make(intents, way)
        else:
            prepared, made, rests_on = await asyncio.to_thread(self._make, intents, way)
        try:
            async with asyncio.timeout(patience_s):
                await self._send(made)
        except TimeoutError:
            raise unavailable("the bus did not take it in time") from None
        except NotSent as trouble:
            _log.error("bus took nothing", reason=str(trouble))
            if trouble.too_large:
                raise Refusal(
                    413,
                    "body_too_large",
                    "the bus takes no message of this size; raise max.message.bytes there",
                ) from None
            raise unavailable("the bus does not take deliveries") from None
        self._decided |= rests_on
        return [_settled(one) for one in prepared]

    def _make(self, intents: Sequence[Intent], way: Way) -> tuple[list[Prepared], list[Message], set[bytes]]:
        """The deliveries, their messages, and the decisions among these that the bus has not had from here yet."""
        landing = self._landing
        prepared = prepare_all(landing, intents)
        rests_on = {row.lane.decision for one in prepared for row in one.rows} - self._decided
        made = [decision_message(*landing.decisions[identity], landing.keys) for identity in rests_on]
        made += [message for one in prepared for message in messages(one, way, landing.keys)]
        return prepared, made, rests_on

    async def _send(self, made: Sequence[Message]) -> None:
        assert self._producer is not None
        if not made:
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._producer.send(made, partial(_call, loop, done))
        await done


def _call(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None], trouble: NotSent | None) -> None:
    """Called by the thread that hears from the brokers."""
    loop.call_soon_threadsafe(_settle, done, trouble)


def _settle(done: asyncio.Future[None], trouble: NotSent | None) -> None:
    if done.done():
        return
    if trouble is not None:
        done.set_exception(trouble)
    else:
        done.set_result(None)


def _settled(prepared: Prepared) -> Settled:
    state = "quarantined" if prepared.held is not None else "filtered"
    event_id = prepared.rows[0].event_id if prepared.rows else None
    outcome = Outcome(state, event_id, counts=prepared.counts)
    rejection = prepared.held.rejection if prepared.held is not None else None
    return Settled(outcome, rejection, accepted=bool(prepared.rows) and rejection is None)
