"""What Shopify's payloads have in common: serialization, times, money, taxes, order lines.

Shapes follow shopify.dev/docs/api/admin-rest/2025-07: money twice (text and `*_set`), times in the shop's
zone, solidus escaped as Shopify's own serializer does.
"""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from simulation.model import Line

API_VERSION = "2025-07"
OFFSET = timezone(timedelta(hours=-3))
"""Sao Paulo has had no summer time since 2019."""
DOLLAR_CENTS = 540
"""Cents of a real for one dollar, where an order was shown in dollars."""
LOCATION_ID = 70_311_445_811
APP_ID = 580_111
ICMS_PERCENT = 18

Body = dict[str, Any]


def serialize(body: object) -> bytes:
    """Compact JSON as Shopify writes it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/").encode()


def stamp(at: datetime | None) -> str | None:
    """A time in the shop's zone, to the second."""
    return at.astimezone(OFFSET).isoformat(timespec="seconds") if at else None


def money(cents: int) -> str:
    """Cents as Shopify's decimal text."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def money_set(cents: int, presentment: bool = False) -> Body:
    """The same amount in the shop's and in the buyer's currency."""
    shop_money = {"amount": money(cents), "currency_code": "BRL"}
    shown = (
        {"amount": money(cents * 100 // DOLLAR_CENTS), "currency_code": "USD"}
        if presentment
        else dict(shop_money)
    )
    return {"shop_money": shop_money, "presentment_money": shown}


def included_tax(cents: int) -> int:
    """The tax inside a price."""
    return cents * ICMS_PERCENT // (100 + ICMS_PERCENT)


def tax_line(cents: int, shown: bool) -> Body:
    """The tax inside a price, as a line."""
    return {
        "price": money(cents),
        "rate": ICMS_PERCENT / 100,
        "title": "ICMS",
        "price_set": money_set(cents, shown),
        "channel_liable": False,
    }


def line_body(line: Line, shown: bool = False, fulfilled: bool = False, removed: int = 0) -> Body:
    """One line of an order; `quantity` stays what was ordered, `current_quantity` is what is left."""
    allocations: list[Body] = []
    if line.discount_cents:
        allocations = [
            {
                "amount": money(line.discount_cents),
                "amount_set": money_set(line.discount_cents, shown),
                "discount_application_index": 0,
            }
        ]
    variant_title = None if line.variant.title == "Default Title" else line.variant.title
    return {
        "id": line.id,
        "admin_graphql_api_id": f"gid://shopify/LineItem/{line.id}",
        "attributed_staffs": [],
        "current_quantity": line.quantity - removed,
        "fulfillable_quantity": 0 if fulfilled else line.quantity - removed,
        "fulfillment_service": "gift_card" if line.item.gift_card else "manual",
        "fulfillment_status": "fulfilled" if fulfilled else None,
        "gift_card": line.item.gift_card,
        "grams": line.variant.grams,
        "name": f"{line.item.title} - {variant_title}" if variant_title else line.item.title,
        "price": money(line.price_cents),
        "price_set": money_set(line.price_cents, shown),
        "product_exists": True,
        "product_id": line.item.id,
        "properties": [],
        "quantity": line.quantity,
        "requires_shipping": not line.item.gift_card,
        "sales_line_item_group_id": None,
        "sku": line.variant.sku,
        "taxable": not line.item.gift_card,
        "title": line.item.title,
        "total_discount": "0.00",
        "total_discount_set": money_set(0, shown),
        "variant_id": line.variant.id,
        "variant_inventory_management": "shopify",
        "variant_title": variant_title,
        "vendor": "Arcsat" if line.variant.sku.startswith("ARC") else "Loja Block",
        "tax_lines": [tax_line(included_tax(line.total_cents), shown)],
        "duties": [],
        "discount_allocations": allocations,
    }
