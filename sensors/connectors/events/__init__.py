"""CloudEvents over HTTP, from any sender of a product's own: structured, binary and batch.

A sender proves itself by the product's token (`Authorization: Bearer`) or by a Standard Webhooks signature;
a secret that begins with `whsec_` signs, any other is a token. Events of a vendor's type come in only
through its connector.
Protocol: github.com/cloudevents/spec (HTTP binding, JSON format); standardwebhooks.com.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote

import orjson

from batuta.events.event import Event, InvalidEvent
from batuta.events.types import lookup
from batuta.landing.model import Candidate, Delivery, Parsed, Rejected
from sensors.connectors import signature
from sensors.connectors.protocol import BadSignature, Unsigned
from sensors.connectors.pulling import ConnectorSettings
from sensors.connectors.reading import json_value

NAME: Final = "events"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
BINARY: Final = "application/json"
MEDIA_TYPES: Final = frozenset({STRUCTURED, BATCH, BINARY})
REQUIRED_HEADERS: Final[tuple[str, ...]] = ()
PUSH: Final = True
SETTINGS: Final = ConnectorSettings
CREDENTIALS: Final[Mapping[str, str]] = MappingProxyType({})

OTHER: Final = "other"
SIGNING_PREFIX: Final = b"whsec_"
TIMESTAMP_TOLERANCE_SECONDS: Final = 300

_TOKEN: Final = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_REQUIRED: Final = ("specversion", "id", "source", "type", "time", "data")
_SOUND: Final[Mapping[str, Any]] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/",
    "type": "a",
    "time": "2025-01-01T00:00:00Z",
    "data": {},
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one event: its place in the batch, the attribute, and what it must be."""

    index: int
    field: str
    message: str


class Malformed(Rejected):
    """A body that is not CloudEvents; `problems` has everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(
            "event", f"event {first.index}: {first.field}: {first.message}{more}", field=first.field
        )
        self.problems = tuple(problems)


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:
    """Check the Standard Webhooks signature if there is one, else the bearer token.

    Raises:
        Unsigned, BadSignature, NoSecret: see `Connector.verify`.
    """
    signature.require_secrets(secrets)
    if "webhook-signature" in delivery.headers:
        keys = [_signing_key(secret) for secret in secrets if secret.startswith(SIGNING_PREFIX)]
        _verify_signature(delivery, keys)
        return
    token = _TOKEN.fullmatch(delivery.headers.get("authorization", ""))
    if token is None:
        raise Unsigned(
            "the request carries no credential",
            hint="send Authorization: Bearer <token>, or a webhook-signature",
        )
    tokens = [secret for secret in secrets if not secret.startswith(SIGNING_PREFIX)]
    _verify_token(token[1].encode("latin-1", "replace"), tokens)


def parse(delivery: Delivery) -> Parsed:
    """Read the event, or all events of a batch, strictly.

    Raises:
        Malformed: something is wrong with one of the events; all of it is listed.
        Rejected: the body is not JSON, or not of the announced form.
    """
    documents = _documents(delivery)
    events: list[Event] = []
    problems: list[Problem] = []
    for index, document in enumerate(documents):
        try:
            event = Event.from_json(document)
        except InvalidEvent:
            problems.extend(_problems(index, document))
            continue
        problem = _reserved(index, event)
        if problem is None:
            events.append(event)
        else:
            problems.append(problem)
    if problems:
        raise Malformed(problems)
    candidates = tuple(
        Candidate(event=event, dataset=_dataset(event.type), connector=NAME) for event in events
    )
    return Parsed(candidates=candidates, dataset=candidates[0].dataset if candidates else OTHER)


def split(delivery: Delivery) -> Iterator[Delivery]:
    """One delivery per event, so that each stands, and is kept, for itself.

    Raises:
        Rejected: a batch that is no JSON array.
    """
    if media_type(delivery) != BATCH:
        yield delivery
        return
    headers = dict(delivery.headers) | {"content-type": STRUCTURED}
    for document in _documents(delivery):
        yield replace(delivery, headers=headers, body=orjson.dumps(document))


def same_account(configured: str, named: str) -> bool:
    """Whether both name one account; a sender's accounts are free words."""
    return configured == named


def media_type(delivery: Delivery) -> str:
    """The content type without parameters; structured where none is given, as in files of events."""
    content_type = delivery.headers.get("content-type")
    return content_type.partition(";")[0].strip().lower() if content_type else STRUCTURED


def _documents(delivery: Delivery) -> list[Any]:
    """The structured forms in a body of any of the three modes."""
    kind = media_type(delivery)
    if kind == BATCH:
        documents = json_value(delivery.body)
        if not isinstance(documents, list):
            raise Rejected("shape", "a batch must be a JSON array of events")
        return documents
    if kind == STRUCTURED:
        return [json_value(delivery.body)]
    return [_from_headers(delivery)]


def _from_headers(delivery: Delivery) -> dict[str, Any]:
    """Binary mode: attributes in `ce-` headers, percent-encoded; the body is the data."""
    attributes = {
        name.removeprefix("ce-"): _decoded(name, value)
        for name, value in delivery.headers.items()
        if name.startswith("ce-")
    }
    if not attributes:
        raise Rejected(
            "headers",
            f"{BINARY} needs the event's attributes in ce- headers",
            field="ce-specversion",
        )
    for reserved in ("data", "datacontenttype"):
        if reserved in attributes:
            raise Rejected("headers", "is no header of binary mode", field=f"ce-{reserved}")
    return attributes | {"data": json_value(delivery.body)}


def _decoded(name: str, value: str) -> str:
    text = value.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        return unquote(text, encoding="utf-8", errors="strict")
    except UnicodeDecodeError:
        raise Rejected("headers", "is not percent-encoded UTF-8", field=name) from None


def _problems(index: int, document: Any) -> list[Problem]:
    """Everything wrong with an event, each attribute judged with all others sound."""
    if not isinstance(document, dict):
        return [Problem(index, "event", "must be a JSON object")]
    attributes = {name: value for name, value in document.items() if value is not None}
    missing = [Problem(index, name, "is required") for name in _REQUIRED if name not in attributes]
    found: list[Problem] = []
    for name, value in attributes.items():
        try:
            Event.from_json({**_SOUND, name: value})
        except InvalidEvent as error:
            problem = Problem(index, error.field, error.message.removeprefix(f"{error.field}: "))
            if problem not in found:
                found.append(problem)
    return missing + found


def _reserved(index: int, event: Event) -> Problem | None:
    row = lookup(event.type)
    if row is None or row.connector == NAME or row.also_posted:
        return None
    return Problem(index, "type", f"events of this type come in through the connector {row.connector} only")


def _dataset(event_type: str) -> str:
    row = lookup(event_type)
    return row.dataset if row is not None and row.connector == NAME else OTHER


def _signing_key(secret: bytes) -> bytes:
    encoded = secret.removeprefix(SIGNING_PREFIX)
    try:
        return base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        return b""


def _verify_signature(delivery: Delivery, keys: Sequence[bytes]) -> None:
    """HMAC-SHA256 over `id.timestamp.body`; any of the listed `v1` signatures will do."""
    identifier = delivery.headers.get("webhook-id", "")
    timestamp = delivery.headers.get("webhook-timestamp", "").strip()
    if not identifier:
        raise BadSignature("the header webhook-id is missing")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
        raise BadSignature("the header webhook-timestamp must be seconds since 1970")
    sent_at = datetime.fromtimestamp(int(timestamp), UTC)
    if abs((delivery.received_at - sent_at).total_seconds()) > TIMESTAMP_TOLERANCE_SECONDS:
        raise BadSignature("webhook-timestamp is more than five minutes away", hint="set the sender's clock")
    if not keys:
        raise BadSignature("this product's secrets sign nothing; send its token instead")
    message = b".".join((identifier.encode("latin-1", "replace"), timestamp.encode(), delivery.body))
    presented = [
        signature.from_base64(digest)
        for version, _, digest in (
            item.partition(",") for item in delivery.headers["webhook-signature"].split()
        )
        if version == "v1"
    ]
    signature.check(presented, keys, message)


def _verify_token(presented: bytes, tokens: Sequence[bytes]) -> None:
    """Digests are compared, so that neither length nor place of a token shows in the time taken."""
    digest = hashlib.sha256(presented).digest()
    matched = False
    for token in tokens:
        matched |= signature.equal(digest, hashlib.sha256(token).digest())
    if not matched:
        raise BadSignature("the token is not this product's")
