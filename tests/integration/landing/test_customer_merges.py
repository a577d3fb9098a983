"""Merged customers through the real landing path: what a merge calls them is what their orders call them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from batuta.contracts.contract import Contracts
from batuta.keys import create_keys
from batuta.landing.land import Landing
from batuta.landing.model import LandingCounts
from batuta.policy.decision import DefaultPolicy
from batuta.warehouse.connection import Connection, connect
from examples.vendors import shopify_data as data
from sensors.connectors import shopify
from tests.support.vendor_deliveries import RECEIVED_AT, delivery, signed_shopify


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, "writer") as connection:
        yield connection


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(Contracts.load(), DefaultPolicy(), create_keys(tmp_path), lambda: RECEIVED_AT)


def land(conn: Connection, landing: Landing, topic: str, payload: dict[str, Any], id: str) -> LandingCounts:
    headers, body = signed_shopify(payload, topic=topic, webhook_id=id)
    return landing.land(conn, [delivery("shopify", headers, body)], shopify.parse, way="webhook")


def landed(conn: Connection, dataset: str) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select data, subject from batuta.events where dataset = %s order by id", (dataset,)
    ).fetchall()


def test_a_merge_calls_customers_what_their_orders_call_them(conn: Connection, landing: Landing) -> None:
    kept, gone = data.order(1, RECEIVED_AT), data.order(2, RECEIVED_AT)
    for number, order in enumerate((kept, gone)):
        land(conn, landing, "orders/create", order, f"order-{number}")
    land(conn, landing, "customers/create", data.customer(2, RECEIVED_AT), "customer")
    merged = data.merged(kept["customer"]["id"], gone["customer"]["id"])
    assert land(conn, landing, "customers/merge", merged, "merge") == LandingCounts(landed=1)
    assert land(conn, landing, "customers/merge", merged, "merge") == LandingCounts(duplicate=1)

    ((merge, subject),) = landed(conn, "customer_merges")
    keys = [order["customer"]["id"] for order, _ in landed(conn, "orders")]
    assert [merge["customer_kept_id"], merge["customer_deleted_id"]] == keys
    assert all(key.startswith("h1:") for key in keys)
    ((_, customer),) = landed(conn, "customers")
    assert subject == customer


def test_what_a_failed_merge_says_of_people_stays_out(conn: Connection, landing: Landing) -> None:
    failed = data.merged(7_100_000_000_001, 7_100_000_000_002, status="failed")
    land(conn, landing, "customers/merge", failed, "merge")
    ((merge, _),) = landed(conn, "customer_merges")
    assert merge.keys() == {"customer_kept_id", "customer_deleted_id", "admin_graphql_api_job_id", "status"}
    text = orjson.dumps(merge).decode()
    assert "Maria" not in text
    assert "71000000000" not in text


def test_merges_do_not_take_each_other_s_place(conn: Connection, landing: Landing) -> None:
    for place, (kept, gone) in enumerate([(1, 2), (3, 1)]):
        land(conn, landing, "customers/merge", data.merged(kept, gone), f"merge-{place}")
    first, second = (merge for merge, _ in landed(conn, "customer_merges"))
    assert first["customer_kept_id"] == second["customer_deleted_id"]
