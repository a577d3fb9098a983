"""What a vendor asks at its webhook address before it sends, and what its door does differently from others."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import timedelta
from types import MappingProxyType

import httpx
import orjson
import pytest

from batuta.manifests.graph import CompiledGraph
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.setup_windows import open_window
from batuta_gateway import doors
from sensors.connectors import CONNECTORS
from tests.support import shaking_vendor
from tests.support.database import database
from tests.support.gateway_server import Running, gateway_settings, product, receipt_clock, running

SPEND = {
    "period_start": "2025-11-01",
    "period_end": "2025-11-12",
    "channel": "search",
    "kind": "media",
    "amount": "10.00",
    "currency": "BRL",
}
DOOR = "/webhooks/arcsat/shaking"


def shaking(account: str | None, file: str | None) -> ConnectorBinding:
    return ConnectorBinding(
        type="shaking",
        account=account,
        secret_refs=(SecretRef(file=file),) if file else (SecretRef(env="BATUTA_TEST_SHAKING"),),
        credentials={"verifyToken": SecretRef(file="verify-token")},
    )


@pytest.fixture(scope="module")
def gateway(
    database_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    graph = CompiledGraph(
        products=(
            product("arcsat", shaking("first", "learned"), shaking("second/inbox", None)),
            product("alone", shaking(None, "alone-secret")),
        )
    )
    with pytest.MonkeyPatch.context() as patch, database(database_server, template_database) as url:
        patch.setattr(doors, "CONNECTORS", MappingProxyType({**CONNECTORS, "shaking": shaking_vendor}))
        patch.setenv("BATUTA_TEST_SHAKING", "from-the-environment")
        settings = gateway_settings(tmp_path_factory.mktemp("handshakes"), url)
        settings.secrets_dir.mkdir(parents=True)
        (settings.secrets_dir / "verify-token").write_bytes(b"shown-by-the-vendor")
        (settings.secrets_dir / "alone-secret").write_bytes(b"alone")
        with running(settings, graph=graph) as started:
            yield started


def deliver(
    gateway: Running, address: str, secret: bytes, document: object = SPEND, **headers: str
) -> httpx.Response:
    body = orjson.dumps(document)
    signature = hmac.new(secret, body, "sha256").hexdigest()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.http.post(
        address,
        content=body,
        headers={"content-type": "application/json", "x-shaking-id": "1", "x-shaking-signature": signature}
        | named,
    )


def test_a_vendor_that_asks_by_get_is_answered_with_its_challenge(gateway: Running):
    asked = {"hub.mode": "subscribe", "hub.verify_token": "shown-by-the-vendor", "hub.challenge": "115<b>"}
    answered = gateway.http.get(f"{DOOR}/first", params=asked)
    assert (answered.status_code, answered.text) == (200, "115<b>")
    assert answered.headers["content-type"].startswith("text/plain")
    assert answered.headers["x-content-type-options"] == "nosniff"
    refused = gateway.http.get(f"{DOOR}/first", params=asked | {"hub.verify_token": "wrong"})
    assert (refused.status_code, refused.text) == (403, "")


def test_a_vendor_that_asks_by_post_needs_neither_signature_nor_content_type(gateway: Running):
    answered = gateway.http.post(f"{DOOR}/first?validationToken=Validation%3A%20a%2Bb%20%C3%A9")
    assert (answered.status_code, answered.text) == (200, "Validation: a+b é")


def test_where_no_vendor_asks_there_is_only_post(gateway: Running):
    answered = gateway.http.get("/webhooks/arcsat/shaking/nobody")
    assert answered.status_code == 404
    assert gateway.http.put(f"{DOOR}/first").status_code == 405


def test_an_account_in_the_address_may_be_percent_encoded(gateway: Running):
    plain = deliver(gateway, f"{DOOR}/second/inbox", b"from-the-environment", x_shaking_id="plain")
    encoded = deliver(gateway, f"{DOOR}/second%2Finbox", b"from-the-environment", x_shaking_id="encoded")
    assert (plain.json()["status"], encoded.json()["status"]) == ("landed", "landed")
    twice = deliver(gateway, f"{DOOR}/second%252Finbox", b"from-the-environment", x_shaking_id="twice")
    assert twice.status_code == 404


def test_a_connector_s_own_words_for_taken_and_too_large(gateway: Running):
    assert deliver(gateway, "/webhooks/alone/shaking", b"alone", x_shaking_id="ok").status_code == 202
    large = SPEND | {"channel": "x" * shaking_vendor.MAX_BODY_BYTES}
    assert deliver(gateway, "/webhooks/alone/shaking", b"alone", large).status_code == 413


def test_no_sender_chooses_how_its_delivery_is_read(gateway: Running):
    answered = deliver(
        gateway, "/webhooks/alone/shaking", b"alone", x_shaking_id="forged", x_batuta_form="pulled"
    )
    assert answered.json()["status"] == "landed"
    found = gateway.query("select type from batuta.events where id = 'forged'")
    assert found == [("com.batuta.spend.recorded",)]


def open_for(gateway: Running, account: str | None) -> None:
    until = receipt_clock() + timedelta(minutes=5)
    open_window(gateway.settings.home, "arcsat", "shaking", account, now=receipt_clock(), until=until)


def test_a_secret_the_vendor_chooses_counts_only_while_somebody_sets_the_account_up(gateway: Running):
    kept = gateway.settings.secrets_dir / "learned"
    kept.write_bytes(b"before")
    chosen = {"x-shaking-secret": "chosen-by-a-stranger"}
    assert gateway.http.post(f"{DOOR}/first", headers=chosen).status_code == 403
    open_for(gateway, "another")
    assert gateway.http.post(f"{DOOR}/first", headers=chosen).status_code == 403
    assert kept.read_bytes() == b"before"

    open_for(gateway, "first")
    assert gateway.http.post(f"{DOOR}/first", headers={"x-shaking-secret": "the-vendor-s"}).status_code == 200
    assert kept.read_bytes() == b"the-vendor-s"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert deliver(gateway, f"{DOOR}/first", b"before", x_shaking_id="old").status_code == 401
    assert deliver(gateway, f"{DOOR}/first", b"the-vendor-s", x_shaking_id="new").status_code == 202
    # The first that is learned closes the window behind it.
    assert gateway.http.post(f"{DOOR}/first", headers=chosen).status_code == 403


def test_a_secret_without_a_file_to_keep_it_in_is_not_learned(gateway: Running):
    open_for(gateway, "second/inbox")
    sent = {"x-shaking-secret": "chosen"}
    assert gateway.http.post(f"{DOOR}/second/inbox", headers=sent).status_code == 403


def test_a_signal_that_carries_no_event_wakes_its_account(gateway: Running):
    answered = deliver(gateway, "/webhooks/alone/shaking", b"alone", {"news": True}, x_shaking_id="news")
    assert (answered.status_code, answered.json()) == (202, {"status": "filtered"})
    assert gateway.query("select product, connector, account from batuta.wakeups") == [
        ("alone", "shaking", "")
    ]
