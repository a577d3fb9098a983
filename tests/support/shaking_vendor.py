"""A vendor that does at its webhook address all that vendors do: it asks by GET, asks by POST, chooses a secret.

A connector like any other, for the tests of the door; deliveries are signed and read as `events` are not: the body is
the name of one thing.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from batuta.landing.model import Candidate, Delivery, Parsed
from sensors.connectors import signature
from sensors.connectors.protocol import Asked, Reply
from sensors.connectors.pulling import FORM, ConnectorSettings
from sensors.connectors.reading import build, json_object, required_header

NAME: Final = "shaking"
MEDIA_TYPES: Final = frozenset({"application/json"})
REQUIRED_HEADERS: Final = ("x-shaking-id",)
PUSH: Final = True
SETTINGS: Final = ConnectorSettings
CREDENTIALS: Final = {"verifyToken": "what the vendor shows when it asks"}
ACCEPTED: Final = 202
MAX_BODY_BYTES: Final = 1000


def handshake(asked: Asked, credentials: Mapping[str, bytes]) -> Reply | None:
    """By GET with a token, by POST with a question in the address, by POST with a secret to keep."""
    if asked.method == "GET":
        shown = asked.query.get("hub.verify_token", "").encode("utf-8", "replace")
        if hmac.compare_digest(shown, credentials.get("verifyToken", b"\x00")):
            return Reply(200, asked.query.get("hub.challenge", "").encode("utf-8", "replace"))
        return Reply(403, b"")
    if "validationToken" in asked.query:
        return Reply(200, asked.query["validationToken"].encode("utf-8", "replace"))
    if asked.headers.get("x-shaking-secret"):
        return Reply(200, b"", learned=asked.headers["x-shaking-secret"].encode("latin-1"))
    return None


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:
    """HMAC of the body, in hex."""
    presented = signature.require_header(delivery.headers.get("x-shaking-signature"), "x-shaking-signature")
    signature.check((signature.from_hex(presented),), secrets, delivery.body)


def parse(delivery: Delivery) -> Parsed:
    """One event; in a pulled form its type says so. `{"news": true}` is a signal and no event."""
    document = json_object(delivery.body)
    if document.get("news"):
        return Parsed(candidates=(), dataset="things", filtered=1, note="signal", wakes=True)
    form = delivery.headers.get(FORM, "webhook")
    event = build(
        id=required_header(delivery, "x-shaking-id"),
        source="https://shaking.example.com/",
        type="com.batuta.spend.recorded" if form == "webhook" else "com.example.forged",
        time=datetime(2025, 11, 12, 8, 0, tzinfo=UTC),
        data=document,
    )
    return Parsed(candidates=(Candidate(event, "things", NAME),), dataset="things")


def same_account(configured: str, named: str) -> bool:
    """Equal."""
    return configured == named
