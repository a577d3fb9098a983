"""A stand-in for Meta: sends signed deliveries of the WhatsApp Cloud API, batched as Meta batches them.

Numbers and texts are made up. `python -m examples.vendors whatsapp --to ADDRESS --secret-file FILE` sends a few;
without `--to` it is the Graph API, which gives the picture that one of them speaks of.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.vendors.serving import Served, StandInFailed

NUMBER_ID: Final = "106540352242922"
BUSINESS: Final = "102290129340398"
CUSTOMER: Final = "5511987654321"
PHOTO: Final = b"foto"
Json = dict[str, Any]


def wamid(phone: str, number: int) -> str:
    """An id as Meta makes them: base64 of a structure that has the phone number in clear."""
    return "wamid." + base64.b64encode(b"\x1d\x0b" + phone.encode() + f"\x15{number:020d}".encode()).decode()


def text_message(number: int, text: str, at: datetime, *, phone: str = CUSTOMER, **changes: Any) -> Json:
    """A message that somebody wrote."""
    body = {"from": phone, "id": wamid(phone, number), "timestamp": str(int(at.timestamp()))}
    return body | {"type": "text", "text": {"body": text}} | changes


def media_message(
    number: int, content: bytes, at: datetime, *, phone: str = CUSTOMER, **changes: Any
) -> Json:
    """A picture that somebody sent; `sha256` is base64, as Meta writes it."""
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    image = {"id": str(9_000_000 + number), "mime_type": "image/jpeg", "sha256": digest}
    whole = text_message(number, "", at, phone=phone) | {"type": "image", "image": image}
    del whole["text"]
    return whole | changes


def status(number: int, name: str, at: datetime, *, phone: str = CUSTOMER) -> Json:
    """What became of a message of ours."""
    pricing = {"billable": True, "pricing_model": "PMP", "category": "utility"}
    named = {"id": wamid(phone, number), "status": name, "timestamp": str(int(at.timestamp()))}
    return named | {"recipient_id": phone, "pricing": pricing}


def delivery(*messages: Json, statuses: Sequence[Json] = (), number_id: str = NUMBER_ID) -> bytes:
    """One body with several messages and statuses, non-ASCII escaped and slashes with it, as Meta writes them."""
    phones = sorted({m["from"] for m in messages if "from" in m})
    contacts = [
        {"profile": {"name": "Maria"}, "wa_id": phone, "user_id": f"BR.{phone[::-1]}"} for phone in phones
    ]
    value: Json = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "551140028922", "phone_number_id": number_id},
    }
    if messages:
        value |= {"contacts": contacts, "messages": list(messages)}
    if statuses:
        value["statuses"] = list(statuses)
    return whole(value, "messages")


def whole(value: Json, field: str, *, time: int | None = None) -> bytes:
    """A body of one entry and one change."""
    entry: Json = {"id": BUSINESS, "changes": [{"value": value, "field": field}]}
    if time is not None:
        entry["time"] = time
    document = {"object": "whatsapp_business_account", "entry": [entry]}
    return json.dumps(document, separators=(",", ":")).replace("/", "\\/").encode()


def signed(body: bytes, secret: bytes) -> dict[str, str]:
    """The headers of a delivery."""
    digest = hmac.digest(secret, body, "sha256").hex()
    return {"content-type": "application/json", "x-hub-signature-256": f"sha256={digest}"}


class WhatsApp(Served):
    """Meta's Graph API as far as media and subscriptions go."""

    def __init__(self, *, port: int = 0) -> None:
        self.media: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        """Sizes that are told of media, where they are others than the contents'."""
        self.subscribed: list[Json] = []
        routes = [
            Route("/{media}", self._describe),
            Route("/content/{media}", self._content),
            Route("/{business}/subscribed_apps", self._apps, methods=["GET", "POST"]),
        ]
        super().__init__(Starlette(routes=routes), port)

    async def _describe(self, request: Request) -> Response:
        content = self.media.get(request.path_params["media"])
        if content is None:
            error = {"code": 100, "message": "Unsupported get request. Object does not exist"}
            return JSONResponse({"error": error}, 400)
        media = request.path_params["media"]
        described = {"url": f"{self.url}/content/{media}", "mime_type": "image/jpeg", "id": media}
        described["file_size"] = self.sizes.get(media, len(content))
        return JSONResponse(described | {"sha256": hashlib.sha256(content).hexdigest()})

    async def _content(self, request: Request) -> Response:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return Response(status_code=401)
        content = self.media.get(request.path_params["media"])
        return Response(status_code=404) if content is None else Response(content, media_type="image/jpeg")

    async def _apps(self, request: Request) -> Response:
        if request.method == "POST":
            self.subscribed.append({"whatsapp_business_api_data": {"id": "1", "name": "BATUTA"}})
            return JSONResponse({"success": True})
        return JSONResponse({"data": self.subscribed})


def serve(arguments: Sequence[str]) -> None:
    """Send a few deliveries to a gateway, or serve media and subscriptions until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.vendors whatsapp", description=__doc__)
    parser.add_argument("--to", help="webhook address, as in http://127.0.0.1:8600/webhooks/P/whatsapp")
    parser.add_argument("--secret-file", type=Path, help="file that secretRefs names; with --to")
    parser.add_argument("--port", type=int, default=8705)
    options = parser.parse_args(arguments)
    if options.to is None:
        vendor = WhatsApp(port=options.port)
        vendor.media["9000002"] = PHOTO
        with vendor:
            print(f"WhatsApp's stand-in: {vendor.url}, any access token")
            vendor.wait()
        return
    if options.secret_file is None:
        parser.error("--to needs --secret-file")
    _send(options.to, _secret(options.secret_file))


def _secret(file: Path) -> bytes:
    try:
        return file.read_bytes().strip()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise StandInFailed(
            f"the secret file {file} cannot be read: {reason}; it is the one that secretRefs names"
        ) from error


def _send(address: str, secret: bytes) -> None:
    """Send a few deliveries, and print what is answered.

    Raises:
        StandInFailed: one of them was not accepted.
    """
    now = datetime.now(UTC)
    swindle = "Oi mãe, troquei de número. Preciso pagar um boleto urgente, faz um pix: 529.982.247-25"
    bodies = [
        delivery(text_message(1, "Bom dia! Meu pedido já saiu?", now), media_message(2, PHOTO, now)),
        delivery(text_message(3, swindle, now, phone="5521912345678", context={"forwarded": True})),
        delivery(statuses=[status(4, "delivered", now), status(4, "sent", now)]),
    ]
    refused = 0
    for body in bodies:
        try:
            answer = httpx.post(address, content=body, headers=signed(body, secret), trust_env=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StandInFailed(f"{address} does not answer ({error}); is the gateway up?") from error
        print(answer.status_code, answer.text.strip())
        refused += not answer.is_success
    if refused:
        raise StandInFailed(f"{refused} of {len(bodies)} deliveries were refused, for the reason above")
