"""Made-up products, customers and orders of a shop, as webhooks carry them. All persons are invented."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Final

Json = dict[str, Any]

_ZONE: Final = timezone(timedelta(hours=-3))
_FIRST: Final = 5_400_000_000_000
_ITEMS: Final = (("Antena", "ARC-1", 8000), ("Rastreador", "ARC-2", 24990), ("Suporte", "ARC-3", 1550))


def stamp(at: datetime) -> str:
    """A time as webhooks write it: in the shop's zone, to the second."""
    return at.astimezone(_ZONE).isoformat(timespec="seconds")


def cents(amount: int) -> str:
    """Cents as decimal text."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def customer(number: int, at: datetime) -> Json:
    """A customer as in customers/create."""
    return {
        "id": 7_100_000_000_000 + number,
        "admin_graphql_api_id": f"gid://shopify/Customer/{7_100_000_000_000 + number}",
        "email": f"cliente{number}@example.com",
        "phone": f"+55119{90000000 + number}",
        "first_name": "Maria",
        "last_name": f"Exemplo {number}",
        "created_at": stamp(at),
        "updated_at": stamp(at),
        "state": "disabled",
        "verified_email": True,
        "tax_exempt": False,
        "tags": "vip" if number % 2 else "",
        "currency": "BRL",
        "default_address": _address(),
    }


def merged(kept: int, deleted: int, *, status: str = "completed") -> Json:
    """What customers/merge says of two customers, by their ids."""
    errors = [
        {"customer_ids": [kept], "field": "merge_in_progress", "message": "Maria Exemplo is being merged."}
    ]
    return {
        "admin_graphql_api_customer_kept_id": f"gid://shopify/Customer/{kept}",
        "admin_graphql_api_customer_deleted_id": f"gid://shopify/Customer/{deleted}",
        "admin_graphql_api_job_id": None,
        "status": status,
        "errors": [] if status == "completed" else errors,
    }


def product(number: int, at: datetime) -> Json:
    """A product as in products/create."""
    title, sku, price = _ITEMS[number % len(_ITEMS)]
    variant = {
        "id": 4_500_000_000_000 + number,
        "title": "Default Title",
        "sku": sku,
        "price": cents(price),
        "compare_at_price": None,
        "position": 1,
        "inventory_quantity": 40,
        "updated_at": stamp(at),
    }
    return {
        "id": 8_300_000_000_000 + number,
        "admin_graphql_api_id": f"gid://shopify/Product/{8_300_000_000_000 + number}",
        "title": title,
        "handle": title.lower(),
        "body_html": "<p>Feito no Brasil.</p>",
        "vendor": "Arcsat",
        "product_type": "Rastreio",
        "status": "active",
        "tags": "rastreio, novo",
        "created_at": stamp(at),
        "updated_at": stamp(at),
        "published_at": stamp(at),
        "variants": [variant],
    }


def order(number: int, at: datetime, *, lines: int = 1, **changes: Any) -> Json:
    """An order as in orders/create, paid, of customer `number`."""
    buyer = customer(number, at - timedelta(days=1))
    placed = [_line(number, place) for place in range(lines)]
    goods = sum(_ITEMS[(number + place) % len(_ITEMS)][2] * 2 for place in range(lines))
    return {
        "id": _FIRST + number,
        "admin_graphql_api_id": f"gid://shopify/Order/{_FIRST + number}",
        "name": f"#{1000 + number}",
        "order_number": 1000 + number,
        "created_at": stamp(at),
        "updated_at": stamp(at + timedelta(seconds=1)),
        "processed_at": stamp(at),
        "cancelled_at": None,
        "closed_at": None,
        "cancel_reason": None,
        "financial_status": "paid",
        "fulfillment_status": None,
        "test": False,
        "confirmed": True,
        "currency": "BRL",
        "presentment_currency": "BRL",
        "taxes_included": True,
        "total_price": cents(goods - 1000),
        "subtotal_price": cents(goods - 1000),
        "total_line_items_price": cents(goods),
        "total_discounts": "10.00",
        "total_tax": "0.00",
        "total_outstanding": "0.00",
        "source_name": "web",
        "customer_locale": "pt-BR",
        "tags": "",
        "payment_gateway_names": ["pix"],
        "email": buyer["email"],
        "contact_email": buyer["email"],
        "phone": None,
        "note": "Entregar para cliente@example.com, CPF 529.982.247-25",
        "customer": {name: buyer[name] for name in ("id", "email", "phone", "created_at", "updated_at")},
        "billing_address": _address(),
        "shipping_address": None,
        "line_items": placed,
        "refunds": [],
    } | changes


def sale(paid: Json, at: datetime) -> Json:
    """The transaction an order was paid with, as in order_transactions/create."""
    return _transaction(paid["id"] + 1_000_000, paid["id"], "sale", paid["total_price"], at, None)


def refund(paid: Json, at: datetime, *, number: int = 1) -> Json:
    """A refund of an order's first line, as in refunds/create; it is to be put into the order as well."""
    line = paid["line_items"][0]
    identity = paid["id"] + 2_000_000 * number
    parent = paid["id"] + 1_000_000
    return {
        "id": identity,
        "admin_graphql_api_id": f"gid://shopify/Refund/{identity}",
        "order_id": paid["id"],
        "created_at": stamp(at),
        "processed_at": stamp(at),
        "note": "Chegou tarde",
        "restock": True,
        "refund_line_items": [
            {
                "id": identity + 10,
                "line_item_id": line["id"],
                "quantity": 1,
                "subtotal": line["price"],
                "total_tax": "0.00",
                "restock_type": "return",
                "line_item": {
                    name: line[name]
                    for name in (
                        *("id", "product_id", "variant_id", "sku", "title", "quantity", "price", "gift_card"),
                    )
                },
            }
        ],
        "order_adjustments": [
            {
                "id": identity + 20,
                "order_id": paid["id"],
                "refund_id": identity,
                "amount": "-1.50",
                "tax_amount": "0.00",
                "kind": "refund_discrepancy",
                "reason": "refund_discrepancy",
            }
        ],
        "transactions": [_transaction(identity + 30, paid["id"], "refund", line["price"], at, parent)],
    }


def _line(number: int, place: int) -> Json:
    title, sku, price = _ITEMS[(number + place) % len(_ITEMS)]
    allocations = [{"amount": "10.00", "discount_application_index": 0}] if place == 0 else []
    return {
        "id": 13_000_000_000_000 + number * 1000 + place,
        "product_id": 8_300_000_000_000 + (number + place) % len(_ITEMS),
        "variant_id": 4_500_000_000_000 + (number + place) % len(_ITEMS),
        "sku": sku,
        "title": title,
        "vendor": "Arcsat",
        "quantity": 2,
        "price": cents(price),
        "gift_card": False,
        "total_discount": "0.00",
        "discount_allocations": allocations,
    }


def _transaction(identity: int, order: int, kind: str, amount: str, at: datetime, parent: int | None) -> Json:
    return {
        "id": identity,
        "admin_graphql_api_id": f"gid://shopify/OrderTransaction/{identity}",
        "order_id": order,
        "parent_id": parent,
        "kind": kind,
        "status": "success",
        "gateway": "pix",
        "amount": amount,
        "currency": "BRL",
        "test": False,
        "created_at": stamp(at),
        "processed_at": stamp(at),
        "error_code": None,
    }


def _address() -> Json:
    return {"city": "São Paulo", "province_code": "SP", "country_code": "BR"}
