"""`/webhooks/{product}/{connector}[/{account}]`: what vendors send, acknowledged after commit.

Before a vendor sends deliveries it may make sure of the address; that is the connector's to answer, and asked first.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from batuta.landing.model import Delivery
from batuta_gateway.answers import Refusal, answer
from batuta_gateway.deliveries import (
    admit,
    as_kept,
    door_at,
    headers_of,
    require_media_type,
    settled_document,
)
from batuta_gateway.doors import Door
from batuta_gateway.gateway import gateway_of
from batuta_gateway.learning import keep_learned
from batuta_gateway.posted import land_events
from sensors.connectors import events
from sensors.connectors.protocol import Asked

# Shopify gives up after five seconds in all; a 503 it can act on is worth more than silence.
PATIENCE_S: Final = 4.0
# A handshake gives back what it was sent: nobody's browser is to make a page of it.
_AS_TEXT: Final = {"X-Content-Type-Options": "nosniff"}


async def receive(request: Request) -> Response:
    """Land one delivery. 200, or as its vendor wants it: it is in the log, now or before; 202: in quarantine."""
    door = door_at(request)
    gateway = gateway_of(request)
    headers = headers_of(request)
    shakes_hands = door.handshake is not None
    if not shakes_hands:
        _require_post(request)
        require_media_type(headers, door.connector)
    body = await gateway.bodies.read(request, door.max_body_bytes)
    if shakes_hands:
        reply = await _handshake(request, door, headers, body)
        if reply is not None:
            return reply
        _require_post(request)
        require_media_type(headers, door.connector)
    delivery = Delivery(door.product, door.connector.NAME, door.account, headers, body, gateway.clock())
    delivery = as_kept(request, admit(door, delivery))
    if door.connector.NAME == events.NAME:
        return await land_events(request, delivery)
    [settled] = await gateway.intake.land(
        [(delivery, door.connector.parse)], way="webhook", patience_s=PATIENCE_S
    )
    status = 202 if settled.outcome.state == "quarantined" else door.accepted_status
    return answer(settled_document(settled), status=status)


async def _handshake(request: Request, door: Door, headers: dict[str, str], body: bytes) -> Response | None:
    """The connector's answer to a handshake, None where it is none."""
    assert door.handshake is not None
    asked = Asked(request.method, dict(request.query_params), headers, body)
    reply = door.handshake(asked, door.credentials)
    if reply is None:
        return None
    if reply.learned is not None:
        gateway = gateway_of(request)
        await asyncio.to_thread(keep_learned, gateway, door, reply.learned)
        gateway.entrance.look_again()
    return Response(reply.body, reply.status, _AS_TEXT, reply.media_type)


def _require_post(request: Request) -> None:
    if request.method != "POST":
        raise Refusal(
            405, "method_not_allowed", "this address takes another method", headers={"Allow": "POST"}
        )
