"""WhatsApp Cloud API: verify, answer the challenge, and read batched deliveries entry by entry.

Ids of messages hold the writer's phone number in clear; they are stored as keyed hashes. A forwarded message says that
it is one and nothing of where it comes from: no origin is made up. Statuses come in any order and skip steps.
Protocol: developers.facebook.com/documentation/business-messaging/whatsapp; facts in reference/connectors.md 2.6.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import orjson
from pydantic import Field

from batuta.landing.model import Candidate, Delivery, Parsed, Rejected
from sensors.connectors import signature
from sensors.connectors.addresses import ServiceAddress
from sensors.connectors.protocol import Asked, Reply
from sensors.connectors.pulling import FORM, ConnectorSettings
from sensors.connectors.reading import JsonObject, build, json_object, number_at, object_at, text_at
from sensors.connectors.whatsapp.messages import message_data, status_data

NAME: Final = "whatsapp"
PUSH: Final = True
MEDIA_TYPES: Final = frozenset({"application/json"})
SIGNATURE: Final = "x-hub-signature-256"
REQUIRED_HEADERS: Final = (SIGNATURE,)
ACCEPTED: Final = 200
MAX_BODY_BYTES: Final = 3 * 1024 * 1024
CREDENTIALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "verifyToken": "word of your own that Meta repeats when the webhook is set up",
        "accessToken": "token of a system user, to fetch media and look after the subscription",
    }
)
STORED: Final = "stored"
"""Form of a pulled delivery: what became of a medium."""
MESSAGES: Final = "messages"
MEDIA: Final = "media"
STATUSES: Final = "statuses"
OTHER: Final = "other"
_KINDS: Final[Mapping[str, str]] = MappingProxyType({"edit": "edited", "revoke": "revoked"})
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NUMBER_ID: Final = re.compile(r"[0-9]{1,40}")


class Settings(ConnectorSettings):
    """What may be set for an account, which is the id of a phone number or of a business account."""

    api_url: ServiceAddress = Field(
        default="https://graph.facebook.com/v23.0", description="Address of the Graph API."
    )
    business_account: str | None = Field(
        default=None, description="Id of the business account whose subscription is looked after."
    )
    fetch_media: bool = Field(
        default=False, description="Fetch pictures, recordings and documents, and keep them encrypted."
    )
    poll_seconds: int = Field(default=60, ge=10, description="Seconds between two looks for media.")

    def lacking(self, credentials: frozenset[str]) -> str | None:
        """Fetching takes a token."""
        if (self.fetch_media or self.business_account) and "accessToken" not in credentials:
            return "fetching takes the credential accessToken: add credentials: {accessToken: {file: NAME}}"
        return None

    def misnamed(self, account: str | None, *, fetched: bool) -> str | None:
        """Both are called by digits."""
        if account is None or _NUMBER_ID.fullmatch(account):
            return None
        return "must be the digits of a phone number id or of a business account's id, in quotes"


SETTINGS: Final = Settings


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:
    """Check X-Hub-Signature-256: `sha256=` and the hex HMAC-SHA256 over the raw body, under the app secret.

    Raises:
        Unsigned, BadSignature, NoSecret: see `Connector.verify`.
    """
    signature.check_sha256(delivery.headers.get(SIGNATURE), "X-Hub-Signature-256", secrets, delivery.body)


def handshake(asked: Asked, credentials: Mapping[str, bytes]) -> Reply | None:
    """Answer Meta's challenge, if it knows the verify token."""
    if asked.method != "GET" or "hub.mode" not in asked.query:
        return None
    expected = credentials.get("verifyToken", b"")
    presented = asked.query.get("hub.verify_token", "").encode()
    known = bool(expected) and hmac.compare_digest(
        hashlib.sha256(expected).digest(), hashlib.sha256(presented).digest()
    )
    if not known or asked.query["hub.mode"] != "subscribe":
        return Reply(403, b"the verify token is another")
    return Reply(200, asked.query.get("hub.challenge", "")[:1000].encode())


def parse(delivery: Delivery) -> Parsed:
    """Read every message, status and notice of a delivery; one that lacks an id or a time holds up no other.

    Raises:
        Rejected: the body is no JSON object, is of another account, or none of its parts can be read.
    """
    document = json_object(delivery.body)
    if delivery.headers.get(FORM) == STORED:
        return _stored(delivery, document)
    if text_at(document, "object") != "whatsapp_business_account":
        raise Rejected("shape", "must be whatsapp_business_account", field="object")
    candidates: list[Candidate] = []
    refused: list[Rejected] = []
    for entry in _objects(document, "entry"):
        for change in _objects(entry, "changes"):
            value = object_at(change, "value")
            _check_account(delivery, entry, value)
            for read in _changed(delivery, entry, text_at(change, "field") or "", value):
                try:
                    candidates.append(read())
                except Rejected as rejection:
                    refused.append(rejection)
    if candidates:
        return Parsed(tuple(candidates), candidates[0].dataset, refused=tuple(refused))
    if refused:
        raise refused[0]
    return Parsed((), OTHER, filtered=1, note="nothing in it")


def same_account(configured: str, named: str) -> bool:
    """Whether both are one id."""
    return configured.strip() == named.strip()


def _stored(delivery: Delivery, document: JsonObject) -> Parsed:
    media, source = text_at(document, "media"), text_at(document, "source")
    if media is None or source is None:
        raise Rejected("identity", "the id of the medium or its source is missing", field="media")
    event = build(
        id=f"media:{media}",
        source=source,
        type="com.whatsapp.media.stored",
        time=delivery.received_at,
        subject=text_at(document, "message"),
        data=document,
    )
    return Parsed((Candidate(event=event, dataset=MEDIA, connector=NAME),), MEDIA)


def _changed(
    delivery: Delivery, entry: JsonObject, field: str, value: JsonObject
) -> Iterator[Callable[[], Candidate]]:
    """What one change holds, to be read one by one: messages and statuses, else a notice of its kind."""
    number = text_at(object_at(value, "metadata"), "phone_number_id")
    messages = [*_objects(value, "messages"), *_objects(value, "message_echoes")] if number else []
    statuses = _objects(value, "statuses") if number and field == "messages" else []
    contacts = _objects(value, "contacts")
    for message in messages:
        echo = message not in value.get("messages", ())
        yield partial(_message, str(number), message, contacts, echo=echo)
    for status in statuses:
        yield partial(_status, str(number), status, contacts)
    if not messages and not statuses:
        yield partial(_notice, delivery, entry, field, value)


def _message(number: str, message: JsonObject, contacts: list[JsonObject], *, echo: bool) -> Candidate:
    kind = _KINDS.get(text_at(message, "type") or "", "received")
    return _candidate(
        f"com.whatsapp.message.{kind}",
        MESSAGES,
        number,
        _id(message, "messages"),
        None,
        _time(message, "messages"),
        message_data(message, contacts, number=number, echo=echo),
    )


def _status(number: str, status: JsonObject, contacts: list[JsonObject]) -> Candidate:
    """A status of any name: Meta adds some, and one that is new must hold up nothing it came with."""
    name = text_at(status, "status") or ""
    if not _WORD.fullmatch(name):
        raise Rejected(
            "status", "must be a lower-case word of letters, digits and _", field="statuses.status"
        )
    wamid, at = _id(status, "statuses"), _time(status, "statuses")
    suffix = f"{name}:{int(at.timestamp())}"
    data = status_data(status, contacts, number=number)
    return _candidate(f"com.whatsapp.status.{name}", STATUSES, number, wamid, suffix, at, data)


def _notice(delivery: Delivery, entry: JsonObject, field: str, value: JsonObject) -> Candidate:
    """Anything else Meta tells of an account: kept under its kind, with what it is about and no more."""
    if not _WORD.fullmatch(field):
        raise Rejected("event_name", "must be a lower-case word of letters, digits and _", field="field")
    account = text_at(entry, "id") or "unknown"
    sent = number_at(entry, "time")
    content = orjson.dumps([account, sent, field, value], option=orjson.OPT_SORT_KEYS)
    data: JsonObject = {"field": field, "account": account, "keys": sorted(map(str, value))[:50]}
    data |= {
        name: text_at(value, name)
        for name in ("event", "message_template_name", "reason", "new_quality_score")
    }
    event = build(
        id=hashlib.sha256(content).hexdigest(),
        source=f"https://graph.facebook.com/{account}"
        if _NUMBER_ID.fullmatch(account)
        else "https://graph.facebook.com",
        type=f"com.whatsapp.{field}.received",
        time=_moment(sent) or delivery.received_at,
        data=data,
    )
    return Candidate(event=event, dataset=OTHER, connector=NAME, hashed=frozenset({"id"}))


def _candidate(
    event_type: str,
    dataset: str,
    number: str,
    wamid: str,
    suffix: str | None,
    at: datetime,
    data: JsonObject,
) -> Candidate:
    if not _NUMBER_ID.fullmatch(number):
        raise Rejected("identity", "must be digits", field="metadata.phone_number_id")
    event = build(
        id=f"{wamid}:{suffix}" if suffix else wamid,
        source=f"https://graph.facebook.com/{number}",
        type=event_type,
        time=at,
        subject=wamid,
        data=data,
    )
    return Candidate(event=event, dataset=dataset, connector=NAME, hashed=frozenset({"id", "subject"}))


def _check_account(delivery: Delivery, entry: JsonObject, value: JsonObject) -> None:
    if delivery.account is None:
        return
    named = (text_at(object_at(value, "metadata"), "phone_number_id"), text_at(entry, "id"))
    if not any(name is not None and same_account(delivery.account, name) for name in named):
        raise Rejected(
            "account",
            "the delivery is of another number than the one configured for this address",
            field="entry",
        )


def _id(thing: JsonObject, where: str) -> str:
    wamid = text_at(thing, "id")
    if wamid is None:
        raise Rejected("identity", "the id is missing", field=f"{where}.id")
    return wamid


def _time(thing: JsonObject, where: str) -> datetime:
    value = thing.get("timestamp")
    moment = _moment(int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value)
    if moment is None:
        raise Rejected("time", "must be seconds since 1970", field=f"{where}.timestamp")
    return moment


def _moment(seconds: Any) -> datetime | None:
    """A time in seconds, or in the milliseconds that some notices have."""
    if seconds.__class__ is not int or seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(seconds / 1000 if seconds > 10**11 else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _objects(document: Mapping[str, Any], name: str) -> list[JsonObject]:
    items = document.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
