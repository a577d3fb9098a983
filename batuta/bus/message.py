"""Prepared deliveries as messages of the bus, and back.

A message is a CloudEvent in structured mode (Kafka binding): the event as it will stand in the log, masked, so that
nothing personal is ever in clear on a broker's disk. What landing needs besides stands in a header: keys, decision,
vault tokens (encrypted), or instead of an event what is held (sealed as in quarantine) and the counts. A second
header proves that it comes from this installation: without it a message is a stranger's, and is read as one.
Format: github.com/cloudevents/spec, Kafka protocol binding 1.0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import orjson

from batuta.contracts.contract import Contract
from batuta.events.event import format_time, parse_time
from batuta.keys import KeyRing
from batuta.landing.model import Delivery, LandingCounts, Rejected, Way
from batuta.landing.prepare import NOTHING, Held, Prepared
from batuta.landing.quarantine import Sealed, open_sealed, seal
from batuta.landing.rows import Lane, Row, microseconds
from batuta.policy.decision import Decision
from batuta.privacy.masking import VaultRow

STRUCTURED: Final = "application/cloudevents+json"
CONTENT_TYPE: Final = f"{STRUCTURED}; charset=UTF-8"
LANDING: Final = "batuta-landing"
SEAL: Final = "batuta-seal"
SETTLED: Final = "com.batuta.delivery.settled"
DECIDED: Final = "com.batuta.decision.made"
SOURCE: Final = "/batuta/gateway"
_ATTRIBUTES: Final = frozenset(
    {"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"}
)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Forged(Exception):
    """A message says that it is ours and does not prove it, or is ours and damaged."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it goes to a broker; the key is the product."""

    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """What a message of ours brings: something to land, or a decision to record before what rests on it."""

    way: Way
    prepared: Prepared | None
    decision: Mapping[str, Any] | None = None


def messages(prepared: Prepared, way: Way, keys: KeyRing) -> list[Message]:
    """One message per event, and one for what a delivery leaves besides: what is held, its counts, its signal."""
    tokens = [_token(row) for row in prepared.tokens.values()]
    made: list[Message] = []
    for row in prepared.rows:
        made.append(_row_message(row, way, tokens, keys))
        tokens = []
    if prepared.counts.total or prepared.held is not None or prepared.wakes is not None:
        made.append(_settled_message(prepared, way, keys))
    return made


def decision_message(decision: Decision, contract: Contract, keys: KeyRing) -> Message:
    """A decision, to be recorded before the events that rest on it."""
    document = {
        "id": decision.id.hex(),
        "product": decision.product,
        "event_type": decision.event_type,
        "policy": decision.policy,
        "policy_digest": decision.policy_digest,
        "contract": decision.contract,
        "contract_digest": decision.contract_digest,
        "allowed": decision.allowed,
        "plan": decision.plan(contract),
    }
    event = _event(DECIDED, decision.id.hex(), document)
    return _message(decision.product, event, {"decision": True, "way": "webhook"}, keys)


def is_ours(headers: Mapping[str, bytes]) -> bool:
    """Whether a message claims to come from this installation's gateways."""
    return LANDING in headers or SEAL in headers


def read(key: str, value: bytes, headers: Mapping[str, bytes], keys: KeyRing) -> Carried:
    """What a message of ours brings.

    Raises:
        Forged: it is not ours, or not whole.
    """
    landing = headers.get(LANDING, b"")
    if not hmac.compare_digest(_seal(key, landing, value, keys), headers.get(SEAL, b"")):
        raise Forged
    try:
        document, event = orjson.loads(landing), orjson.loads(value)
        if "decision" in document:
            return Carried(document["way"], None, event["data"])
        if event["type"] == SETTLED:
            return Carried(document["way"], _settled(key, document, keys))
        return Carried(document["way"], _landed(key, document, event))
    except (ValueError, KeyError, TypeError) as error:
        raise Forged from error


def foreign(product: str, value: bytes, headers: Mapping[str, bytes], received_at: datetime) -> Delivery:
    """A stranger's message as a posted delivery: Kafka's `ce_` headers are HTTP's `ce-`, percent-encoded."""
    named: dict[str, str] = {}
    for name, raw in headers.items():
        text = raw.decode("utf-8", "replace")
        lower = name.lower()
        if lower.startswith("ce_"):
            named[f"ce-{lower.removeprefix('ce_')}"] = quote(text, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")
        elif lower == "content-type":
            named[lower] = text
    return Delivery(product, "events", None, named, value, received_at)


def _row_message(row: Row, way: Way, tokens: Sequence[Sequence[str]], keys: KeyRing) -> Message:
    lane = row.lane
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": row.event_id,
        "source": row.source,
        "type": lane.type,
        "time": format_time(_EPOCH + timedelta(microseconds=row.time)),
        "datacontenttype": "application/json",
    }
    if row.subject is not None:
        event["subject"] = row.subject
    if row.extensions is not None:
        event = orjson.loads(row.extensions) | event
    document: dict[str, Any] = {
        "way": way,
        "key": row.key.hex(),
        "version": row.entity_version.hex() if row.entity_version else None,
        "body": row.body_digest.hex(),
        "received_at": row.received_at,
        "connector": lane.connector,
        "dataset": lane.dataset,
        "schema": lane.dataschema,
        "decision_id": lane.decision.hex(),
        "dropped": row.dropped,
        "trace": row.trace,
        "tokens": tokens,
    }
    return _message(lane.product, event | {"data": orjson.Fragment(row.data)}, document, keys)


def _settled_message(prepared: Prepared, way: Way, keys: KeyRing) -> Message:
    held = prepared.held
    document: dict[str, Any] = {
        "way": way,
        "connector": prepared.connector,
        "dataset": prepared.dataset,
        "received_at": microseconds(prepared.received_at),
        "quarantined": prepared.counts.quarantined,
        "filtered": prepared.counts.filtered,
        "wakes": prepared.wakes,
        "held": _sealed(seal(held.delivery, held.rejection, keys)) if held is not None else None,
        # What is held after a part of its events has landed keeps the tokens of those with them.
        "tokens": [] if prepared.rows else [_token(row) for row in prepared.tokens.values()],
    }
    identity = hashlib.sha256(orjson.dumps(document)).hexdigest()
    return _message(prepared.product, _event(SETTLED, identity, {}), document, keys)


def _event(event_type: str, identity: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": identity,
        "source": SOURCE,
        "type": event_type,
        "datacontenttype": "application/json",
        "data": data,
    }


def _message(product: str, event: Mapping[str, Any], document: Mapping[str, Any], keys: KeyRing) -> Message:
    value, landing = orjson.dumps(event), orjson.dumps(document)
    headers = (
        ("content-type", CONTENT_TYPE.encode()),
        (LANDING, landing),
        (SEAL, _seal(product, landing, value, keys)),
    )
    return Message(product, value, headers)


def _landed(product: str, document: Mapping[str, Any], event: Mapping[str, Any]) -> Prepared:
    lane = Lane(
        product,
        event["type"],
        document["connector"],
        document["dataset"],
        document["schema"],
        bytes.fromhex(document["decision_id"]),
    )
    extensions = {name: value for name, value in event.items() if name not in _ATTRIBUTES}
    row = Row(
        bytes.fromhex(document["key"]),
        bytes.fromhex(document["version"]) if document["version"] else None,
        bytes.fromhex(document["body"]),
        document["received_at"],
        microseconds(parse_time(event["time"])),
        lane,
        document["dropped"],
        event["id"],
        event["source"],
        event.get("subject"),
        document["trace"],
        orjson.dumps(extensions).decode() if extensions else None,
        orjson.dumps(event["data"]),
    )
    tokens = {token[0]: _vault_row(token) for token in document["tokens"]}
    return Prepared(
        lane.connector,
        product,
        lane.dataset,
        _EPOCH + timedelta(microseconds=row.received_at),
        [row],
        tokens,
        NOTHING,
    )


def _settled(product: str, document: Mapping[str, Any], keys: KeyRing) -> Prepared:
    held = document["held"]
    return Prepared(
        document["connector"],
        product,
        document["dataset"],
        _EPOCH + timedelta(microseconds=document["received_at"]),
        [],
        {token[0]: _vault_row(token) for token in document["tokens"]},
        LandingCounts(quarantined=document["quarantined"], filtered=document["filtered"]),
        held=_held(held, keys) if held is not None else None,
        wakes=document["wakes"],
    )


def _sealed(sealed: Sealed) -> dict[str, Any]:
    return {
        "product": sealed.product,
        "connector": sealed.connector,
        "account": sealed.account,
        "digest": sealed.digest.hex(),
        "reason_code": sealed.reason_code,
        "reason": sealed.reason,
        "field": sealed.field,
        "key_id": sealed.key_id,
        "nonce": sealed.nonce.hex(),
        "payload": base64.b64encode(sealed.payload).decode("ascii"),
        "received_at": microseconds(sealed.received_at),
    }


def _held(document: Mapping[str, Any], keys: KeyRing) -> Held:
    sealed = Sealed(
        document["product"],
        document["connector"],
        document["account"],
        bytes.fromhex(document["digest"]),
        document["reason_code"],
        document["reason"],
        document["field"],
        document["key_id"],
        bytes.fromhex(document["nonce"]),
        base64.b64decode(document["payload"]),
        _EPOCH + timedelta(microseconds=document["received_at"]),
    )
    rejection = Rejected(sealed.reason_code, sealed.reason, field=sealed.field)
    return Held(open_sealed(sealed, keys), rejection)


def _token(row: VaultRow) -> list[str]:
    return [row.token, row.product, row.kind, row.key_id, row.nonce.hex(), row.ciphertext.hex()]


def _vault_row(token: Sequence[str]) -> VaultRow:
    name, product, kind, key_id, nonce, ciphertext = token
    return VaultRow(name, product, kind, key_id, bytes.fromhex(nonce), bytes.fromhex(ciphertext))


def _seal(product: str, landing: bytes, value: bytes, keys: KeyRing) -> bytes:
    inner = hmac.new(keys.hmac(product, "bus"), len(landing).to_bytes(8, "big"), hashlib.sha256)
    inner.update(landing)
    inner.update(value)
    return inner.hexdigest().encode()
