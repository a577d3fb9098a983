"""`POST /events`: CloudEvents from a product's own systems.

The credential says which product they are of; the body never does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from batuta.landing.model import Candidate, Delivery, Parse, Parsed, Rejected
from batuta.telemetry import get_logger
from batuta_gateway.answers import Refusal, answer
from batuta_gateway.deliveries import (
    as_kept,
    headers_of,
    require_media_type,
    settled_document,
    unauthorized,
)
from batuta_gateway.doors import Door, Doors
from batuta_gateway.gateway import gateway_of, trace_of
from batuta_gateway.intake import Intent, WayIn
from sensors.connectors import events
from sensors.connectors.protocol import NoSecret, Unsigned, Unverified

_log = get_logger(__name__)

PATIENCE_S: Final = 20.0
MAX_EVENTS: Final = 10_000
_THREAD_BYTES: Final = 65_536


async def post(request: Request) -> Response:
    """Land the posted events of the product whose credential came with them."""
    gateway = gateway_of(request)
    headers = headers_of(request.headers.raw)
    if "authorization" not in headers and "webhook-signature" not in headers:
        raise _unauthorized(Unsigned("send Authorization: Bearer <token> or a webhook-signature"))
    doors = gateway.entrance.doors()
    delivery = Delivery("", events.NAME, None, headers, b"", gateway.clock())
    if "webhook-signature" not in headers:
        door = _holder(doors, delivery)
        require_media_type(headers, events)
        body = await gateway.bodies.read(request)
    else:
        require_media_type(headers, events)
        body = await gateway.bodies.read(request)
        door = _holder(doors, Delivery("", events.NAME, None, headers, body, delivery.received_at))
    owned = Delivery(door.product, events.NAME, door.account, headers, body, delivery.received_at)
    request.state.door = door
    return await land_events(gateway.intake, as_kept(owned, trace_of(request)))


async def land_events(intake: WayIn, delivery: Delivery) -> Response:
    """Land each event of a verified delivery for itself. 200: all in the log; 202: all on the bus; 422: some refused.

    Raises:
        Refusal: 400, something is wrong with the form of an event; then none was taken.
    """
    if len(delivery.body) <= _THREAD_BYTES:
        intents = _intents(delivery)
    else:
        intents = await asyncio.to_thread(_intents, delivery)
    settled = await intake.land(intents, way="post", patience_s=PATIENCE_S) if intents else []
    counts = Counter("accepted" if one.accepted else one.outcome.state for one in settled)
    quarantined, accepted = counts["quarantined"] > 0, counts["accepted"] > 0
    content: dict[str, Any] = {
        "status": "quarantined" if quarantined else "accepted" if accepted else "ok",
        "landed": counts["landed"],
        "duplicate": counts["duplicate"],
        "quarantined": counts["quarantined"],
        "events": [settled_document(one) for one in settled],
    }
    if accepted:
        content["accepted"] = counts["accepted"]
    return answer(content, status=422 if quarantined else 202 if accepted else 200)


def _intents(delivery: Delivery) -> list[Intent]:
    """One delivery per event, each with its reading, so that a bad one in a batch is kept alone."""
    try:
        parsed = events.parse(delivery)
        deliveries = list(events.split(delivery))
    except events.Malformed as error:
        problems = [
            {"index": problem.index, "field": problem.field, "message": problem.message}
            for problem in error.problems
        ]
        raise _malformed(problems) from None
    except Rejected as error:
        raise _malformed([{"index": 0, "field": error.field or "body", "message": error.message}]) from None
    if len(deliveries) > MAX_EVENTS:
        raise Refusal(413, "too_many_events", f"a batch may hold {MAX_EVENTS} events; send several")
    return [(one, _as_read(candidate)) for one, candidate in zip(deliveries, parsed.candidates, strict=True)]


def _as_read(candidate: Candidate) -> Parse:
    parsed = Parsed(candidates=(candidate,), dataset=candidate.dataset)
    return lambda _: parsed


def _holder(doors: Doors, delivery: Delivery) -> Door:
    """The one door whose secret the sender holds. All are tried, so that time tells nothing about which.

    Raises:
        Refusal: 401, nobody's credential, or one that two products share.
    """
    found: dict[str, Door] = {}
    refusal: Unverified | None = None
    for door in doors.of_connector(events.NAME):
        try:
            events.verify(delivery, door.secrets)
        except Unverified as error:
            # What another product lacks says nothing to whoever has a credential.
            if refusal is None or not isinstance(error, NoSecret):
                refusal = error
        else:
            found[door.product] = door
    if len(found) > 1:
        _log.error("credential shared by products; none of them is served with it", products=sorted(found))
        raise _unauthorized(Unsigned("this credential belongs to more than one product"))
    if not found:
        raise _unauthorized(refusal or Unsigned("no product takes posted events"))
    return next(iter(found.values()))


def _unauthorized(error: Unverified) -> Refusal:
    refusal = unauthorized(error)
    refusal.headers["WWW-Authenticate"] = "Bearer"
    return refusal


def _malformed(problems: list[dict[str, Any]]) -> Refusal:
    return Refusal(400, "malformed", "nothing was taken; see problems", details={"problems": problems})
