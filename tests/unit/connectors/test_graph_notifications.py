"""Microsoft Graph's notifications: the handshake, the client state of each, and what a stranger's bytes come to."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta.landing.model import Delivery, Parsed, Rejected
from examples.vendors.graph import Service
from sensors.connectors import email, onedrive
from sensors.connectors.protocol import Asked, BadSignature, NoSecret, Unsigned, Unverified
from sensors.connectors.pulling import FORM

STATE = b"made-up-client-state"
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def notified(body: bytes, **headers: str) -> Delivery:
    return Delivery("arcsat", "onedrive", None, headers, body, AT)


def batch(*states: Any, **more: Any) -> Delivery:
    return notified(orjson.dumps({"value": [{"clientState": state} | more for state in states]}))


def test_a_validation_request_is_answered_with_its_token_as_text():
    asked = Asked("POST", {"validationToken": "Validation: a <b> & ção+"}, {}, b"")
    reply = onedrive.handshake(asked, {})
    assert reply is not None
    assert (reply.status, reply.body, reply.media_type) == (
        200,
        "Validation: a <b> & ção+".encode(),
        "text/plain",
    )


@pytest.mark.parametrize(
    "asked", [Asked("POST", {}, {}, b"{}"), Asked("GET", {"validationToken": "x"}, {}, b"")]
)
def test_anything_else_is_no_handshake(asked: Asked):
    assert onedrive.handshake(asked, {}) is None


def test_a_token_of_any_length_is_not_thrown_back():
    reply = onedrive.handshake(Asked("POST", {"validationToken": "x" * 10_000}, {}, b""), {})
    assert reply is not None
    assert reply.status == 400
    assert b"xxx" not in reply.body


def test_every_notification_of_a_batch_must_carry_one_of_the_secrets():
    onedrive.verify(batch("made-up-client-state", "the-one-before"), [STATE, b"the-one-before"])
    with pytest.raises(BadSignature):
        onedrive.verify(batch("made-up-client-state", "strange"), [STATE])
    with pytest.raises(BadSignature):
        onedrive.verify(batch("strange", "made-up-client-state"), [STATE])
    with pytest.raises(BadSignature):
        onedrive.verify(batch(""), [STATE])


@pytest.mark.parametrize(
    "delivery",
    [
        batch(),
        batch(None),
        batch(7),
        notified(b""),
        notified(b"[]"),
        notified(b'{"value": {}}'),
        batch("x", None),
    ],
)
def test_what_carries_no_client_state_proves_nothing(delivery: Delivery):
    with pytest.raises(Unsigned):
        onedrive.verify(delivery, [STATE])


@pytest.mark.parametrize("secrets", [[], [b""], [STATE, b""]])
def test_without_a_secret_nothing_is_proven(secrets: list[bytes]):
    with pytest.raises(NoSecret):
        onedrive.verify(batch(""), secrets)


@pytest.mark.parametrize("connector", [onedrive, email])
@pytest.mark.parametrize("event", ["reauthorizationRequired", "subscriptionRemoved", "missed"])
def test_a_notification_wakes_and_lands_nothing(connector: Any, event: str):
    service = Service()
    parsed = connector.parse(notified(service.notification(event, "missed")))
    assert (parsed.candidates, parsed.filtered, parsed.wakes) == ((), 2, True)
    assert event in (parsed.note or "")
    assert connector.parse(notified(service.notification())).wakes
    assert connector.ACCEPTED == 202


MEMBERS = """
    value clientState lifecycleEvent change item driveId id path version at labels again revision filtered hash size x
"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS.split()), inner, max_size=6)
    ),
    max_leaves=15,
)
FORMS = st.sampled_from([None, "change", "unchanged", "graph-message", "graph-placed", "graph-deleted", "?"])


def read(connector: Any, delivery: Delivery) -> None:
    with suppress(Rejected):
        parsed = connector.parse(delivery)
        assert isinstance(parsed, Parsed)
        assert all(candidate.event.time.tzinfo is not None for candidate in parsed.candidates)


@given(st.sampled_from([onedrive, email]), st.binary(max_size=200) | JSON.map(orjson.dumps), FORMS)
def test_any_bytes_in_any_form_are_read_or_rejected(connector: Any, body: bytes, form: str | None):
    headers = {FORM: form, "message": "m", "version": "1", "user": "u"} if form else {}
    read(connector, notified(body, **headers))


CHANGE = {
    "change": "created", "driveId": "d", "path": "OneDrive/a", "labels": ["a"], "pii": False, "revision": 0,
    "again": None, "at": "2025-11-12T11:00:00Z", "seen": False, "previousPath": None,
    "item": {"id": "i", "version": "v", "hash": "sha256:00", "size": 1, "mime": "x/y"},
}  # fmt: skip


@given(st.sampled_from(sorted(CHANGE)), JSON)
def test_any_member_of_a_change_may_be_anything(name: str, value: Any):
    read(onedrive, notified(orjson.dumps(CHANGE | {name: value}), **{FORM: "change"}))


@given(st.binary(max_size=200) | JSON.map(orjson.dumps))
def test_any_bytes_are_verified_or_refused(body: bytes):
    with pytest.raises(Unverified):
        onedrive.verify(notified(body), [STATE])
