"""Source assets report what landed: only what changed, once, with the batch as data version."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import psycopg
import pytest

from batuta.manifests.graph import CompiledGraph
from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from batuta_assets.partitions import products
from sensors.connector_sensor import Position, connector_sensor
from sensors.ears import Ears
from sensors.landed import read_news
from tests.support.score import NOON, log_batch

CREATED = "com.shopify.orders.created"


@pytest.fixture
def log(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database_url, "owner") as connection:
        yield connection


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def tick(url: str, instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    ears = Ears(CompiledGraph(), settings=get_settings, url=lambda _: url)
    sensor = connector_sensor("shopify", ears, products=products)
    result = sensor(dg.build_sensor_context(instance, cursor=cursor))
    assert isinstance(result, dg.SensorResult)
    return result


def test_each_dataset_and_product_with_news_is_reported_once(
    log: psycopg.Connection[Any], instance: dg.DagsterInstance, database_url: str
) -> None:
    log_batch(log, [("arcsat", CREATED, "1"), ("loja", CREATED, "2"), ("loja", CREATED, "3")])
    log_batch(log, [("arcsat", "com.github.push.pushed", "4")], connector="github", dataset="pushes")
    last = log_batch(log, [("loja", "com.shopify.refunds.created", "5")], dataset="refunds")

    result = tick(database_url, instance, None)

    found = {
        (tuple(event.asset_key.path), event.partition): event.metadata["new_events"].value
        for event in result.asset_events
        if isinstance(event, dg.AssetMaterialization)
    }
    assert found == {
        (("shopify", "orders"), "arcsat"): 1,
        (("shopify", "orders"), "loja"): 2,
        (("shopify", "refunds"), "loja"): 1,
    }
    assert Position.parse(result.cursor).batch == last


def test_a_product_is_added_when_its_first_event_has_landed(
    log: psycopg.Connection[Any], instance: dg.DagsterInstance, database_url: str
) -> None:
    log_batch(log, [("arcsat", CREATED, "1")])
    (request,) = tick(database_url, instance, None).dynamic_partitions_requests or []
    assert list(request.partition_keys) == ["arcsat"]
    instance.add_dynamic_partitions("product", ["arcsat"])
    assert tick(database_url, instance, None).dynamic_partitions_requests == []


def test_what_was_reported_is_not_reported_again(
    log: psycopg.Connection[Any], instance: dg.DagsterInstance, database_url: str
) -> None:
    log_batch(log, [("arcsat", CREATED, "1")])
    cursor = tick(database_url, instance, None).cursor
    again = tick(database_url, instance, cursor)
    assert again.asset_events == []
    assert again.skip_reason


def test_the_data_version_follows_the_log(
    log: psycopg.Connection[Any], instance: dg.DagsterInstance, database_url: str
) -> None:
    batch = log_batch(log, [("arcsat", CREATED, "1")])
    (event,) = tick(database_url, instance, None).asset_events
    assert isinstance(event, dg.AssetMaterialization)
    assert event.tags == {"dagster/data_version": str(batch)}


@pytest.mark.parametrize("cursor", ["999999", "not a number"])
def test_a_position_that_makes_no_sense_reads_from_the_beginning(
    log: psycopg.Connection[Any], instance: dg.DagsterInstance, database_url: str, cursor: str
) -> None:
    log_batch(log, [("arcsat", CREATED, "1")])
    assert len(tick(database_url, instance, cursor).asset_events) == 1


def test_catching_up_stops_at_the_deadline_and_goes_on_from_there(log: psycopg.Connection[Any]) -> None:
    for number in range(3):
        log_batch(log, [("arcsat", CREATED, str(number))], at=NOON)
    log.execute("insert into batuta.batches select 5000, now(), 'post', 0")
    log.commit()
    first = read_news(log, "shopify", 0, deadline=0.0, monotonic=lambda: 1.0)
    assert not first.complete
    assert [item.rows for item in first.landed] == [3]
    rest = read_news(log, "shopify", first.position, deadline=2.0, monotonic=lambda: 1.0)
    assert rest.complete
    assert rest.landed == ()
    assert rest.position == 5000
