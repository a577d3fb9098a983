"""Whatever a vendor, a proxy or a stranger sends, a connector reads it or says `Rejected`; nothing else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batuta.landing.model import Parsed, Rejected
from examples.vendors import whatsapp as meta
from examples.vendors.shopify_data import merged
from sensors.connectors import CONNECTORS, events
from sensors.connectors.pulling import FORM
from tests.support.vendor_deliveries import (
    RECEIVED_AT,
    REPOSITORY,
    cloud_event,
    delivery,
    pull_request,
    shopify_order,
    signed_github,
    signed_shopify,
)

KEYS = st.sampled_from(
    [
        "id",
        "name",
        "email",
        "customer",
        "refunds",
        "updated_at",
        "created_at",
        "admin_graphql_api_id",
        "action",
        "repository",
        "full_name",
        "organization",
        "login",
        "installation",
        "pull_request",
        "number",
        "release",
        "head_commit",
        "timestamp",
        "pushed_at",
        "specversion",
        "source",
        "type",
        "time",
        "data",
        "subject",
        "dataschema",
        "datacontenttype",
        "data_base64",
        "x",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=15)
    | st.sampled_from(
        ["2025-11-12T11:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "1.0", "\x00"]
    )
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
HEADERS = {name: {"content-type": "application/json"} for name in CONNECTORS} | {
    "shopify": signed_shopify({})[0],
    "github": signed_github({})[0],
    "notion": {FORM: "change"},
    "obsidian": {FORM: "change"},
    "onedrive": {FORM: "change"},
    "whatsapp": {},
    "events": {"content-type": events.STRUCTURED},
}
SHAPES: dict[str, list[dict[str, Any]]] = {
    name: [{"value": [{"clientState": "x", "resource": "y"}], "entry": [], "type": "z"}]
    for name in CONNECTORS
} | {
    "shopify": [shopify_order()],
    "github": [
        pull_request(),
        {"ref": "x", "head_commit": {"timestamp": "x"}, "repository": dict(REPOSITORY)},
    ],
    "notion": [
        {"change": "updated", "page": {"id": "a", "last_edited_time": "2025-11-12T11:00:00Z"}, "hash": "x"},
        {"type": "page.created", "entity": {"id": "a", "type": "page"}},
    ],
    "whatsapp": [orjson.loads(meta.delivery(meta.text_message(1, "oi", RECEIVED_AT)))],
    "obsidian": [{"change": "created", "path": "Cofre/a.md", "hash": "sha256:x", "note": {"tags": ["a"]}}],
    "onedrive": [{"change": "created", "item": {"id": "a"}}, {"value": [{"subscriptionId": "a"}]}],
    "events": [cloud_event()],
}
NAMES = st.sampled_from(sorted(CONNECTORS))
HEADER_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)


def _parsed_or_rejected(name: str, headers: dict[str, str], body: bytes) -> Parsed | Rejected:
    try:
        return CONNECTORS[name].parse(delivery(name, headers, body))
    except Rejected as rejected:
        return rejected


def read(name: str, headers: dict[str, str], body: bytes) -> None:
    parsed = _parsed_or_rejected(name, headers, body)
    if isinstance(parsed, Rejected):
        assert parsed.code
        assert parsed.message
        return
    assert isinstance(parsed, Parsed)
    for candidate in parsed.candidates:
        assert candidate.event.time.tzinfo is not None
        assert candidate.connector == name


@given(NAMES, st.binary(max_size=200))
def test_any_bytes(name: str, body: bytes):
    read(name, HEADERS[name], body)


@given(NAMES, JSON)
def test_any_json(name: str, document: Any):
    read(name, HEADERS[name], orjson.dumps(document))


@given(
    st.sampled_from([events.STRUCTURED, events.BATCH, events.BINARY]),
    JSON,
    st.dictionaries(KEYS, HEADER_TEXT),
)
def test_any_json_in_any_cloudevents_mode(mode: str, document: Any, attributes: dict[str, str]):
    headers = {f"ce-{name}": value for name, value in attributes.items()}
    read("events", {"content-type": mode, **headers}, orjson.dumps(document))


@settings(max_examples=200)
@given(NAMES, st.data())
def test_a_real_payload_with_any_member_replaced_or_taken_away(name: str, data: st.DataObject):
    document: Any = orjson.loads(orjson.dumps(data.draw(st.sampled_from(SHAPES[name]))))
    for _ in range(data.draw(st.integers(1, 3))):
        owner = document
        while True:
            key = data.draw(st.sampled_from(sorted(owner)))
            if not isinstance(owner[key], dict) or not owner[key] or data.draw(st.booleans()):
                break
            owner = owner[key]
        if data.draw(st.booleans()):
            owner[key] = data.draw(JSON)
        elif len(owner) > 1:
            del owner[key]
    read(name, HEADERS[name], orjson.dumps(document))


@given(
    st.dictionaries(
        st.sampled_from(sorted(merged(7, 8))), SCALARS | HEADER_TEXT.map("gid://shopify/Customer/{}".format)
    )
)
def test_a_merge_of_customers_with_any_member_replaced(changes: dict[str, Any]):
    headers = signed_shopify({}, topic="customers/merge")[0]
    read("shopify", headers, orjson.dumps(merged(7, 8) | changes))


@given(NAMES, st.data())
def test_any_headers(name: str, data: st.DataObject):
    changes = data.draw(
        st.dictionaries(st.sampled_from(sorted(HEADERS[name]) or ["x-none"]), HEADER_TEXT, max_size=4)
    )
    read(name, HEADERS[name] | changes, orjson.dumps(SHAPES[name][0]))


@pytest.mark.parametrize("name", sorted(CONNECTORS))
def test_what_a_vendor_adds_is_no_problem(name: str):
    read(name, HEADERS[name] | {"x-new": "1"}, orjson.dumps(SHAPES[name][0] | {"added": {"later": [1, 2]}}))
