"""Webhooks over HTTP, into the database: what is acknowledged, with which status, and what stands in the log."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest

from tests.support.gateway_server import MAX_BODY_BYTES, Running
from tests.support.vendor_deliveries import (
    GITHUB_SECRET,
    pull_request,
    shopify_order,
    signed_github,
    signed_shopify,
)

SHOPIFY = "/webhooks/arcsat/shopify"
GITHUB = "/webhooks/arcsat/github"


def post(gateway: Running, path: str, sent: tuple[dict[str, str], bytes]) -> httpx.Response:
    return gateway.http.post(path, headers=sent[0], content=sent[1])


def events_of(gateway: Running, event_id: str) -> list[tuple[Any, ...]]:
    return gateway.query("select type, data, trace, subject from batuta.events where id = %s", event_id)


def test_a_signed_order_is_in_the_log_masked_when_it_is_acknowledged(gateway: Running):
    answered = post(gateway, SHOPIFY, signed_shopify(shopify_order(), webhook_id="first"))
    assert answered.status_code == 200
    assert answered.json() == {"status": "landed", "id": "first"}
    [(event_type, data, trace, subject)] = events_of(gateway, "first")
    assert event_type == "com.shopify.orders.created"
    assert subject == shopify_order()["admin_graphql_api_id"]
    assert trace == answered.headers["x-trace-id"]
    assert data["line_items"][0]["price"] == "80.00"
    stored = orjson.dumps(data).decode()
    for clear in ("cliente1001@example.com", "Maria", "5511999990000"):
        assert clear not in stored


def test_sending_it_again_changes_nothing(gateway: Running):
    sent = signed_shopify(shopify_order(2), webhook_id="again")
    assert post(gateway, SHOPIFY, sent).json()["status"] == "landed"
    answered = post(gateway, SHOPIFY, sent)
    assert (answered.status_code, answered.json()) == (200, {"status": "duplicate", "id": "again"})
    assert len(events_of(gateway, "again")) == 1


def test_the_account_may_stand_in_the_address(gateway: Running):
    for number, account in enumerate(("arcsat-demo", "arcsat-demo.myshopify.com", "ARCSAT-DEMO")):
        sent = signed_shopify(shopify_order(), webhook_id=f"account-{number}")
        assert post(gateway, f"{SHOPIFY}/{account}", sent).json()["status"] == "landed"
    assert post(gateway, f"{SHOPIFY}/other-shop", signed_shopify(shopify_order())).status_code == 404


def test_a_product_with_two_shops_needs_the_account_in_the_address(gateway: Running):
    secret, shop = b"another-client-secret", "lojablock-outlet.myshopify.com"
    sent = signed_shopify(shopify_order(), webhook_id="outlet", secret=secret, shop=shop)
    assert post(gateway, "/webhooks/lojablock/shopify", sent).status_code == 404
    assert post(gateway, "/webhooks/lojablock/shopify/lojablock-outlet", sent).json()["status"] == "landed"
    elsewhere = post(gateway, "/webhooks/lojablock/shopify/lojablock-demo", sent)
    assert (elsewhere.status_code, elsewhere.json()["reason_code"]) == (202, "account")


def test_a_pull_request_lands_and_a_ping_does_not(gateway: Running):
    answered = post(gateway, GITHUB, signed_github(pull_request(), delivery_id="pr-1"))
    assert answered.json() == {"status": "landed", "id": "pr-1"}
    ping = post(
        gateway, GITHUB, signed_github({"zen": "Keep it simple."}, event="ping", delivery_id="ping-1")
    )
    assert (ping.status_code, ping.json()) == (200, {"status": "filtered"})
    assert events_of(gateway, "ping-1") == []


def test_an_unknown_event_is_accepted(gateway: Running):
    sent = signed_github(
        {"action": "frobbed", "repository": pull_request()["repository"]}, event="frob", delivery_id="f"
    )
    assert post(gateway, GITHUB, sent).json()["status"] == "landed"
    assert events_of(gateway, "f")[0][0] == "com.github.frob.frobbed"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (signed_shopify(b"{", webhook_id="q1"), "json"),
        (signed_shopify(b"", webhook_id="q2"), "json"),
        (signed_shopify(b'{"name": "\xff"}', webhook_id="q3"), "json"),
        (signed_shopify([1], webhook_id="q4"), "shape"),
        (signed_shopify({}, webhook_id="q5"), "identity"),
        (signed_shopify(shopify_order(), topic="carts/create", webhook_id="q6"), "unknown_topic"),
        (signed_shopify(shopify_order(), shop="evil.example.com", webhook_id="q7"), "headers"),
        (signed_shopify(shopify_order(line_items="many"), webhook_id="q8"), "contract"),
    ],
)
def test_what_is_signed_but_unacceptable_is_kept_in_quarantine(
    gateway: Running, sent: tuple[dict[str, str], bytes], code: str
):
    answered = post(gateway, SHOPIFY, sent)
    content = answered.json()
    assert (answered.status_code, content["status"], content["reason_code"]) == (202, "quarantined", code)
    rows = gateway.query(
        "select reason_code, product, payload from batuta.quarantine where id = %s", content["id"]
    )
    [(stored_code, product, payload)] = rows
    assert (stored_code, product) == (code, "arcsat")
    assert b"myshopify" not in bytes(payload)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (SHOPIFY, ({"content-type": "application/json"}, b"{}")),
        (SHOPIFY, signed_shopify(shopify_order(), secret=b"wrong")),
        (SHOPIFY, signed_shopify(shopify_order(), headers={"x-shopify-hmac-sha256": "é"})),
        (GITHUB, signed_github(pull_request(), secret=b"wrong")),
        (GITHUB, ({"content-type": "application/json", "x-hub-signature": "sha1=0"}, b"{}")),
        ("/webhooks/nosecret/shopify", signed_shopify(shopify_order(), secret=b"")),
        ("/webhooks/nosecret/github", signed_github(pull_request(), secret=b"")),
        ("/webhooks/arcsat/events", ({"content-type": "application/cloudevents+json"}, b"{}")),
    ],
)
def test_what_is_not_signed_by_the_product_is_refused(
    gateway: Running, path: str, sent: tuple[dict[str, str], bytes]
):
    headers = {name.encode(): value.encode("latin-1") for name, value in sent[0].items()}
    before = gateway.query("select count(*) from batuta.quarantine")
    answered = gateway.http.post(path, headers=headers, content=sent[1])
    assert answered.status_code == 401
    assert answered.json()["status"] == "error"
    assert gateway.query("select count(*) from batuta.quarantine") == before


@pytest.mark.parametrize("header", ["x-shopify-topic", "x-shopify-shop-domain", "x-shopify-webhook-id"])
def test_a_signed_delivery_without_its_headers_is_refused_by_name(gateway: Running, header: str):
    headers, body = signed_shopify(shopify_order())
    del headers[header]
    answered = post(gateway, SHOPIFY, (headers, body))
    assert (answered.status_code, answered.json()["headers"]) == (400, [header])


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/nobody/shopify",
        "/webhooks/arcsat/fax",
        "/webhooks/arcsat",
        "/webhooks/arcsat/github/other-owner",
        "/webhooks/%2e%2e/shopify",
        "/nothing",
        "/",
    ],
)
def test_an_address_of_nobody_is_not_found(gateway: Running, path: str):
    assert post(gateway, path, signed_shopify(shopify_order())).status_code == 404


def test_another_method_is_not_allowed(gateway: Running):
    answered = gateway.http.get(SHOPIFY)
    assert (answered.status_code, answered.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
    ],
)
def test_another_content_type_is_refused(gateway: Running, content_type: str):
    sent = signed_github(pull_request(), headers={"content-type": content_type})
    assert post(gateway, GITHUB, sent).status_code == 415


def test_a_charset_of_utf_8_is_fine(gateway: Running):
    sent = signed_github(
        pull_request(), delivery_id="charset", headers={"content-type": "application/json; charset=UTF-8"}
    )
    assert post(gateway, GITHUB, sent).status_code == 200


def test_a_body_over_the_cap_is_refused_whatever_its_length_says(gateway: Running):
    headers, body = signed_shopify(b"[" + b" " * MAX_BODY_BYTES + b"]")
    assert post(gateway, SHOPIFY, (headers, body)).status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 10_000 + 2):
            yield b" " * 10_000

    assert gateway.http.post(SHOPIFY, headers=headers, content=chunks()).status_code == 413


def test_a_body_of_just_the_cap_is_read(gateway: Running):
    padding = b" " * (MAX_BODY_BYTES - len(orjson.dumps(shopify_order(7))))
    sent = signed_shopify(orjson.dumps(shopify_order(7)) + padding, webhook_id="just")
    assert post(gateway, SHOPIFY, sent).json() == {"status": "landed", "id": "just"}


def raw(gateway: Running, request: bytes) -> bytes:
    host, port = gateway.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def test_a_length_that_promises_more_than_comes_lands_nothing(gateway: Running):
    headers, body = signed_shopify(shopify_order(), webhook_id="cut")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {SHOPIFY} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body) + 10}\r\n\r\n"
    raw(gateway, head.encode() + body)
    assert events_of(gateway, "cut") == []


@pytest.mark.parametrize("length", ["-1", "ten", "1e3", "9" * 30])
def test_a_length_that_is_none_is_refused(gateway: Running, length: str):
    head = f"POST {SHOPIFY} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    received = raw(gateway, head.encode() + b"{}")
    assert received == b"" or received.split()[1] in (b"400", b"413")


def test_a_header_sent_twice_is_taken_for_neither(gateway: Running):
    headers, body = signed_shopify(shopify_order(), webhook_id="twice")
    connection = http.client.HTTPConnection(gateway.address.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", SHOPIFY)
    for name, value in [
        *headers.items(),
        ("X-Shopify-Hmac-Sha256", "forged"),
        ("Content-Length", str(len(body))),
    ]:
        connection.putheader(name, value)
    connection.endheaders(body)
    assert connection.getresponse().status == 401
    connection.close()


def test_fifty_at_once_are_all_in_the_log_exactly_once(gateway: Running):
    deliveries = [signed_shopify(shopify_order(3000 + n), webhook_id=f"many-{n}") for n in range(50)]
    with ThreadPoolExecutor(50) as senders:
        answers = list(senders.map(lambda sent: post(gateway, SHOPIFY, sent), [*deliveries, *deliveries]))
    states = sorted(answer.json()["status"] for answer in answers)
    assert states == ["duplicate"] * 50 + ["landed"] * 50
    [(total, distinct)] = gateway.query(
        "select count(*), count(distinct id) from batuta.events where id like %s", "many-%"
    )
    assert (total, distinct) == (50, 50)


def test_one_bad_delivery_among_many_harms_no_other(gateway: Running):
    good = [signed_github(pull_request(n), delivery_id=f"good-{n}") for n in range(20)]
    nul = signed_github(pull_request(99, title="a\x00b"), delivery_id="nul")
    broken = signed_github(b"{", delivery_id="broken")
    with ThreadPoolExecutor(22) as senders:
        answers = list(senders.map(lambda sent: post(gateway, GITHUB, sent), [*good, nul, broken]))
    assert [answer.json()["status"] for answer in answers[:20]] == ["landed"] * 20
    assert answers[21].json()["status"] == "quarantined"
    assert answers[20].status_code in (200, 202)


def test_an_answer_never_repeats_what_was_sent(gateway: Running):
    secretive = signed_shopify(b'{"email": "maria@example.com", ', webhook_id="s")
    assert "maria" not in post(gateway, SHOPIFY, secretive).text
    wrong = signed_github(pull_request(), secret=GITHUB_SECRET + b"x")
    assert GITHUB_SECRET.decode() not in post(gateway, GITHUB, wrong).text
