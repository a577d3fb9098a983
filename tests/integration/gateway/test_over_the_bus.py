"""A gateway that hands what it is sent to the bus: acknowledged when the brokers have it, landed by another process."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import orjson
import pytest

from batuta.bus.address import BusAddress
from batuta.bus.consumer import BusConsumer
from batuta.landing.land import Landing
from batuta_gateway.app import utc_now
from sensors.connectors import events
from tests.support.bus import Cluster, running_consumer
from tests.support.database import database
from tests.support.gateway_server import Running, gateway_settings, running, wait_until
from tests.support.vendor_deliveries import EVENTS_TOKEN, cloud_event, shopify_order, signed_shopify

SHOPIFY = "/webhooks/arcsat/shopify"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture(scope="module")
def gateway(
    cluster: Cluster,
    database_server: str,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    address = cluster.topic()
    bus = f"kafka://{address.brokers}/{address.topic}?group={address.group}"
    home = tmp_path_factory.mktemp("bus")
    with (
        database(database_server, template_database) as url,
        running(gateway_settings(home, url, bus=bus)) as started,
    ):
        yield started


def lander(gateway: Running) -> BusConsumer:
    from batuta.warehouse.connection import connect

    landing = Landing.open(gateway.settings, utc_now)
    return BusConsumer(
        BusAddress.of(gateway.settings.bus.get_secret_value() if gateway.settings.bus else ""),
        lambda: landing,
        lambda: connect(gateway.database_url, "writer"),
        events.parse,
        utc_now,
    )


def post(gateway: Running, identifier: str, number: int = 1, **changes: object) -> httpx.Response:
    headers, body = signed_shopify(shopify_order(number, **changes), webhook_id=identifier)
    return gateway.http.post(SHOPIFY, headers=headers, content=body)


def test_what_is_accepted_lands_once_and_what_is_refused_is_kept(gateway: Running):
    first = post(gateway, "b-1")
    assert (first.status_code, first.json()) == (202, {"status": "accepted", "id": "b-1"})
    assert post(gateway, "b-1").status_code == 202
    refused = post(gateway, "b-2", line_items="many")
    assert (refused.status_code, refused.json()["status"]) == (202, "quarantined")
    posted = gateway.http.post(
        "/events",
        headers={
            "authorization": f"Bearer {EVENTS_TOKEN.decode()}",
            "content-type": "application/cloudevents-batch+json",
        },
        content=orjson.dumps([cloud_event("b-3"), cloud_event("b-4")]),
    )
    assert (posted.status_code, posted.json()["accepted"]) == (202, 2)
    assert gateway.query("select count(*) from batuta.events") == [(0,)]

    with running_consumer(lander(gateway)):
        count = "select count(*) from batuta.quarantine"
        wait_until(lambda: gateway.query(count) == [(1,)], "what is held did not come", 40)
        wait_until(lambda: len(gateway.query("select 1 from batuta.events")) == 3, "not all of it landed", 40)
    found = gateway.query(
        "select e.id, b.way, e.trace is not null from batuta.events as e join batuta.batches as b using (batch) "
        "order by e.id"
    )
    assert found == [("b-1", "webhook", True), ("b-3", "post", True), ("b-4", "post", True)]


def test_a_bus_that_does_not_answer_costs_a_503(database_url: str, tmp_path_factory: pytest.TempPathFactory):
    settings = gateway_settings(
        tmp_path_factory.mktemp("away"), database_url, bus="kafka://127.0.0.1:1/nowhere"
    )
    with running(settings) as gateway:
        answered = post(gateway, "away")
    assert (answered.status_code, answered.headers["retry-after"]) == (503, "2")
