"""Over the bus into the log: what was produced is there once, whatever happens to those who land it."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.bus import consumer as consumers
from batuta.bus.address import BusAddress
from batuta.bus.consumer import UNBOUND
from batuta.bus.message import LANDING, SEAL, decision_message, messages
from batuta.bus.producer import BusProducer, NotSent
from batuta.landing.model import Delivery
from batuta.warehouse.connection import Connection
from sensors.connectors import connector
from tests.support.bus import Cluster, Installation, producing
from tests.support.database import database
from tests.support.gateway_server import wait_until
from tests.support.vendor_deliveries import RECEIVED_AT, cloud_event, shopify_order, signed_shopify

PRODUCT = "arcsat"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consumers, "SESSION_SECONDS", 4)
        yield Cluster()


@pytest.fixture(scope="module")
def installation(
    database_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    with database(database_server, template_database) as url:
        yield Installation(tmp_path_factory.mktemp("bus"), url)


def order(identifier: str, number: int = 1, product: str = PRODUCT, **changes: Any) -> Delivery:
    headers, body = signed_shopify(shopify_order(number, **changes), webhook_id=identifier)
    return Delivery(product, "shopify", None, headers, body, RECEIVED_AT)


def produce(installation: Installation, producer: BusProducer, *deliveries: Delivery) -> None:
    """As a gateway does, and waits for the brokers."""
    landing = installation.landing()
    settled: queue.SimpleQueue[NotSent | None] = queue.SimpleQueue()
    for delivery in deliveries:
        prepared = landing.prepare(delivery, connector(delivery.connector).parse)
        rests_on = {row.lane.decision for row in prepared.rows}
        made = [decision_message(*landing.decisions[one], installation.keys) for one in rests_on]
        made += messages(prepared, "webhook", installation.keys)
        producer.send(made, settled.put)
    for _ in deliveries:
        assert settled.get(timeout=20) is None


def landed(installation: Installation, prefix: str) -> list[str]:
    return sorted(
        row[0] for row in installation.query("select id from batuta.events where id like %s", f"{prefix}%")
    )


def test_an_order_lands_as_if_it_had_not_gone_over_the_bus(cluster: Cluster, installation: Installation):
    address, other = cluster.topic(), order("direct", 7)
    with producing(address) as producer:
        produce(installation, producer, order("over-bus", 7))
    landing = installation.landing()
    with installation.connect() as conn:
        landing.commit(conn, [landing.prepare(other, connector("shopify").parse)], way="webhook")
    with installation.consuming(address):
        wait_until(lambda: landed(installation, "over-bus") != [], "the order did not land")
    query = (
        "select type, source, subject, time, connector, dataset, dataschema, data, extensions, decision, product, "
        "received_at from batuta.events where id = %s"
    )
    assert installation.query(query, "over-bus") == installation.query(query, "direct")
    ways = installation.query(
        "select b.way, e.decision = d.id from batuta.events as e join batuta.batches as b using (batch) "
        "join batuta.decisions as d on d.id = e.decision where e.id = 'over-bus'"
    )
    assert ways == [("webhook", True)]


def test_nothing_personal_is_in_clear_on_the_bus(installation: Installation):
    bad = order("bad", line_items="many")
    landing = installation.landing()
    for delivery in (order("good"), bad):
        prepared = landing.prepare(delivery, connector("shopify").parse)
        for message in messages(prepared, "webhook", installation.keys):
            wire = message.value + b"".join(content for _, content in message.headers)
            for clear in (b"cliente1@example.com", b"Maria", b"5511999990000"):
                assert clear not in wire


def test_what_cannot_be_accepted_reaches_quarantine_over_the_bus(
    cluster: Cluster, installation: Installation
):
    address = cluster.topic()
    with producing(address) as producer, installation.consuming(address):
        produce(installation, producer, order("held", 3, line_items="few"), order("after-held", 4))
        wait_until(lambda: landed(installation, "after-held") != [], "consumption did not go on")
    rows = installation.query(
        "select product, connector, way, attempts from batuta.quarantine where reason_code = 'contract'"
    )
    assert rows == [(PRODUCT, "shopify", "webhook", 1)]


def test_strangers_events_land_as_the_topic_s_product_and_bad_ones_are_kept(
    cluster: Cluster, installation: Installation
):
    address = cluster.topic(product="lojablock")
    sound = cloud_event("stranger-structured")
    cluster.write(
        address, orjson.dumps(sound), {"content-type": b"application/cloudevents+json; charset=UTF-8"}
    )
    binary = {f"ce_{name}": str(value).encode() for name, value in cloud_event("stranger-binary").items()}
    del binary["ce_data"]
    binary.pop("ce_datacontenttype", None)
    cluster.write(
        address, orjson.dumps(sound["data"]), binary | {"content-type": b"application/json"}, b"any-key"
    )
    poison: list[tuple[bytes | None, dict[str, bytes]]] = [
        (b"{", {"content-type": b"application/cloudevents+json"}),
        (None, {}),
        (b"\xff\x00", {"content-type": b"\xff", "ce_id": b"\xff"}),
        (orjson.dumps(sound | {"type": "com.shopify.orders.created"}), {}),
        (orjson.dumps(sound), {LANDING: b"{}", SEAL: b"x"}),
        (orjson.dumps(sound | {"id": "smuggled", "product": "arcsat"}), {LANDING: b"[]"}),
    ]
    for value, headers in poison:
        cluster.write(address, value, headers)
    cluster.write(address, orjson.dumps(cloud_event("stranger-last")), {})
    with installation.consuming(address):
        wait_until(lambda: len(landed(installation, "stranger-")) == 3, "the strangers' events did not land")
    query = "select distinct product, connector from batuta.events where id like %s"
    found = installation.query(query, "stranger-%")
    assert found == [("lojablock", "events")]
    held = installation.query("select reason_code from batuta.quarantine where product = 'lojablock'")
    assert sorted(code for (code,) in held).count("forged") == 2
    assert len(held) == len(poison)


def test_a_topic_of_nobody_s_takes_nothing_from_strangers(cluster: Cluster, installation: Installation):
    address = cluster.topic()
    cluster.write(address, orjson.dumps(cloud_event("unbound")), {})
    with installation.consuming(address):
        query = "select reason_code from batuta.quarantine where product = %s"
        wait_until(lambda: installation.query(query, UNBOUND) == [("unbound",)], "the event was not kept")
    assert landed(installation, "unbound") == []


class Troubled:
    """Connections that are cut now and then, before or after the commit reached the database."""

    def __init__(self, installation: Installation, cuts: list[bool]) -> None:
        self._installation = installation
        self._cuts = iter(cuts)

    def __call__(self) -> Connection:
        if next(self._cuts, False):
            raise psycopg.OperationalError
        connection = self._installation.connect()
        if next(self._cuts, False):
            pid = connection.info.backend_pid
            with psycopg.connect(self._installation.url, autocommit=True) as killer:
                killer.execute("select pg_terminate_backend(%s)", (pid,))
        return connection


ROUNDS = st.lists(
    st.tuples(st.integers(1, 12), st.booleans(), st.integers(0, 5), st.lists(st.booleans(), max_size=4)),
    min_size=2,
    max_size=2,
)


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=ROUNDS)
def test_any_ends_repeats_and_restarts_leave_what_was_produced(
    cluster: Cluster, installation: Installation, rounds: list[tuple[int, bool, int, list[bool]]]
):
    """In each round some is produced, perhaps twice, and a consumer comes, has troubles with its database and goes.

    Between two rounds the places may be set back, as after a restored backup; the last consumer has no troubles.
    """
    address, prefix = cluster.topic(), f"any-{uuid.uuid4().hex[:8]}-"
    expected: list[str] = []
    back = "update batuta.bus_offsets set next_offset = greatest(0, next_offset - %s) where topic = %s returning 1"
    with producing(address) as producer:
        for number, (size, repeats, rewind, cuts) in enumerate(rounds):
            ids = [f"{prefix}{number}-{n}" for n in range(size)]
            deliveries = [order(one, n, (PRODUCT, "lojablock")[n % 2]) for n, one in enumerate(ids)]
            produce(installation, producer, *deliveries[: size // 2 + 1])
            # A group each: the broker keeps the last one's partitions for a while; the places are the topic's.
            own = replace(address, group=f"{prefix}{number}")
            with installation.consuming(own, Troubled(installation, cuts)) as consumer:
                wait_until(lambda consumer=consumer: bool(consumer._next), "nothing was assigned")
                produce(installation, producer, *deliveries, *(deliveries if repeats else ()))
            expected += ids
            installation.query(back, rewind, address.topic)
    with installation.consuming(address):
        wait_until(lambda: len(landed(installation, prefix)) >= len(expected), "not all landed")
    assert landed(installation, prefix) == sorted(expected)


def test_two_consumers_share_a_topic_and_one_takes_over(cluster: Cluster, installation: Installation):
    address = cluster.topic()
    ids = [f"shared-{n:03d}" for n in range(90)]
    deliveries = [order(one, n, f"product-{n % 7}") for n, one in enumerate(ids)]
    with producing(address) as producer:
        produce(installation, producer, *deliveries[:30])
        with installation.consuming(address):
            wait_until(lambda: len(landed(installation, "shared-")) == 30, "the first did not land")
            with installation.consuming(address):
                produce(installation, producer, *deliveries[30:60])
                wait_until(lambda: len(landed(installation, "shared-")) == 60, "the two did not land", 40)
            produce(installation, producer, *deliveries[60:], *deliveries[60:])
            wait_until(
                lambda: len(landed(installation, "shared-")) >= 90, "the one that stayed did not land", 40
            )
    assert landed(installation, "shared-") == ids


def test_nobody_moves_a_partition_that_another_has_moved(installation: Installation):
    from batuta.landing.model import BusMove
    from batuta.landing.store import LandingFailed

    landing, move = installation.landing(), BusMove("moved", 0, None, 5)
    prepared = [landing.prepare(order("behind"), connector("shopify").parse)]
    with installation.connect() as conn:
        landing.commit(conn, [], way="webhook", bus=(move,))
        for late in (move, BusMove("moved", 0, 3, 6)):
            with pytest.raises(LandingFailed):
                landing.commit(conn, prepared, way="webhook", bus=(late,))
        assert landed(installation, "behind") == []
        landing.commit(conn, prepared, way="webhook", bus=(BusMove("moved", 0, 5, 6),))
    assert landed(installation, "behind") == ["behind"]


def test_a_consumer_ends_although_no_broker_answers(installation: Installation):
    with installation.consuming(BusAddress("127.0.0.1:1", "nowhere", None, "g")):
        pass
