"""A Shopify account through the runner: what is counted, what stops it, what a backfill adds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from batuta.landing.model import Delivery
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.settings import get_settings
from batuta.warehouse.connection import Connection, connect
from examples.vendors import shopify_data as data
from examples.vendors.shopify import TOKEN, Shopify
from sensors.connectors import shopify
from sensors.connectors.pulling import Account, Gone, Window
from sensors.connectors.shopify import pull
from sensors.pull.accounts import BoundAccount, is_due, read_states
from sensors.pull.means import Means
from sensors.pull.run import audit_account, backfill_account, poll_account
from tests.support.landing_trials import open_landing
from tests.support.pulling import NOW, MemoryBlobs, TrialTime, shared_client
from tests.support.vendor_deliveries import signed_shopify

MUCH = 1e9


@pytest.fixture
def shop() -> Iterator[Shopify]:
    with Shopify() as running:
        running.now = lambda: NOW
        yield running


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, "writer", autocommit=True) as connection:
        yield connection


@pytest.fixture
def means(database_url: str, tmp_path: Path) -> Means:
    time = TrialTime()
    return Means(
        landing=open_landing(tmp_path),
        connect=lambda: connect(database_url, "writer"),
        blobs=MemoryBlobs(),
        client=shared_client(),
        clock=time.clock,
        monotonic=time.monotonic,
        sleep=time.sleep,
        parse_of=lambda name: shopify.parse,
        puller_of=lambda name: pull,
    )


def bound_to(shop: Shopify) -> BoundAccount:
    binding = ConnectorBinding(
        type="shopify",
        account=shop.shop,
        credentials={"accessToken": SecretRef(env="SHOPIFY")},
        settings={"apiUrl": shop.url},
    )
    account = Account(
        "arcsat", "shopify", shop.shop, shopify.Settings(api_url=shop.url), {"accessToken": TOKEN.encode()}
    )
    return BoundAccount(account, binding, "UTC", get_settings())


def fill(shop: Shopify, count: int) -> None:
    for number in range(count):
        order = data.order(number, NOW - timedelta(days=20 - number % 20, minutes=number), lines=2)
        paid = data.sale(order, NOW - timedelta(days=20))
        refund = data.refund(order, NOW - timedelta(days=1))
        shop.put("orders", order | {"refunds": [refund]}, [paid, *refund["transactions"]])
        shop.put("customers", data.customer(number, NOW - timedelta(days=25)))


def test_a_backfill_accounts_for_every_record_and_once_more_adds_nothing(
    shop: Shopify, means: Means, conn: Connection
) -> None:
    fill(shop, 30)
    bound = bound_to(shop)
    polled = poll_account(bound, means, deadline=MUCH)
    window = Window(NOW - timedelta(days=30), NOW)
    first = backfill_account(bound, window, means, deadline=MUCH)
    assert (first.problem, first.complete, first.counts.quarantined) == (None, True, 0)
    # An order, its refund, the sale and the refund's transaction, and the customer.
    assert polled.counts.landed + first.counts.landed == 30 * 5
    rows = conn.execute(
        "select sum(counted), sum(landed + duplicate + quarantined + filtered), max(total) "
        "from batuta.completeness where way = 'backfill'"
    ).fetchone()
    assert rows == (150, 150, 150)
    wider = Window(window.start - timedelta(days=1), NOW)
    again = backfill_account(bound, wider, means, deadline=MUCH)
    assert (again.counts.landed, again.counts.duplicate) == (0, 150)
    assert conn.execute("select count(*), count(distinct (dataset, id)) from batuta.events").fetchone() == (
        150,
        150,
    )


def test_the_polling_of_a_shop_that_removed_the_app_stops(
    shop: Shopify, means: Means, conn: Connection
) -> None:
    bound = bound_to(shop)
    assert poll_account(bound, means, deadline=MUCH).problem is None
    shop.refuse = 401
    assert isinstance(poll_account(bound, means, deadline=MUCH).problem, Gone)
    state = read_states(conn)[bound.key]
    assert state.stopped_at is not None
    assert "removed" in (state.stopped_reason or "")


def test_the_webhook_of_a_removed_app_has_the_shop_asked_without_delay(
    shop: Shopify, means: Means, conn: Connection
) -> None:
    bound = bound_to(shop)
    poll_account(bound, means, deadline=MUCH)
    assert not is_due(bound, read_states(conn)[bound.key], NOW + timedelta(seconds=1))
    headers, body = signed_shopify({"id": 548380009}, topic="app/uninstalled", shop=shop.shop)
    removed = Delivery("arcsat", "shopify", shop.shop, headers, body, NOW)
    with means.connect() as writer:
        means.landing.commit(writer, [means.landing.prepare(removed, shopify.parse)], way="webhook")
    assert is_due(bound, read_states(conn)[bound.key], NOW + timedelta(seconds=1))


def test_what_the_audit_finds_is_kept(shop: Shopify, means: Means, conn: Connection) -> None:
    shop.versions = ("2026-04",)
    audit_account(bound_to(shop), means, deadline=MUCH)
    found = dict(conn.execute("select name, state from batuta.subscriptions").fetchall())
    assert found["api version"] == "failing"
    assert found["orders/create"] == "missing"


def test_nobody_is_told_by_what_lies_in_the_database(shop: Shopify, means: Means, conn: Connection) -> None:
    fill(shop, 3)
    backfill_account(bound_to(shop), Window(NOW - timedelta(days=30), NOW), means, deadline=MUCH)
    people = [
        str(customer[field])
        for customer in shop.data["customers"].values()
        for field in ("id", "email", "phone")
    ]
    rows = conn.execute("select event::text from batuta.events as event").fetchall()
    assert rows
    assert not [word for (text,) in rows for word in [*people, "529.982.247-25", "Exemplo"] if word in text]
