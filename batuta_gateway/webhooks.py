"""`POST /webhooks/{product}/{connector}[/{account}]`: what vendors send, acknowledged after commit."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from batuta_gateway.answers import answer
from batuta_gateway.deliveries import admit, as_kept, door_at, read_delivery, settled_document
from batuta_gateway.gateway import gateway_of
from batuta_gateway.posted import land_events
from sensors.connectors import events

# Shopify gives up after five seconds in all; a 503 it can act on is worth more than silence.
PATIENCE_S: Final = 4.0


async def receive(request: Request) -> Response:
    """Land one delivery. 200: it is in the log (now or before); 202: it is kept in quarantine."""
    door = door_at(request)
    delivery = as_kept(request, admit(door, await read_delivery(request, door)))
    if door.connector.NAME == events.NAME:
        return await land_events(request, delivery)
    [settled] = await gateway_of(request).intake.land(
        [(delivery, door.connector.parse)], way="webhook", patience_s=PATIENCE_S
    )
    status = 202 if settled.outcome.state == "quarantined" else 200
    return answer(settled_document(settled), status=status)
