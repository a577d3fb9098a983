"""Deliveries as the vendors send them, small but of their true shape. All persons and shops are invented."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from batuta.landing.model import Delivery

RECEIVED_AT = datetime(2025, 11, 12, 11, 0, 5, tzinfo=UTC)
SHOP = "arcsat-demo.myshopify.com"
SHOPIFY_SECRET = b"shopify-client-secret"
GITHUB_SECRET = b"github-hook-secret"
EVENTS_TOKEN = b"events-token-of-arcsat"


def shopify_order(number: int = 1001, **changes: Any) -> dict[str, Any]:
    """An order as in orders/create."""
    order: dict[str, Any] = {
        "id": 820982911946154508 + number,
        "admin_graphql_api_id": f"gid://shopify/Order/{820982911946154508 + number}",
        "name": f"#{number}",
        "order_number": number,
        "number": number,
        "test": False,
        "created_at": "2025-11-12T08:00:00-03:00",
        "updated_at": "2025-11-12T08:00:01-03:00",
        "processed_at": "2025-11-12T08:00:00-03:00",
        "cancelled_at": None,
        "closed_at": None,
        "currency": "BRL",
        "financial_status": "paid",
        "fulfillment_status": None,
        "email": f"cliente{number}@example.com",
        "total_price": "150.00",
        "subtotal_price": "150.00",
        "total_discounts": "10.00",
        "total_tax": "0.00",
        "taxes_included": True,
        "customer": {
            "id": 115310627314723954,
            "email": f"cliente{number}@example.com",
            "first_name": "Maria",
            "last_name": "Exemplo",
            "phone": "+5511999990000",
        },
        "line_items": [
            {
                "id": 866550311766439020 + number,
                "product_id": 632910392,
                "variant_id": 808950810,
                "sku": "ARC-1",
                "title": "Antena",
                "quantity": 2,
                "price": "80.00",
                "gift_card": False,
                "discount_allocations": [{"amount": "10.00", "discount_application_index": 0}],
            }
        ],
        "refunds": [],
        "note": None,
    }
    return order | changes


def signed_shopify(
    payload: Any,
    *,
    topic: str = "orders/create",
    webhook_id: str = "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    secret: bytes = SHOPIFY_SECRET,
    shop: str = SHOP,
    headers: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a Shopify webhook."""
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    signature = base64.b64encode(hmac.digest(secret, body, "sha256")).decode()
    return (
        {
            "content-type": "application/json",
            "x-shopify-topic": topic,
            "x-shopify-hmac-sha256": signature,
            "x-shopify-shop-domain": shop,
            "x-shopify-api-version": "2025-10",
            "x-shopify-webhook-id": webhook_id,
            "x-shopify-event-id": "98880550-7158-44d4-b7cd-2c97c8a091b5",
            "x-shopify-triggered-at": "2025-11-12T11:00:02.877041743Z",
        }
        | dict(headers or {}),
        body,
    )


def pull_request(number: int = 7, action: str = "closed", **changes: Any) -> dict[str, Any]:
    """A pull_request payload."""
    return {
        "action": action,
        "number": number,
        "pull_request": {
            "id": 279147437 + number,
            "number": number,
            "state": "closed",
            "title": "Faster tracking",
            "body": "Closes the loop.",
            "user": {"login": "dev-one", "id": 21031067, "type": "User"},
            "created_at": "2025-11-10T10:00:00Z",
            "updated_at": "2025-11-12T10:59:00Z",
            "merged_at": "2025-11-12T10:59:00Z",
            "closed_at": "2025-11-12T10:59:00Z",
            "merged": True,
            "base": {"ref": "main"},
            "head": {"ref": "faster"},
        },
        "repository": REPOSITORY,
        "sender": {"login": "dev-one", "id": 21031067, "type": "User"},
    } | changes


REPOSITORY: Mapping[str, Any] = {
    "id": 186853002,
    "name": "arcsat",
    "full_name": "avila-inc/arcsat",
    "url": "https://api.github.com/repos/avila-inc/arcsat",
    "default_branch": "main",
    "owner": {"login": "avila-inc", "id": 1, "type": "Organization"},
}


def signed_github(
    payload: Any,
    *,
    event: str = "pull_request",
    delivery_id: str = "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    secret: bytes = GITHUB_SECRET,
    headers: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a GitHub webhook."""
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return (
        {
            "content-type": "application/json",
            "x-github-event": event,
            "x-github-delivery": delivery_id,
            "x-hub-signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(),
        }
        | dict(headers or {}),
        body,
    )


def cloud_event(identifier: str = "b6f6a4b0-7a0b-4d0d-9a7b-2a3c1f2e1a90", **changes: Any) -> dict[str, Any]:
    """A structured CloudEvent of advertising spend."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": identifier,
        "source": "https://ads.example.com/accounts/9",
        "type": "com.batuta.spend.recorded",
        "time": "2025-11-12T11:00:00Z",
        "datacontenttype": "application/json",
        "data": {
            "spend_id": identifier,
            "channel": "search",
            "kind": "media",
            "amount": "120.50",
            "currency": "BRL",
            "period_start": "2025-11-11",
            "period_end": "2025-11-11",
        },
    }
    return event | changes


def delivery(
    connector: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    account: str | None = None,
    product: str = "arcsat",
) -> Delivery:
    """A delivery as the gateway or a file gives it."""
    return Delivery(
        product=product,
        connector=connector,
        account=account,
        headers=headers,
        body=body,
        received_at=RECEIVED_AT,
    )
