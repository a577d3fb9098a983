"""`/webhooks/{product}/{connector}[/{account}]`: what vendors send, acknowledged after commit.

Before a vendor sends deliveries it may make sure of the address; that is the connector's to answer, and asked first.
Here is most of what comes to a gateway, so these addresses are served before any routing.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from batuta.landing.model import Delivery
from batuta_gateway.answers import Refusal, answer, not_found
from batuta_gateway.deliveries import admit, as_kept, headers_of, require_media_type, settled_document
from batuta_gateway.doors import Door
from batuta_gateway.gateway import Gateway
from batuta_gateway.learning import keep_learned
from batuta_gateway.posted import land_events
from sensors.connectors import events
from sensors.connectors.protocol import Asked

PREFIX: Final = "/webhooks/"
ROUTE: Final = "/webhooks/{product}/{connector}"
# Shopify gives up after five seconds in all; a 503 it can act on is worth more than silence.
PATIENCE_S: Final = 4.0
# A handshake gives back what it was sent: nobody's browser is to make a page of it.
_AS_TEXT: Final = {"X-Content-Type-Options": "nosniff"}


class Webhooks:
    """ASGI middleware that serves the webhook addresses and leaves all others alone."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        try:
            response = await self._respond(scope, receive)
        except Refusal as refusal:
            response = refusal.response()
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        """Land one delivery. 200, or as its vendor wants it: it is in the log, now or before; 202: in quarantine."""
        door = self._door(scope["path"])
        scope["state"] |= {"door": door, "route": ROUTE}
        method, headers = scope["method"], headers_of(scope["headers"])
        if door.handshake is None:
            _require_post(method)
            require_media_type(headers, door.connector)
        body = await self._gateway.bodies.take(
            headers.get("content-length", ""), receive, door.max_body_bytes
        )
        if door.handshake is not None:
            query = dict(QueryParams(scope["query_string"]))
            reply = await self._handshake(door, Asked(method, query, headers, body))
            if reply is not None:
                return reply
            _require_post(method)
            require_media_type(headers, door.connector)
        received_at = self._gateway.clock()
        delivery = Delivery(door.product, door.connector.NAME, door.account, headers, body, received_at)
        return await self._land(door, as_kept(admit(door, delivery), scope["state"]["trace"]))

    def _door(self, path: str) -> Door:
        """The door the address names, or 404: unknown product, connector or account look the same."""
        product, _, rest = path.removeprefix(PREFIX).partition("/")
        connector, _, account = rest.partition("/")
        door = self._gateway.entrance.doors().find(product, connector, account or None)
        if door is None:
            raise not_found()
        return door

    async def _land(self, door: Door, delivery: Delivery) -> Response:
        if door.connector.NAME == events.NAME:
            return await land_events(self._gateway.intake, delivery)
        [settled] = await self._gateway.intake.land(
            [(delivery, door.connector.parse)], way="webhook", patience_s=PATIENCE_S
        )
        status = (
            202 if settled.outcome.state == "quarantined" else door.accepted_status(on_bus=settled.accepted)
        )
        return answer(settled_document(settled), status=status)

    async def _handshake(self, door: Door, asked: Asked) -> Response | None:
        """The connector's answer to a handshake, None where it is none."""
        reply = door.handshake(asked, door.credentials) if door.handshake is not None else None
        if reply is None:
            return None
        if reply.learned is not None:
            await asyncio.to_thread(keep_learned, self._gateway, door, reply.learned)
            self._gateway.entrance.look_again()
        return Response(reply.body, reply.status, _AS_TEXT, reply.media_type)


def _require_post(method: str) -> None:
    if method != "POST":
        raise Refusal(
            405, "method_not_allowed", "this address takes another method", headers={"Allow": "POST"}
        )
