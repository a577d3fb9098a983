"""No bytes, from a stranger or from a signed sender, make the gateway fail; each answer is one of the known ones."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.gateway_server import Running
from tests.support.vendor_deliveries import (
    EVENTS_TOKEN,
    cloud_event,
    pull_request,
    shopify_order,
    signed_github,
    signed_shopify,
)

fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(["\x00", "\\u0000", "\ud7ff\ufffe", "2025-11-12T11:00:00Z", "1e999", "x" * 3000])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
# What a header may hold on the wire; whether it makes sense is the gateway's question.
HEADER = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60
)
TAKEN = {200, 202, 400, 422}
REFUSED = {400, 401, 404, 405, 408, 413, 415, 431}


def post(gateway: Running, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
    encoded = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    return gateway.http.post(path, headers=encoded, content=body)


def mutated(document: Any, data: st.DataObject) -> Any:
    """The document with one member, at any depth, replaced."""
    copy = orjson.loads(orjson.dumps(document))
    owner = copy
    while True:
        key = data.draw(st.sampled_from(sorted(owner)))
        if not isinstance(owner[key], dict) or not owner[key] or data.draw(st.booleans()):
            owner[key] = data.draw(JSON)
            return copy
        owner = owner[key]


@fuzz
@given(body=st.binary(max_size=300) | JSON.map(orjson.dumps))
def test_a_signed_sender_s_bytes(gateway: Running, body: bytes):
    assert post(gateway, "/webhooks/arcsat/shopify", *signed_shopify(body)).status_code in TAKEN
    assert post(gateway, "/webhooks/arcsat/github", *signed_github(body)).status_code in TAKEN


@fuzz
@given(data=st.data())
def test_a_signed_sender_s_odd_payloads(gateway: Running, data: st.DataObject):
    identifier = data.draw(st.uuids()).hex
    order = mutated(shopify_order(), data)
    answered = post(gateway, "/webhooks/arcsat/shopify", *signed_shopify(order, webhook_id=identifier))
    assert answered.status_code in TAKEN
    request = mutated(pull_request(), data)
    answered = post(gateway, "/webhooks/arcsat/github", *signed_github(request, delivery_id=identifier))
    assert answered.status_code in TAKEN


@fuzz
@given(data=st.data())
def test_a_signed_sender_s_odd_headers(gateway: Running, data: st.DataObject):
    headers, body = signed_shopify(shopify_order())
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(headers)), HEADER, min_size=1, max_size=3))
    answered = post(gateway, "/webhooks/arcsat/shopify", headers | changes, body)
    assert answered.status_code in TAKEN | REFUSED


@fuzz
@given(
    content_type=st.sampled_from(
        ["application/cloudevents+json", "application/cloudevents-batch+json", "application/json"]
    ),
    document=JSON | st.lists(JSON, max_size=3),
    attributes=st.dictionaries(st.sampled_from(["ce-id", "ce-source", "ce-type", "ce-time", "ce-x"]), HEADER),
)
def test_posted_json(gateway: Running, content_type: str, document: Any, attributes: dict[str, str]):
    headers = {"authorization": f"Bearer {EVENTS_TOKEN.decode()}", "content-type": content_type}
    answered = post(gateway, "/events", headers | attributes, orjson.dumps(document))
    assert answered.status_code in TAKEN


@fuzz
@given(data=st.data())
def test_posted_odd_events(gateway: Running, data: st.DataObject):
    headers = {
        "authorization": f"Bearer {EVENTS_TOKEN.decode()}",
        "content-type": "application/cloudevents-batch+json",
    }
    events = [mutated(cloud_event(data.draw(st.uuids()).hex), data) for _ in range(2)]
    assert post(gateway, "/events", headers, orjson.dumps(events)).status_code in TAKEN


@fuzz
@given(
    path=st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x17F), max_size=8), max_size=4),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"]),
    body=st.binary(max_size=50),
)
def test_a_stranger_at_any_address(gateway: Running, path: list[str], method: str, body: bytes):
    from urllib.parse import quote

    address = "/" + "/".join(quote(part, safe="") for part in path)
    assert gateway.http.request(method, gateway.address + address, content=body).status_code in REFUSED | {
        200
    }


@fuzz
@given(document=JSON)
def test_any_skill_call(gateway: Running, document: Any):
    token = (gateway.settings.secrets_dir / "local-token").read_text()
    headers = {"authorization": f"Bearer {token}"}
    assert gateway.http.post("/skill/execute", json=document, headers=headers).status_code in REFUSED


@pytest.mark.parametrize("depth", [900, 1020, 1100, 30_000])
def test_deep_nesting(gateway: Running, depth: int):
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    assert post(gateway, "/webhooks/arcsat/github", *signed_github(deep, event="deep")).status_code in TAKEN
    inside = orjson.dumps(cloud_event("deep")).replace(b'"search"', deep)
    headers = {
        "authorization": f"Bearer {EVENTS_TOKEN.decode()}",
        "content-type": "application/cloudevents+json",
    }
    assert post(gateway, "/events", headers, inside).status_code in TAKEN


@fuzz
@given(request=st.binary(max_size=200))
def test_bytes_that_are_no_http(gateway: Running, request: bytes):
    host, port = gateway.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
    assert b"500 Internal" not in received
    assert gateway.http.get("/healthz").status_code == 200
