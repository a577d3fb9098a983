"""Shopify webhooks: what becomes of each topic, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from batuta.landing.model import Candidate, Parsed, Rejected
from examples.vendors import shopify_data as data
from sensors.connectors import shopify
from tests.support.vendor_deliveries import SHOP, delivery, shopify_order, signed_shopify


def read(payload: Any, *, account: str | None = None, **options: Any) -> Candidate:
    headers, body = signed_shopify(payload, **options)
    [candidate] = shopify.parse(delivery("shopify", headers, body, account=account)).candidates
    return candidate


def rejection(
    payload: Any, *, account: str | None = None, drop: str | None = None, **options: Any
) -> Rejected:
    headers, body = signed_shopify(payload, **options)
    headers.pop(drop or "", None)
    with pytest.raises(Rejected) as caught:
        shopify.parse(delivery("shopify", headers, body, account=account))
    return caught.value


def test_an_order_becomes_an_event_of_its_shop():
    candidate = read(shopify_order())
    event = candidate.event
    assert event.type == "com.shopify.orders.created"
    assert event.id == "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"
    assert event.source == f"https://{SHOP}"
    assert event.subject == shopify_order()["admin_graphql_api_id"]
    assert event.time == datetime(2025, 11, 12, 11, 0, 2, 877041, UTC)
    assert event.extensions == {"shopifyeventid": "98880550-7158-44d4-b7cd-2c97c8a091b5"}
    assert event.data == shopify_order()
    assert (candidate.connector, candidate.dataset) == ("shopify", "orders")
    assert candidate.entity == event.subject
    assert candidate.version == "2025-11-12T11:00:01Z"


@pytest.mark.parametrize(
    ("topic", "event_type", "dataset", "resource"),
    [
        ("orders/create", "orders.created", "orders", "Order"),
        ("orders/updated", "orders.updated", "orders", "Order"),
        ("orders/cancelled", "orders.cancelled", "orders", "Order"),
        ("orders/paid", "orders.paid", "orders", "Order"),
        ("orders/fulfilled", "orders.fulfilled", "orders", "Order"),
        ("orders/delete", "orders.deleted", "orders", "Order"),
        ("order_transactions/create", "order_transactions.created", "order_transactions", "OrderTransaction"),
        ("refunds/create", "refunds.created", "refunds", "Refund"),
        ("products/create", "products.created", "products", "Product"),
        ("products/update", "products.updated", "products", "Product"),
        ("products/delete", "products.deleted", "products", "Product"),
    ],
)
def test_topics_become_types_in_the_past_tense(topic: str, event_type: str, dataset: str, resource: str):
    candidate = read({"id": 42}, topic=topic)
    assert candidate.event.type == f"com.shopify.{event_type}"
    assert candidate.dataset == dataset
    assert candidate.event.subject == f"gid://shopify/{resource}/42"
    assert candidate.version is None
    assert candidate.entity is None


@pytest.mark.parametrize(
    ("topic", "event_type", "dataset", "subject"),
    [
        ("app/uninstalled", "app.uninstalled", "shop", SHOP),
        ("shop/redact", "shop.redact_requested", "shop", SHOP),
        ("customers/data_request", "customers.data_requested", "privacy", None),
        ("customers/redact", "customers.redact_requested", "privacy", None),
    ],
)
def test_what_concerns_a_person_has_no_subject(
    topic: str, event_type: str, dataset: str, subject: str | None
):
    candidate = read({"shop_id": 1, "customer": {"id": 191167, "email": "a@example.com"}}, topic=topic)
    assert candidate.event.type == f"com.shopify.{event_type}"
    assert (candidate.dataset, candidate.event.subject) == (dataset, subject)


def test_a_merge_names_its_customers_by_number_and_its_subject_is_hashed():
    candidate = read(data.merged(7, 8), topic="customers/merge")
    assert candidate.event.type == "com.shopify.customers.merged"
    assert (candidate.dataset, candidate.event.subject) == ("customer_merges", "gid://shopify/Customer/8")
    assert candidate.hashed == {"subject"}
    assert candidate.entity is None
    assert candidate.event.data == {
        "customer_kept_id": 7,
        "customer_deleted_id": 8,
        "admin_graphql_api_job_id": None,
        "status": "completed",
        "errors": [],
    }


@pytest.mark.parametrize(
    "value", [None, 8, "8", "gid://shopify/Order/8", "gid://shopify/Customer/", "gid://shopify/Customer/8x"]
)
@pytest.mark.parametrize("end", ["kept", "deleted"])
def test_a_merge_of_nobody_is_refused(end: str, value: Any):
    field = f"admin_graphql_api_customer_{end}_id"
    found = rejection(data.merged(7, 8) | {field: value}, topic="customers/merge")
    assert (found.code, found.field) == ("identity", field)


def test_an_app_that_is_uninstalled_lands_and_has_its_account_asked_at_once():
    def parsed(topic: str) -> Parsed:
        headers, body = signed_shopify({"id": 548380009, "name": "ArcSat"}, topic=topic)
        return shopify.parse(delivery("shopify", headers, body))

    assert parsed("app/uninstalled").wakes
    assert len(parsed("app/uninstalled").candidates) == 1
    assert not parsed("orders/create").wakes


def test_the_shop_is_lower_cased_and_may_be_configured_short():
    assert read(shopify_order(), shop="ArcSat-Demo.MyShopify.com").event.source == f"https://{SHOP}"
    assert read(shopify_order(), account="arcsat-demo").event.source == f"https://{SHOP}"
    assert read(shopify_order(), account="ARCSAT-demo.myshopify.com").event.source == f"https://{SHOP}"


def test_another_shop_than_the_configured_one_is_refused():
    assert rejection(shopify_order(), account="other.myshopify.com").code == "account"


@pytest.mark.parametrize(
    "shop",
    ["evil.com", "x.myshopify.com.evil.com", "-a.myshopify.com", "a b.myshopify.com", "myshopify.com", "é"],
)
def test_a_shop_that_is_none_of_shopify_s_is_refused(shop: str):
    assert rejection(shopify_order(), shop=shop).field == shopify.SHOP


@pytest.mark.parametrize("header", [either.split("|")[0] for either in shopify.REQUIRED_HEADERS])
def test_a_missing_header_is_named(header: str):
    found = rejection(shopify_order(), drop=header)
    assert (found.code, found.field) == ("headers", header)


def test_the_payload_s_time_stands_in_for_the_header_s():
    candidate = read(shopify_order(), headers={"x-shopify-triggered-at": ""})
    assert candidate.event.time == datetime(2025, 11, 12, 11, 0, 1, tzinfo=UTC)
    transaction = {"id": 9, "created_at": "2025-11-12T08:00:00-03:00", "status": "success"}
    candidate = read(transaction, topic="order_transactions/create", headers={"x-shopify-triggered-at": ""})
    assert candidate.event.time == datetime(2025, 11, 12, 11, tzinfo=UTC)
    assert candidate.version == "2025-11-12T11:00:00Z success"


def test_no_time_is_invented():
    no_header = {"x-shopify-triggered-at": ""}
    assert rejection({"id": 1}, headers=no_header).code == "time"
    assert rejection({"id": 1, "updated_at": "yesterday"}, headers=no_header).code == "time"
    assert (
        rejection(
            {"shop_id": 1, "created_at": "2025-11-12T08:00:00Z"}, topic="shop/redact", headers=no_header
        ).code
        == "time"
    )


def test_a_time_that_is_none_is_refused():
    found = rejection(shopify_order(), headers={"x-shopify-triggered-at": "12 Nov 2025"})
    assert (found.code, found.field) == ("headers", shopify.TRIGGERED_AT)


def test_an_unknown_topic_is_kept_for_a_later_version():
    assert rejection(shopify_order(), topic="carts/create").code == "unknown_topic"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "json"),
        (b"{", "json"),
        (b'{"id": NaN}', "json"),
        (b'\xff\xfe{"id": 1}', "json"),
        (b'{"name": "\xe9"}', "json"),
        (b"[]", "shape"),
        (b"null", "shape"),
        ({}, "identity"),
        ({"id": "42"}, "identity"),
        ({"id": True}, "identity"),
        ({"admin_graphql_api_id": "gid://shopify/Product/1"}, "identity"),
        ({"admin_graphql_api_id": "gid://shopify/Order/\u0000"}, "event"),
    ],
)
def test_a_body_that_is_no_order_is_refused(payload: Any, code: str):
    assert rejection(payload).code == code


def test_a_refusal_never_repeats_what_was_sent():
    assert "maria" not in rejection(b'{"email": "maria@example.com"').message
    assert "4242" not in rejection(shopify_order(), topic="4242").message
