"""From a delivery to rows ready to be written: parse, contract, policy, mask, digest. No database here.

What comes out holds no personal data in clear but in `Held`, whose delivery is encrypted before it is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson

from batuta.contracts.contract import Contract, Contracts, NoContract
from batuta.contracts.plan import ContractViolation, Plan, Program, write_program
from batuta.events.event import DIGEST_BYTES, Event, Extension, InvalidEvent, begin_digest
from batuta.keys import KeyRing
from batuta.landing.model import Candidate, Delivery, LandingCounts, Parse, Rejected
from batuta.landing.rows import Lane, Row, microseconds
from batuta.policy.decision import Decision, Policy
from batuta.privacy.masking import Mask, Masker, Tally, VaultRow
from batuta.privacy.text import find
from batuta.telemetry import get_logger

_TRACE: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# Scheme and host of a source; what names a user before the host is no part of it.
_HOST: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*(?:/|$))?")
# \u0000 in written JSON, unless the backslash is itself escaped: jsonb cannot hold that character.
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_REPLACEMENT: Final = rb"\1\\ufffd"


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery for quarantine, and why."""

    delivery: Delivery
    rejection: Rejected


@dataclass(slots=True)
class Prepared:
    """One delivery, ready to be committed."""

    connector: str
    product: str
    dataset: str
    received_at: datetime
    rows: list[Row]
    tokens: dict[str, VaultRow]
    counts: LandingCounts
    held: Held | None = None
    replay_of: str | None = None
    wakes: str | None = None
    """The account (its name, "" without one) that the delivery says has news to be pulled."""


class _Track(NamedTuple):
    """How the events of one lane become rows; the digests are begun, and are copied before they are fed."""

    lane: Lane
    plan: Plan
    scan: Mask | None
    key: blake2b
    version: blake2b


class Preparation:
    """Prepares deliveries; keeps what it worked out per product and type. One per process and set of keys."""

    def __init__(self, contracts: Contracts, policy: Policy, keys: KeyRing) -> None:
        self._contracts = contracts
        self._policy = policy
        self._keys = keys
        self._maskers: dict[str, Masker] = {}
        self._body_digests: dict[str, blake2b] = {}
        self._programs: dict[tuple[str, str, tuple[tuple[str, str], ...]], Program] = {}
        self._tracks: dict[tuple[str, str, str, str], _Track] = {}
        self._received: tuple[datetime | None, int] = (None, 0)
        self._log = get_logger("landing")
        self.decisions: dict[bytes, tuple[Decision, Contract]] = {}

    def prepare(self, delivery: Delivery, parse: Parse) -> Prepared:
        """Read a delivery and make its rows; whatever cannot be accepted ends in `held`, nothing is raised."""
        try:
            parsed = parse(delivery)
        except (Rejected, InvalidEvent) as error:
            return self._refuse(delivery, error)
        except Exception as error:  # noqa: BLE001 - a connector's defect must not stop what comes behind it
            self._log.error("connector_failed", connector=delivery.connector, error=type(error).__name__)
            reason = f"the connector {delivery.connector} failed with {type(error).__name__}; this is a defect of it"
            return self._refuse(delivery, Rejected("defect", reason))
        prepared = Prepared(
            delivery.connector,
            delivery.product,
            parsed.dataset,
            delivery.received_at,
            [],
            {},
            LandingCounts(filtered=parsed.filtered) if parsed.filtered else NOTHING,
        )
        if parsed.wakes:
            prepared.wakes = delivery.account or ""
        for rejection in parsed.refused:
            prepared.counts += LandingCounts(quarantined=1)
            prepared.held = prepared.held or Held(delivery, rejection)
        for candidate in parsed.candidates:
            try:
                prepared.rows.append(self._row(delivery, candidate, prepared.tokens))
            except Rejected as rejection:
                prepared.counts += LandingCounts(quarantined=1)
                prepared.held = prepared.held or Held(delivery, rejection)
        return prepared

    def refuse(self, delivery: Delivery, rejection: Rejected) -> Prepared:
        """A delivery that is not to be read at all, for example for its signature."""
        return self._refuse(delivery, rejection)

    def _refuse(self, delivery: Delivery, error: Rejected | InvalidEvent) -> Prepared:
        rejection = (
            error if isinstance(error, Rejected) else Rejected("event", error.message, field=error.field)
        )
        return Prepared(
            delivery.connector,
            delivery.product,
            "unread",
            delivery.received_at,
            rows=[],
            tokens={},
            counts=LandingCounts(quarantined=1),
            held=Held(delivery, rejection),
        )

    def _row(self, delivery: Delivery, candidate: Candidate, tokens: dict[str, VaultRow]) -> Row:
        product = delivery.product
        if candidate.hashed:
            candidate = _hash_attributes(candidate, self._masker(product))
        event = candidate.event
        track = self._tracks.get((product, event.type, candidate.connector, candidate.dataset))
        if track is None:
            track = self._open_track(product, candidate)
        try:
            data, tally = track.plan.apply(event.data)
        except ContractViolation as violation:
            raise Rejected("contract", str(violation), field=violation.field_path or None) from None
        payload = _write_json(data)
        subject, extensions = event.subject, event.extensions
        if track.scan is not None:
            subject, extensions = _scan_attributes(event, track.scan, tally)
        if tally.tokens:
            tokens |= tally.tokens
        key = track.key.copy()
        key.update(f"{event.source}\x00{event.id}".encode())
        version = None
        if candidate.entity is not None and candidate.version is not None:
            version = track.version.copy()
            version.update(f"{candidate.entity}\x00{candidate.version}".encode())
        trace = delivery.headers.get("traceparent") or event.extensions.get("traceparent")
        return Row(
            key.digest(),
            version.digest() if version is not None else None,
            self._body_digest(delivery),
            self._received_at(delivery),
            microseconds(event.time),
            track.lane,
            tally.dropped,
            event.id,
            event.source,
            subject,
            trace if isinstance(trace, str) and _TRACE.fullmatch(trace) else None,
            _write_json(dict(extensions)).decode() if extensions else None,
            payload,
        )

    def _open_track(self, product: str, candidate: Candidate) -> _Track:
        event_type = candidate.event.type
        try:
            contract = self._contracts.for_type(event_type)
        except NoContract:
            raise Rejected(
                "no_contract",
                f"no contract governs events of type {event_type}; write one, apply it and replay",
                field="type",
            ) from None
        decision = self._policy.decide(product, event_type, contract)
        if not decision.allowed:
            raise Rejected(
                "policy", f"policy {decision.policy} does not allow this: {'; '.join(decision.reasons)}"
            )
        masker = self._masker(product)
        track = _Track(
            Lane(
                product,
                event_type,
                candidate.connector,
                candidate.dataset,
                contract.reference,
                decision.id,
            ),
            self._program(contract, decision.rules).bind(masker),
            masker.rule("text", "hash") if candidate.connector == "events" else None,
            begin_digest(product),
            begin_digest(product, candidate.dataset),
        )
        self.decisions[decision.id] = (decision, contract)
        self._tracks[product, event_type, candidate.connector, candidate.dataset] = track
        return track

    def _program(self, contract: Contract, rules: Mapping[str, str]) -> Program:
        key = (contract.name, contract.digest, tuple(sorted(rules.items())))
        program = self._programs.get(key)
        if program is None:
            program = write_program(contract.root, contract.reference, rules)
            self._programs[key] = program
        return program

    def _masker(self, product: str) -> Masker:
        masker = self._maskers.get(product)
        if masker is None:
            masker = self._maskers[product] = Masker(product, self._keys)
        return masker

    def _body_digest(self, delivery: Delivery) -> bytes:
        begun = self._body_digests.get(delivery.product)
        if begun is None:
            key = self._keys.hmac(delivery.product, "body-digest")
            begun = self._body_digests[delivery.product] = blake2b(key=key, digest_size=DIGEST_BYTES)
        digest = begun.copy()
        digest.update(delivery.body)
        return digest.digest()

    def _received_at(self, delivery: Delivery) -> int:
        moment, since = self._received
        if delivery.received_at is not moment:
            moment = delivery.received_at
            since = microseconds(moment)
            self._received = (moment, since)
        return since


NOTHING: Final = LandingCounts()


def _scan_attributes(event: Event, scan: Mask, tally: Tally) -> tuple[str | None, Mapping[str, Extension]]:
    """Subject and extensions as they may be stored: searched for personal data where a producer wrote them."""
    for name, value in (("id", event.id), ("source", event.source)):
        if any(not value[span.start : span.end].isalnum() for span in find(value)):
            raise Rejected(
                "personal_attribute", f"{name} looks like personal data; use an opaque one", field=name
            )
    extensions = {
        name: (scan(value, tally) or "") if isinstance(value, str) else value
        for name, value in event.extensions.items()
    }
    return scan(event.subject, tally), extensions


def _hash_attributes(candidate: Candidate, masker: Masker) -> Candidate:
    """The candidate with keyed hashes in place of what would tell who a person is, its second key included."""

    def hashed(attribute: str, value: str) -> str:
        digest = masker.hash_value("person_id", candidate.connector, value)
        if digest is None:
            raise Rejected("identity", f"{attribute} is blank", field=attribute)
        return digest

    event = candidate.event
    if "id" in candidate.hashed:
        event = event._replace(id=hashed("id", event.id))
    if "subject" in candidate.hashed and event.subject is not None:
        event = event._replace(subject=hashed("subject", event.subject))
    if "source" in candidate.hashed:
        start = _HOST.match(event.source)
        kept = start[0] if start is not None else ""
        if event.source != kept:
            event = event._replace(source=kept + hashed("source", event.source.removeprefix(kept)))
    entity = hashed("entity", candidate.entity) if candidate.entity is not None else None
    return candidate._replace(event=event, entity=entity)


def _write_json(data: dict[str, Any]) -> bytes:
    try:
        payload = orjson.dumps(data)
    except orjson.JSONEncodeError:
        raise Rejected("json", "the data is nested too deep, or holds text that is no Unicode") from None
    # One byte is found much faster than several, and is seldom there.
    return _NUL.sub(_REPLACEMENT, payload) if b"\\" in payload and b"\\u0000" in payload else payload
