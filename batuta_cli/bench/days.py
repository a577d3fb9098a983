"""A shop's days for the benchmarks: orders with their payments, and a tenth of yesterday's orders edited.

They are fixed: the same shop, day and size give the same deliveries, in the same order. Three of four orders are a
customer's first; the fourth is by one who came first in the four weeks before.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import orjson

from batuta.landing.model import Delivery
from batuta_cli.bench.orders import small_order

EDITED: Final = 10
"""One of so many of yesterday's orders is edited."""
MOST: Final = 10_000
"""Orders of a day have numbers below this, so that no two days share one."""
RETURNING: Final = 4
"""One of so many orders is by a customer who was there before."""
WEEKS_BACK: Final = 4
OPENED: Final = date(2024, 1, 1)
"""Customers are numbered from this day on."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A product's shop."""

    product: str
    domain: str


def order_of(day: date, number: int, *, edited_on: date | None = None) -> dict[str, Any]:
    """The order numbered `number` of a day, paid; edited, it has another price."""
    placed = f"{day.isoformat()}T{8 + number % 12:02}:{number % 60:02}:00-03:00"
    order = small_order(day.toordinal() * MOST + number, customer=_customer(day, number))
    order |= {"created_at": placed, "processed_at": placed, "updated_at": placed}
    if edited_on is not None:
        line = order["line_items"][0] | {"price": "29.90"}
        order |= {"updated_at": f"{edited_on.isoformat()}T09:00:00-03:00", "line_items": [line]}
    return order


def _customer(day: date, number: int) -> int:
    """Who places an order: somebody new, or who placed the next number on an earlier day."""
    if number % RETURNING == 0:
        day, number = day - timedelta(days=1 + number // RETURNING % (7 * WEEKS_BACK)), number + 1
    return (day - OPENED).days * MOST + number


def payment_of(order: dict[str, Any]) -> dict[str, Any]:
    """The payment of an order, as the shop reports it."""
    return {
        "id": order["id"] + 1,
        "admin_graphql_api_id": f"gid://shopify/OrderTransaction/{order['id'] + 1}",
        "order_id": order["id"],
        "parent_id": None,
        "kind": "sale",
        "status": "success",
        "gateway": "pix",
        "amount": order["total_price"],
        "currency": "BRL",
        "test": False,
        "created_at": order["created_at"],
        "processed_at": order["created_at"],
    }


def day_of(shop: Shop, day: date, orders: int, *, topic: str = "orders/create") -> Iterator[Delivery]:
    """What a shop sends in a day: new orders under `topic`, a payment for each, and edits of yesterday's orders."""
    for number in range(orders):
        order = order_of(day, number)
        yield delivery(shop, topic, day, order, f"{order['id']}")
        yield delivery(shop, "order_transactions/create", day, payment_of(order), f"{order['id']}-paid")
    yesterday = day - timedelta(days=1)
    for number in range(0, orders, EDITED):
        order = order_of(yesterday, number, edited_on=day)
        yield delivery(shop, "orders/updated", day, order, f"{order['id']}-edited")


def delivery(shop: Shop, topic: str, day: date, body: dict[str, Any], id: str) -> Delivery:
    """One delivery, received in the evening of the day."""
    received_at = datetime.combine(day, time(23, 30), UTC)
    headers = headers_of(shop, topic, id) | {"x-shopify-triggered-at": received_at.isoformat()}
    return Delivery(shop.product, "shopify", shop.domain, headers, orjson.dumps(body), received_at)


def headers_of(shop: Shop, topic: str, id: str) -> dict[str, str]:
    """The headers of a delivery that say what it is."""
    return {"x-shopify-topic": topic, "x-shopify-shop-domain": shop.domain, "x-shopify-webhook-id": id}


def signed(headers: dict[str, str], body: bytes, secret: bytes) -> dict[str, str]:
    """The headers with the shop's signature over the body."""
    signature = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
    return headers | {"content-type": "application/json", "x-shopify-hmac-sha256": signature}
