"""Addresses of the bus, and what a message carries: all of a prepared delivery, and only from this installation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from batuta.bus.address import BusAddress
from batuta.bus.message import LANDING, Forged, Message, foreign, is_ours, messages, read
from batuta.keys import KeyRing, create_keys
from batuta.landing.model import Delivery, LandingCounts, Rejected
from batuta.landing.prepare import Held, Prepared
from batuta.landing.rows import Lane, Row
from batuta.privacy.masking import VaultRow
from batuta.settings import Settings

MOMENT = datetime(2025, 11, 12, 11, 0, 5, 123456, tzinfo=UTC)
DIGEST = st.binary(min_size=16, max_size=16)
TEXT = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=12)
JSON = st.dictionaries(
    TEXT,
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | TEXT,
    max_size=3,
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return create_keys(tmp_path_factory.mktemp("keys"))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    lane = Lane("arcsat", "com.example.a", draw(TEXT), draw(TEXT), "example/1", draw(DIGEST))
    extensions = draw(st.none() | st.just('{"traceparent":"00-1"}') | st.just('{"sequence":"7","flag":true}'))
    return Row(
        draw(DIGEST),
        draw(st.none() | DIGEST),
        draw(DIGEST),
        draw(st.integers(0, 10**15)),
        draw(st.integers(-(10**15), 10**15)),
        lane,
        draw(st.integers(0, 99)),
        draw(TEXT),
        draw(TEXT),
        draw(st.none() | TEXT),
        draw(st.none() | TEXT),
        extensions,
        orjson.dumps(orjson.loads(orjson.dumps(draw(JSON)))),
    )


TOKENS = st.builds(
    lambda token, ciphertext: {token: VaultRow(token, "arcsat", "cpf", "k1", b"\x00" * 12, ciphertext)},
    TEXT,
    st.binary(max_size=40),
)


def carried(message: Message, keys: KeyRing) -> Prepared:
    prepared = read(message.key, message.value, dict(message.headers), keys).prepared
    assert prepared is not None
    return prepared


@given(made=st.lists(rows(), min_size=1, max_size=3), tokens=TOKENS)
def test_rows_and_tokens_come_out_as_they_went_in(
    keys: KeyRing, made: list[Row], tokens: dict[str, VaultRow]
):
    prepared = Prepared("shopify", "arcsat", "orders", MOMENT, made, tokens, LandingCounts())
    found = [carried(message, keys) for message in messages(prepared, "webhook", keys)]
    assert [row for one in found for row in one.rows] == made
    assert {name: row for one in found for name, row in one.tokens.items()} == tokens
    for message in messages(prepared, "webhook", keys):
        event = orjson.loads(message.value)
        assert event["specversion"] == "1.0"
        assert dict(message.headers)["content-type"].startswith(b"application/cloudevents+json")


@given(body=st.binary(max_size=60), field=st.none() | TEXT)
def test_what_is_held_comes_out_whole_and_is_not_in_clear_on_the_way(
    keys: KeyRing, body: bytes, field: str | None
):
    delivery = Delivery("arcsat", "shopify", "shop", {"x-shop": "s"}, b"personal:" + body, MOMENT)
    rejection = Rejected("contract", "total is missing", field=field)
    prepared = Prepared(
        "shopify", "arcsat", "unread", MOMENT, [], {}, LandingCounts(quarantined=1), Held(delivery, rejection)
    )
    [message] = messages(prepared, "webhook", keys)
    assert b"personal:" not in message.value + b"".join(content for _, content in message.headers)
    found = carried(message, keys)
    assert found.held is not None
    assert found.held.delivery == delivery
    assert (found.held.rejection.code, found.held.rejection.field) == ("contract", field)
    assert found.counts == prepared.counts


def test_a_signal_without_events_is_carried(keys: KeyRing):
    prepared = Prepared("notion", "arcsat", "pages", MOMENT, [], {}, LandingCounts(filtered=1), wakes="space")
    [message] = messages(prepared, "webhook", keys)
    assert carried(message, keys) == prepared


def test_a_delivery_that_leaves_nothing_is_no_message(keys: KeyRing):
    nothing = Prepared("shopify", "arcsat", "orders", MOMENT, [], {}, LandingCounts())
    assert messages(nothing, "webhook", keys) == []


def test_a_message_that_was_changed_or_is_another_s_is_forged(keys: KeyRing, tmp_path: Path):
    prepared = Prepared("notion", "arcsat", "pages", MOMENT, [], {}, LandingCounts(filtered=1))
    [message] = messages(prepared, "webhook", keys)
    for changed in (
        replace(message, key="lojablock"),
        replace(message, value=message.value + b" "),
        replace(message, headers=(*message.headers, (LANDING, b"{}"))),
        replace(message, headers=message.headers[:2]),
    ):
        assert is_ours(dict(changed.headers))
        with pytest.raises(Forged):
            carried(changed, keys)
    with pytest.raises(Forged):
        carried(message, create_keys(tmp_path))


@given(
    value=st.binary(max_size=40),
    headers=st.dictionaries(
        st.text(max_size=8) | st.sampled_from(["ce_id", "CE_Type", "content-type"]), st.binary(max_size=8)
    ),
)
def test_any_bytes_of_a_stranger_are_a_delivery(value: bytes, headers: dict[str, bytes]):
    delivery = foreign("arcsat", value, headers, MOMENT)
    assert (delivery.product, delivery.connector, delivery.body) == ("arcsat", "events", value)
    assert all(name == "content-type" or name.startswith("ce-") for name in delivery.headers)


def test_addresses():
    assert BusAddress.of("kafka://one:9092,[::1]:9093/events?product=arcsat") == BusAddress(
        "one:9092,[::1]:9093", "events", "arcsat"
    )
    assert BusAddress.of("kafka://one:9092/events?group=mine").group == "mine"
    found = BusAddress.of("kafka+tls://ana:p%40ss%2F@one:9093/events?sasl=SCRAM-SHA-512&ca=/etc/own.pem")
    assert found == BusAddress(
        "one:9093",
        "events",
        tls=True,
        user="ana",
        password="p@ss/",
        mechanism="SCRAM-SHA-512",
        ca="/etc/own.pem",
    )
    assert "p@ss" not in repr(found)
    assert "p%40ss" not in repr(Settings(bus=SecretStr("kafka+tls://ana:p%40ss@one:9093/events")))


@pytest.mark.parametrize(
    "text",
    ["", "kafka://", "kafka://one/events", "kafka://one:9092", "kafka://one:9092/a b", "amqp://one:9092/events",
     "kafka://one:9092/events?products=a", "kafka+tls://user@one:9092/events", "kafka://one:9092/events?product=",
     "kafka+tls://user:secret@one:9092/events?sasl=GSSAPI", "kafka+tls://one:9092/events?ca="],
)  # fmt: skip
def test_an_address_that_is_none_is_said_to_be_none(text: str):
    with pytest.raises(ValueError, match="kafka://host:9092/topic"):
        Settings(bus=SecretStr(text))
