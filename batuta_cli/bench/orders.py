"""Shopify orders for the benchmarks: one of about 650 bytes, and one of the size and shape that Shopify sends.

They are fixed: the same number gives the same order. Two thousand customers place them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

import orjson

from batuta.landing.model import Delivery

PRODUCT: Final = "bench"
SHOP: Final = "bench.myshopify.com"
CUSTOMERS: Final = 2000
_MOMENT: Final = "2025-11-12T08:00:00-03:00"
_PLAIN_TEXTS: Final = {
    "app_id": 580111, "buyer_accepts_marketing": False, "cart_token": None, "checkout_id": 37853000001,
    "checkout_token": "9f2c6b1e0d4a4f0a8b7c5d3e2f1a0b9c", "client_details": {
        "accept_language": "pt-BR", "browser_height": None, "browser_ip": "203.0.113.7", "browser_width": None,
        "session_hash": None, "user_agent": "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile",
    },
    "company": None, "confirmation_number": "KQ7D1TXZ9", "current_total_additional_fees_set": None,
    "discount_codes": [], "duties_included": False, "estimated_taxes": False, "landing_site": "/products/camiseta",
    "landing_site_ref": None, "location_id": None, "merchant_business_entity_id": "MTExMTExMTEx", "note_attributes": [],
    "original_total_additional_fees_set": None, "original_total_duties_set": None, "payment_terms": None,
    "po_number": None, "reference": "a8b7c5d3e2f1", "referring_site": "https://www.google.com/", "source_identifier": None,
    "source_url": None, "tax_exempt": False, "token": "0d4a4f0a8b7c5d3e2f1a0b9c9f2c6b1e", "user_id": None,
    "fulfillments": [], "discount_applications": [], "payment_gateway_names": ["pix"], "tax_lines": [],
}  # fmt: skip
_MONEY_SETS: Final = (
    "current_subtotal_price_set", "current_total_discounts_set", "current_total_price_set", "current_total_tax_set",
    "subtotal_price_set", "total_cash_rounding_payment_adjustment_set", "total_discounts_set", "total_line_items_price_set",
    "total_price_set", "total_shipping_price_set", "total_tax_set",
)  # fmt: skip

Order = Callable[[int], dict[str, Any]]


def small_order(number: int, *, customer: int | None = None) -> dict[str, Any]:
    """An order of about 650 bytes, by one of the two thousand or by the customer numbered `customer`."""
    customer = number % CUSTOMERS if customer is None else customer
    return {
        "id": 5_000_000_000 + number,
        "admin_graphql_api_id": f"gid://shopify/Order/{5_000_000_000 + number}",
        "name": f"#{number}",
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
        "processed_at": _MOMENT,
        "financial_status": "paid",
        "test": False,
        "currency": "BRL",
        "total_price": _price(number),
        "subtotal_price": _price(number),
        "total_discounts": "0.00",
        "source_name": "web",
        "email": f"cliente{customer}@exemplo.com.br",
        "phone": f"+5511{900_000_000 + customer}",
        "customer": {"id": 7_000_000 + customer, "email": f"cliente{customer}@exemplo.com.br"},
        "line_items": [
            {
                "id": 9_000_000_000 + number,
                "product_id": 8_000_000 + number % 50,
                "sku": f"SKU-{number % 50:03d}",
                "title": "Camiseta de algodão",
                "quantity": 1,
                "price": _price(number),
                "gift_card": False,
            }
        ],
    }


def vendor_order(number: int) -> dict[str, Any]:
    """An order with the fields and the size of Shopify's own webhooks: three lines, addresses, money sets."""
    small = small_order(number)
    price = _price(number)
    address = {
        "first_name": "Ana", "last_name": "Souza", "name": "Ana Souza", "company": None, "phone": small["phone"],
        "address1": "Rua das Flores, 123", "address2": "ap. 45", "city": "Recife", "zip": "50030-230",
        "province": "Pernambuco", "province_code": "PE", "country": "Brazil", "country_code": "BR",
        "latitude": -8.0631, "longitude": -34.8711,
    }  # fmt: skip
    line = small["line_items"][0] | {
        "admin_graphql_api_id": f"gid://shopify/LineItem/{9_000_000_000 + number}", "attributed_staffs": [],
        "current_quantity": 1, "fulfillable_quantity": 1, "fulfillment_service": "manual", "fulfillment_status": None,
        "grams": 180, "name": "Camiseta de algodão - M", "price_set": _money_set(price), "product_exists": True,
        "properties": [], "requires_shipping": True, "sales_line_item_group_id": None, "taxable": True,
        "total_discount": "0.00", "total_discount_set": _money_set("0.00"), "variant_id": 6_000_000 + number % 50,
        "variant_inventory_management": "shopify", "variant_title": "M", "vendor": "Avila", "tax_lines": [],
        "duties": [], "discount_allocations": [{"amount": "5.00", "amount_set": _money_set("5.00"), "discount_application_index": 0}],
    }  # fmt: skip
    customer = small["customer"] | {
        "created_at": _MOMENT, "updated_at": _MOMENT, "first_name": "Ana", "last_name": "Souza", "state": "disabled",
        "note": None, "verified_email": True, "multipass_identifier": None, "tax_exempt": False, "phone": small["phone"],
        "currency": "BRL", "tax_exemptions": [], "admin_graphql_api_id": f"gid://shopify/Customer/{small['customer']['id']}",
        "default_address": address | {"id": 1, "customer_id": small["customer"]["id"], "default": True},
    }  # fmt: skip
    return (
        small
        | _PLAIN_TEXTS
        | {name: _money_set(price) for name in _MONEY_SETS}
        | {
            "browser_ip": "203.0.113.7", "cancel_reason": None, "cancelled_at": None, "closed_at": None,
            "confirmed": True, "contact_email": small["email"], "customer_locale": "pt-BR", "fulfillment_status": None,
            "note": None, "number": number, "order_number": number, "presentment_currency": "BRL",
            "source_name": "web", "subtotal_price": price, "tags": "", "taxes_included": True,
            "order_status_url": f"https://{SHOP}/1/orders/0d4a4f0a8b7c5d3e/authenticate?key=5d3e2f1a",
            "total_discounts": "15.00", "total_line_items_price": price, "total_outstanding": "0.00", "total_tax": "0.00",
            "total_tip_received": "0.00", "total_weight": 540, "processing_method": None, "refunds": [],
            "customer": customer, "billing_address": address, "shipping_address": address,
            "line_items": [line | {"id": line["id"] * 10 + n} for n in range(3)],
            "shipping_lines": [
                {
                    "id": number, "carrier_identifier": None, "code": "PAC", "discounted_price": "20.00",
                    "discounted_price_set": _money_set("20.00"), "is_removed": False, "phone": None, "price": "20.00",
                    "price_set": _money_set("20.00"), "requested_fulfillment_service_id": None, "source": "shopify",
                    "title": "PAC", "tax_lines": [], "discount_allocations": [],
                }
            ],
        }
    )  # fmt: skip


def deliveries(order: Order, count: int, received_at: datetime, first: int = 0) -> Iterator[Delivery]:
    """Deliveries of `orders/create`, from the order numbered `first` on."""
    for number in range(first, first + count):
        headers = {
            "x-shopify-topic": "orders/create",
            "x-shopify-shop-domain": SHOP,
            "x-shopify-webhook-id": f"{number:08x}-7a0b-4d0d-9a7b-2a3c1f2e1a90",
            "x-shopify-triggered-at": "2025-11-12T11:00:00.123456Z",
        }
        yield Delivery(PRODUCT, "shopify", None, headers, orjson.dumps(order(number)), received_at)


def _price(number: int) -> str:
    return f"{19 + number % 380}.90"


def _money_set(amount: str) -> dict[str, Any]:
    money = {"amount": amount, "currency_code": "BRL"}
    return {"shop_money": money, "presentment_money": money}
