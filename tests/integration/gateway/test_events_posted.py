"""`POST /events`: whose events they are, what of them lands, and what is said of those that do not."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import httpx
import orjson
import pytest
from standardwebhooks import Webhook

from batuta.manifests.graph import CompiledGraph
from tests.support.gateway_server import Running, binding, gateway_settings, product, running
from tests.support.vendor_deliveries import EVENTS_TOKEN, RECEIVED_AT, cloud_event

TOKEN = EVENTS_TOKEN.decode()
OTHER_TOKEN = "events-token-of-lojablock"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def post(
    gateway: Running,
    content: Any,
    *,
    token: str | None = TOKEN,
    content_type: str | None = STRUCTURED,
    path: str = "/events",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    sent = dict(headers or {})
    if token is not None:
        sent["authorization"] = f"Bearer {token}"
    if content_type is not None:
        sent["content-type"] = content_type
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return gateway.http.post(path, headers=sent, content=body)


def products_of(gateway: Running, event_id: str) -> list[str]:
    return [
        row[0]
        for row in gateway.query("select product from batuta.events where id = %s order by 1", event_id)
    ]


def test_the_product_comes_from_the_credential(gateway: Running):
    event = cloud_event("whose", product="arcsat")
    assert post(gateway, event, token=OTHER_TOKEN).status_code == 200
    assert products_of(gateway, "whose") == ["lojablock"]
    assert post(gateway, event).json()["landed"] == 1
    assert products_of(gateway, "whose") == ["arcsat", "lojablock"]


def test_an_event_lands_once(gateway: Running):
    first, second = post(gateway, cloud_event("once")), post(gateway, cloud_event("once"))
    assert (first.status_code, first.json()["events"]) == (200, [{"status": "landed", "id": "once"}])
    assert (second.status_code, second.json()["duplicate"]) == (200, 1)


def test_a_batch_lands_event_by_event(gateway: Running):
    sent = [cloud_event("b1"), cloud_event("b2"), cloud_event("b1")]
    content = post(gateway, sent, content_type=BATCH).json()
    assert [event["status"] for event in content["events"]] == ["landed", "landed", "duplicate"]
    assert (content["status"], content["landed"], content["duplicate"], content["quarantined"]) == (
        "ok",
        2,
        1,
        0,
    )


def test_an_empty_batch_is_nothing(gateway: Running):
    answered = post(gateway, [], content_type=BATCH)
    assert (answered.status_code, answered.json()["events"]) == (200, [])


def test_binary_mode_lands(gateway: Running):
    event = cloud_event("binary")
    attributes = {
        f"ce-{name}": value for name, value in event.items() if name not in ("data", "datacontenttype")
    }
    answered = post(gateway, event["data"], content_type="application/json", headers=attributes)
    assert answered.json()["events"] == [{"status": "landed", "id": "binary"}]


def test_the_product_may_stand_in_the_address_too(gateway: Running):
    assert post(gateway, cloud_event("addressed"), path="/webhooks/arcsat/events").json()["landed"] == 1
    assert post(gateway, cloud_event(), path="/webhooks/arcsat/events", token=OTHER_TOKEN).status_code == 401


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "é"])
def test_without_a_product_s_token_nothing_is_taken(gateway: Running, token: str | None):
    headers = {} if token is None else {b"authorization": f"Bearer {token}".strip().encode()}
    answered = gateway.http.post(
        "/events",
        headers={b"content-type": STRUCTURED.encode()} | headers,
        content=orjson.dumps(cloud_event("no")),
    )
    assert (answered.status_code, answered.headers["www-authenticate"]) == (401, "Bearer")
    assert products_of(gateway, "no") == []


def test_a_wrong_credential_is_called_wrong_although_another_product_has_none(gateway: Running):
    answered = post(gateway, cloud_event("no"), token="of-nobody")
    assert (answered.status_code, answered.json()["code"]) == (401, "bad_signature")


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/xml", "application/cloudevents+avro"]
)
def test_another_content_type_is_refused(gateway: Running, content_type: str | None):
    assert post(gateway, cloud_event(), content_type=content_type).status_code == 415


def test_all_that_is_malformed_is_listed_and_nothing_is_taken(gateway: Running):
    bad = {key: value for key, value in cloud_event("bad").items() if key != "time"} | {"source": "a b"}
    answered = post(gateway, [cloud_event("fine"), bad], content_type=BATCH)
    assert answered.status_code == 400
    problems = [(problem["index"], problem["field"]) for problem in answered.json()["problems"]]
    assert problems == [(1, "time"), (1, "source")]
    assert products_of(gateway, "fine") == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"5", b'{"specversion": "1.0"}'])
def test_a_body_that_is_no_event_is_malformed(gateway: Running, body: bytes):
    answered = post(gateway, body)
    assert answered.status_code == 400
    assert answered.json()["problems"]


def test_an_event_against_its_contract_is_kept_and_the_others_land(gateway: Running):
    wrong = cloud_event("wrong")
    wrong["data"]["amount"] = "a lot"
    answered = post(gateway, [cloud_event("right"), wrong], content_type=BATCH)
    content = answered.json()
    assert (answered.status_code, content["landed"], content["quarantined"]) == (422, 1, 1)
    [good, bad] = content["events"]
    assert good == {"status": "landed", "id": "right"}
    assert (bad["reason_code"], bad["field"]) == ("contract", "amount")
    assert "a lot" not in answered.text
    assert gateway.query("select connector, state from batuta.quarantine where id = %s", bad["id"]) == [
        ("events", "held")
    ]


def test_a_type_without_a_contract_is_kept(gateway: Running):
    answered = post(gateway, cloud_event("free", type="com.example.free.floating"))
    assert (answered.status_code, answered.json()["events"][0]["reason_code"]) == (422, "no_contract")


def test_too_many_events_at_once_are_refused(gateway: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("batuta_gateway.posted.MAX_EVENTS", 2)
    answered = post(gateway, [cloud_event("m1"), cloud_event("m2"), cloud_event("m3")], content_type=BATCH)
    assert answered.status_code == 413
    assert products_of(gateway, "m1") == []


def test_a_standard_webhooks_signature_is_a_credential(database_url: str, tmp_path: Any):
    secret = "whsec_" + base64.b64encode(b"twenty-four bytes of key").decode()
    graph = CompiledGraph(products=(product("arcsat", binding("events", "signing")),))
    settings = gateway_settings(tmp_path, database_url)
    settings.secrets_dir.mkdir(parents=True)
    (settings.secrets_dir / "signing").write_text(secret)
    body = orjson.dumps(cloud_event("signed"))
    signature = Webhook(secret).sign("msg_1", RECEIVED_AT, body.decode())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(RECEIVED_AT.timestamp())),
        "webhook-signature": signature,
    }
    with running(settings, graph=graph) as gateway:
        assert post(gateway, body, token=None, headers=headers).json()["landed"] == 1
        assert post(gateway, body + b" ", token=None, headers=headers).status_code == 401
        assert post(gateway, body, token=None, headers=headers | {"webhook-id": "msg_2"}).status_code == 401
        assert post(gateway, body, token=secret).status_code == 401


def test_a_credential_that_two_products_share_is_nobody_s(database_url: str, tmp_path: Any):
    graph = CompiledGraph(
        products=(
            product("one", binding("events", "arcsat-events")),
            product("two", binding("events", "arcsat-events")),
        )
    )
    with running(gateway_settings(tmp_path, database_url), graph=graph) as gateway:
        assert post(gateway, cloud_event("shared")).status_code == 401
        assert products_of(gateway, "shared") == []
