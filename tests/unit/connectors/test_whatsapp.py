"""WhatsApp: batches, ids that hold a phone number, forwards without an origin, and what is never kept."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta.contracts.contract import Contracts
from batuta.keys import create_keys
from batuta.landing.land import Landing
from batuta.landing.model import Candidate, Delivery, Parsed, Rejected
from batuta.policy.decision import DefaultPolicy
from examples.vendors import whatsapp as meta
from sensors.connectors import whatsapp
from sensors.connectors.protocol import Asked, BadSignature, Unsigned

NEW = {"body": "n"}
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def sent(body: bytes, **headers: str) -> Delivery:
    return Delivery("arcsat", "whatsapp", None, headers, body, AT)


def read(body: bytes) -> tuple[Candidate, ...]:
    return whatsapp.parse(sent(body)).candidates


def data(message: dict[str, Any]) -> dict[str, Any]:
    [candidate] = read(meta.delivery(message))
    return candidate.event.data


def test_every_message_and_status_of_a_batch_is_read():
    messages = [meta.text_message(n, f"oi {n}", AT) for n in range(3)]
    found = read(meta.delivery(*messages, statuses=[meta.status(9, "sent", AT), meta.status(9, "read", AT)]))
    assert [c.event.type for c in found] == [
        *["com.whatsapp.message.received"] * 3,
        "com.whatsapp.status.sent",
        "com.whatsapp.status.read",
    ]
    assert len({c.event.id for c in found}) == 5
    assert [c.dataset for c in found] == [*["messages"] * 3, "statuses", "statuses"]


def test_no_phone_number_leaves_landing_in_clear():
    landing = Landing(Contracts.load(), DefaultPolicy(), create_keys(Path(tempfile.mkdtemp())), lambda: AT)
    message = meta.text_message(1, f"me liga: +55 11 98765-4321, ana@example.com, {meta.CUSTOMER}", AT)
    prepared = landing.prepare(
        sent(meta.delivery(message, statuses=[meta.status(2, "sent", AT)])), whatsapp.parse
    )
    assert prepared.held is None
    written = repr(prepared.rows).encode()
    for secret in (
        b"5511987654321",
        b"98765-4321",
        b"ana@example",
        b"Maria",
        meta.wamid(meta.CUSTOMER, 1).encode(),
    ):
        assert secret not in written
    assert len(prepared.rows) == 2


def test_a_status_that_is_new_is_kept_under_its_name_and_holds_up_nothing_it_came_with():
    body = meta.delivery(meta.text_message(1, "oi", AT), statuses=[meta.status(9, "pondered", AT)])
    landing = Landing(Contracts.load(), DefaultPolicy(), create_keys(Path(tempfile.mkdtemp())), lambda: AT)
    prepared = landing.prepare(sent(body), whatsapp.parse)
    assert prepared.held is None
    assert [(row.lane.type, row.lane.dataset) for row in prepared.rows] == [
        ("com.whatsapp.message.received", "messages"),
        ("com.whatsapp.status.pondered", "statuses"),
    ]


def test_a_part_that_cannot_be_read_is_held_and_the_rest_of_its_batch_lands():
    broken = meta.text_message(2, "sem hora", AT) | {"timestamp": "ontem"}
    body = meta.delivery(meta.text_message(1, "oi", AT), broken, meta.text_message(3, "tchau", AT))
    landing = Landing(Contracts.load(), DefaultPolicy(), create_keys(Path(tempfile.mkdtemp())), lambda: AT)
    prepared = landing.prepare(sent(body), whatsapp.parse)
    assert [row.lane.type for row in prepared.rows] == ["com.whatsapp.message.received"] * 2
    assert prepared.held is not None
    assert (prepared.held.rejection.code, prepared.held.rejection.field) == ("time", "messages.timestamp")
    assert (prepared.counts.quarantined, prepared.held.delivery.body) == (1, body)
    with pytest.raises(Rejected, match="seconds since 1970"):
        read(meta.delivery(broken))


def test_a_status_belongs_to_its_message():
    message, status = read(
        meta.delivery(meta.text_message(1, "x", AT), statuses=[meta.status(1, "delivered", AT)])
    )
    assert message.event.subject == status.event.subject
    assert message.hashed == status.hashed == {"id", "subject"}


def test_a_forward_says_that_it_is_one_and_nothing_of_its_origin():
    plain = data(meta.text_message(1, "x", AT))
    once = data(meta.text_message(1, "x", AT, context={"forwarded": True}))
    often = data(meta.text_message(1, "x", AT, context={"frequently_forwarded": True}))
    assert [(d["forwarded"], d["frequently_forwarded"]) for d in (plain, once, often)] == [
        (False, False),
        (True, False),
        (True, True),
    ]
    assert once["sender"]["phone"] == meta.CUSTOMER
    assert not {"origin", "original_sender", "source"} & once.keys()


def test_a_picture_is_known_by_its_hash():
    media = data(meta.media_message(1, b"foto", AT))["media"]
    assert (
        media["hash"]
        == "sha256:7bbe70d9a9eb3ba4ba0bb9a1eef7cebf1ba0b9d7d0c6b2a4a4e2ff3b53d5a4bb"[:7] + media["hash"][7:]
    )
    assert media == data(meta.media_message(2, b"foto", AT))["media"] | {"id": media["id"]}
    assert media["hash"] != data(meta.media_message(1, b"outra", AT))["media"]["hash"]
    broken = meta.media_message(1, b"foto", AT)
    broken["image"]["sha256"] = "4654+8g="
    assert data(broken)["media"]["hash"] is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {"type": "reaction", "reaction": {"message_id": "wamid.a", "emoji": "😮"}},
            {"reacts_to": "wamid.a"},
        ),
        ({"type": "button", "button": {"payload": "SIM", "text": "Sim"}}, {"choice": "SIM", "text": "Sim"}),
        (
            {
                "type": "interactive",
                "interactive": {"type": "list_reply", "list_reply": {"id": "r", "title": "T"}},
            },
            {"choice": "r", "text": "T"},
        ),
        ({"type": "order", "order": {"product_items": [{}, {}], "text": "2 canecas"}}, {"order_items": 2}),
        ({"type": "contacts", "contacts": [{"name": {}}]}, {"contact_cards": 1}),
        ({"type": "location", "location": {"latitude": 1.5, "longitude": 2.5}}, {"text": None}),
        (
            {"type": "unsupported", "errors": [{"code": 131051, "title": "x"}]},
            {"errors": [{"code": 131051, "title": "x"}]},
        ),
        (
            {
                "type": "edit",
                "edit": {
                    "original_message_id": "wamid.b",
                    "message": {"type": "text", "text": {"body": "n"}},
                },
            },
            {"original": "wamid.b", "text": "n", "type": "text"},
        ),
        ({"type": "revoke", "revoke": {"original_message_id": "wamid.c"}}, {"original": "wamid.c"}),
        (
            {
                "type": "system",
                "system": {"type": "user_changed_number", "wa_id": "5511900000000", "body": "x"},
            },
            {"system": "user_changed_number", "text": None},
        ),
        ({"type": "what_is_this", "what_is_this": {"x": 1}}, {"type": "what_is_this"}),
    ],
)
def test_every_type_is_read(content: dict[str, Any], expected: dict[str, Any]):
    message = meta.text_message(1, "", AT) | content
    found = data(message)
    assert {name: found[name] for name in expected} == expected


def test_where_somebody_is_and_whose_cards_they_share_is_not_kept():
    shared = meta.text_message(1, "", AT) | {
        "type": "location",
        "location": {"latitude": -23.5613, "longitude": -46.6565, "name": "Casa da Maria"},
    }
    assert "-23.56" not in str(data(shared))
    assert "Casa" not in str(data(shared))


def test_edits_and_revocations_are_types_of_their_own():
    kinds = [
        read(meta.delivery(meta.text_message(1, "", AT) | {"type": kind, kind: {}}))[0].event.type
        for kind in ("edit", "revoke")
    ]
    assert kinds == ["com.whatsapp.message.edited", "com.whatsapp.message.revoked"]


def test_a_user_without_a_phone_number_is_known_by_the_id_meta_gives():
    message = meta.text_message(1, "oi", AT)
    del message["from"]
    value = {
        "metadata": {"phone_number_id": meta.NUMBER_ID},
        "contacts": [{"user_id": "US.134", "profile": {"name": "x"}}],
        "messages": [message],
    }
    [candidate] = read(meta.whole(value, "messages"))
    assert candidate.event.data["sender"] == {"phone": None, "user": "US.134"}


def test_any_other_notice_is_kept_under_its_kind():
    value = {"event": "ACCOUNT_RESTRICTION", "restriction_info": [{"restriction_type": "x"}]}
    [notice] = read(meta.whole(value, "account_update", time=1641330498))
    assert notice.event.type == "com.whatsapp.account_update.received"
    assert notice.event.time == datetime.fromtimestamp(1641330498, UTC)
    assert notice.event.data["event"] == "ACCOUNT_RESTRICTION"
    assert read(meta.whole(value, "account_update", time=1641330498))[0].event.id == notice.event.id


def test_a_number_of_somebody_else_is_refused():
    delivery = Delivery("arcsat", "whatsapp", "999", {}, meta.delivery(meta.text_message(1, "x", AT)), AT)
    with pytest.raises(Rejected, match="another number"):
        whatsapp.parse(delivery)
    for account in (meta.NUMBER_ID, meta.BUSINESS):
        ours = Delivery("arcsat", "whatsapp", account, {}, delivery.body, AT)
        assert whatsapp.parse(ours).candidates


def test_the_challenge_is_answered_to_who_knows_the_token_only():
    def ask(**query: str) -> Any:
        named = {f"hub.{name}": value for name, value in query.items()}
        return whatsapp.handshake(Asked("GET", named, {}, b""), {"verifyToken": b"palavra"})

    good = ask(mode="subscribe", verify_token="palavra", challenge="1158201444")
    assert (good.status, good.body) == (200, b"1158201444")
    assert ask(mode="subscribe", verify_token="outra", challenge="1").status == 403
    assert ask(mode="unsubscribe", verify_token="palavra", challenge="1").status == 403
    assert whatsapp.handshake(Asked("GET", {"hub.mode": "subscribe"}, {}, b""), {}).status == 403  # pyright: ignore[reportOptionalMemberAccess]
    assert whatsapp.handshake(Asked("POST", {}, {}, b"{}"), {"verifyToken": b"palavra"}) is None


def test_the_signature_is_over_the_bytes_as_they_were_escaped():
    body = meta.delivery(meta.text_message(1, "não é/ção", AT))
    assert b"\\u00e3" in body
    headers = meta.signed(body, b"app-secret")
    whatsapp.verify(sent(body, **headers), (b"old", b"app-secret"))
    with pytest.raises(BadSignature):
        whatsapp.verify(sent(orjson.dumps(orjson.loads(body)), **headers), (b"app-secret",))
    with pytest.raises(Unsigned):
        whatsapp.verify(sent(body), (b"app-secret",))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "type", "text", "body", "from", "timestamp", "context", "image", "sha256", "errors"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(["from", "id", "timestamp", "type", "text", "image", "context", "edit", "system"]),
        JSON,
    )
)
def test_any_message_is_read_or_rejected(message: dict[str, Any]):
    value = {"metadata": {"phone_number_id": meta.NUMBER_ID}, "messages": [message], "contacts": [message]}
    body = {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"value": value, "field": "messages"}]}],
    }
    try:
        parsed = whatsapp.parse(sent(orjson.dumps(body)))
    except Rejected:
        return
    assert isinstance(parsed, Parsed)
    assert len(parsed.candidates) == 1
