"""Records of the Admin GraphQL API in the form that webhooks have: field by field, nothing guessed.

Money is the shop's (`shopMoney`), as the text Shopify writes; ids are the numbers of global ids; enumerations are in
lower case. Where a webhook has a field that the API does not (`order_adjustments[].kind`), what it is made of is said
here. A field the API was not asked for is left out, never made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final

from sensors.connectors.reading import JsonObject, object_at, text_at

_GLOBAL_ID: Final = re.compile(r"gid://shopify/([A-Za-z]+)/([0-9]{1,19})(?:\?.*)?")
_NAME_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_TOO_MUCH: Final = Decimal(10) ** 15
# What the display names of the API are called in webhooks, where that is not the same word in lower case.
_FULFILLMENT: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "UNFULFILLED": None,
        "PARTIALLY_FULFILLED": "partial",
        "FULFILLED": "fulfilled",
        "RESTOCKED": "restocked",
        "IN_PROGRESS": None,
        "ON_HOLD": None,
        "OPEN": None,
        "PENDING_FULFILLMENT": None,
        "REQUEST_DECLINED": None,
        "SCHEDULED": None,
    }
)
# The API has lost this field; webhooks still tell refunds of shipping from what was rounded away.
_SHIPPING_REASONS: Final = frozenset({"shipping_refund"})


class BadNode(Exception):
    """A record lacks what it must have; names the field, never a value."""


def numeric_id(node: Mapping[str, Any], name: str = "id", kind: str | None = None) -> int:
    """The number in a global id.

    Raises:
        BadNode: there is none, or it is of another kind.
    """
    match = _GLOBAL_ID.fullmatch(text_at(node, name) or "")
    if match is None or (kind is not None and match[1] != kind):
        raise BadNode(f"{name} is no global id" + (f" of {kind}" if kind else ""))
    return int(match[2])


def order(node: JsonObject) -> JsonObject:
    """`Order` as in orders/updated."""
    number = numeric_id(node, kind="Order")
    name = text_at(node, "name")
    lines = [_line(line) for line in nodes_of(node, "lineItems")]
    digits = _NAME_NUMBER.search(name or "")
    email = text_at(node, "email")
    return {
        "id": number,
        "admin_graphql_api_id": text_at(node, "id"),
        "name": name,
        "order_number": int(digits[0]) if digits else None,
        "created_at": node.get("createdAt"),
        "updated_at": node.get("updatedAt"),
        "processed_at": node.get("processedAt"),
        "cancelled_at": node.get("cancelledAt"),
        "closed_at": node.get("closedAt"),
        "cancel_reason": _lower(node, "cancelReason"),
        "financial_status": _lower(node, "displayFinancialStatus"),
        "fulfillment_status": _fulfillment(node),
        "test": node.get("test", False),
        "confirmed": node.get("confirmed", True),
        "currency": node.get("currencyCode"),
        "presentment_currency": node.get("presentmentCurrencyCode"),
        "taxes_included": node.get("taxesIncluded", False),
        "total_price": _money(node, "totalPriceSet"),
        "subtotal_price": _money(node, "subtotalPriceSet"),
        "total_line_items_price": _sum_of_lines(lines),
        "total_discounts": _money(node, "totalDiscountsSet"),
        "total_tax": _money(node, "totalTaxSet"),
        "total_outstanding": _money(node, "totalOutstandingSet"),
        "source_name": text_at(node, "sourceName"),
        "customer_locale": text_at(node, "customerLocale"),
        "tags": _tags(node),
        "payment_gateway_names": [name for name in _list(node, "paymentGatewayNames") if isinstance(name, str)],
        "email": email,
        "contact_email": email,
        "phone": text_at(node, "phone"),
        "note": text_at(node, "note"),
        "customer": _buyer(node),
        "billing_address": _address(node, "billingAddress"),
        "shipping_address": _address(node, "shippingAddress"),
        "line_items": lines,
        "refunds": [refund(part | {"order": {"id": node["id"]}}) for part in _objects(node, "refunds")],
    }  # fmt: skip


def refund(node: JsonObject) -> JsonObject:
    """`Refund` as in refunds/create. A webhook's `processed_at` is when it was created, but for imported orders."""
    number = numeric_id(node, kind="Refund")
    order_id = numeric_id(object_at(node, "order"), kind="Order")
    lines = nodes_of(node, "refundLineItems")
    adjustments = [
        _adjustment(part, order_id=order_id, refund_id=number) for part in nodes_of(node, "orderAdjustments")
    ]
    return {
        "id": number,
        "admin_graphql_api_id": text_at(node, "id"),
        "order_id": order_id,
        "created_at": node.get("createdAt"),
        "processed_at": node.get("createdAt"),
        "note": text_at(node, "note"),
        "restock": any(text_at(line, "restockType") in ("RETURN", "CANCEL", "LEGACY_RESTOCK") for line in lines),
        "refund_line_items": [_refund_line(line) for line in lines],
        "order_adjustments": adjustments,
        "transactions": [
            transaction(part | {"order": object_at(node, "order")}) for part in nodes_of(node, "transactions")
        ],
    }  # fmt: skip


def transaction(node: JsonObject) -> JsonObject:
    """`OrderTransaction` as in order_transactions/create."""
    parent = object_at(node, "parentTransaction")
    return {
        "id": numeric_id(node, kind="OrderTransaction"),
        "admin_graphql_api_id": text_at(node, "id"),
        "order_id": numeric_id(object_at(node, "order"), kind="Order"),
        "parent_id": numeric_id(parent, kind="OrderTransaction") if parent else None,
        "kind": _lower(node, "kind"),
        "status": _lower(node, "status"),
        "gateway": text_at(node, "gateway"),
        "amount": _money(node, "amountSet"),
        "currency": _shop_money(node, "amountSet").get("currencyCode"),
        "test": node.get("test", False),
        "created_at": node.get("createdAt"),
        "processed_at": node.get("processedAt"),
        "error_code": _lower(node, "errorCode"),
    }


def product(node: JsonObject) -> JsonObject:
    """`Product` as in products/update."""
    return {
        "id": numeric_id(node, kind="Product"),
        "admin_graphql_api_id": text_at(node, "id"),
        "title": node.get("title"),
        "handle": text_at(node, "handle"),
        "body_html": text_at(node, "descriptionHtml"),
        "vendor": text_at(node, "vendor"),
        "product_type": node.get("productType"),
        "status": _lower(node, "status"),
        "tags": _tags(node),
        "created_at": node.get("createdAt"),
        "updated_at": node.get("updatedAt"),
        "published_at": node.get("publishedAt"),
        "variants": [_variant(part) for part in nodes_of(node, "variants")],
    }


def customer(node: JsonObject) -> JsonObject:
    """`Customer` as in customers/update."""
    return _person(node) | {
        "state": _lower(node, "state"),
        "verified_email": node.get("verifiedEmail"),
        "tax_exempt": node.get("taxExempt"),
        "tags": _tags(node),
        "currency": object_at(node, "amountSpent").get("currencyCode"),
        "default_address": _address(node, "defaultAddress"),
    }


def nodes_of(node: Mapping[str, Any], name: str) -> list[JsonObject]:
    """The members of a connection, asked for as `nodes` or as `edges`; of a plain list, itself."""
    value = node.get(name)
    if isinstance(value, dict):
        if isinstance(value.get("edges"), list):
            return [object_at(edge, "node") for edge in value["edges"] if isinstance(edge, dict)]
        return _objects(value, "nodes")
    return _objects(node, name)


@dataclass(frozen=True, slots=True)
class Reader:
    """How a pulled form is read, and the topics of one that is new and of one that changed."""

    read: Callable[[JsonObject], JsonObject]
    topics: tuple[str, str]


READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "order": Reader(order, ("orders/create", "orders/updated")),
        "refund": Reader(refund, ("refunds/create", "refunds/create")),
        "order_transaction": Reader(transaction, ("order_transactions/create", "order_transactions/create")),
        "product": Reader(product, ("products/create", "products/update")),
        "customer": Reader(customer, ("customers/create", "customers/update")),
    }
)
"""By the form a pulled delivery has."""


def _line(node: JsonObject) -> JsonObject:
    merchandise, variant = object_at(node, "product"), object_at(node, "variant")
    return {
        "id": numeric_id(node, kind="LineItem"),
        "product_id": numeric_id(merchandise, kind="Product") if merchandise else None,
        "variant_id": numeric_id(variant, kind="ProductVariant") if variant else None,
        "sku": text_at(node, "sku"),
        "title": text_at(node, "title"),
        "vendor": text_at(node, "vendor"),
        "quantity": node.get("quantity"),
        "price": _money(node, "originalUnitPriceSet"),
        "gift_card": node.get("isGiftCard", False),
        "total_discount": _money(node, "totalDiscountSet"),
        "discount_allocations": [
            {
                "amount": _money(part, "allocatedAmountSet"),
                "discount_application_index": object_at(part, "discountApplication").get("index"),
            }
            for part in _objects(node, "discountAllocations")
        ],
    }


def _refund_line(node: JsonObject) -> JsonObject:
    line = object_at(node, "lineItem")
    sold = _line(line)
    return {
        "id": numeric_id(node, kind="RefundLineItem"),
        "line_item_id": sold["id"],
        "quantity": node.get("quantity"),
        "subtotal": _money(node, "subtotalSet"),
        "total_tax": _money(node, "totalTaxSet"),
        "restock_type": _lower(node, "restockType"),
        "line_item": {
            name: sold[name]
            for name in ("id", "product_id", "variant_id", "sku", "title", "quantity", "price", "gift_card")
        },
    }


def _adjustment(node: JsonObject, *, order_id: int, refund_id: int) -> JsonObject:
    """The API tells why, not which kind; all but refunds of shipping are discrepancies, as webhooks call them."""
    reason = _lower(node, "reason")
    return {
        "id": numeric_id(node, kind="OrderAdjustment"),
        "order_id": order_id,
        "refund_id": refund_id,
        "amount": _money(node, "amountSet"),
        "tax_amount": _money(node, "taxAmountSet"),
        "kind": "shipping_refund" if reason in _SHIPPING_REASONS else "refund_discrepancy",
        "reason": reason,
    }


def _variant(node: JsonObject) -> JsonObject:
    return {
        "id": numeric_id(node, kind="ProductVariant"),
        "title": text_at(node, "title"),
        "sku": text_at(node, "sku"),
        "price": node.get("price"),
        "compare_at_price": node.get("compareAtPrice"),
        "position": node.get("position"),
        "inventory_quantity": node.get("inventoryQuantity"),
        "updated_at": node.get("updatedAt"),
    }


def _buyer(node: JsonObject) -> JsonObject | None:
    buyer = object_at(node, "customer")
    if not buyer:
        return None
    return {name: value for name, value in _person(buyer).items() if name != "admin_graphql_api_id"}


def _person(node: JsonObject) -> JsonObject:
    return {
        "id": numeric_id(node, kind="Customer"),
        "admin_graphql_api_id": text_at(node, "id"),
        "email": text_at(object_at(node, "defaultEmailAddress"), "emailAddress"),
        "phone": text_at(object_at(node, "defaultPhoneNumber"), "phoneNumber"),
        "created_at": node.get("createdAt"),
        "updated_at": node.get("updatedAt"),
    }


def _address(node: JsonObject, name: str) -> JsonObject | None:
    address = object_at(node, name)
    if not address:
        return None
    return {
        "city": text_at(address, "city"),
        "province_code": text_at(address, "provinceCode"),
        "country_code": text_at(address, "countryCodeV2"),
    }


def _fulfillment(node: JsonObject) -> str | None:
    shown = text_at(node, "displayFulfillmentStatus")
    return _FULFILLMENT.get(shown, shown.lower()) if shown is not None else None


def _sum_of_lines(lines: Sequence[JsonObject]) -> str | None:
    try:
        total = sum((Decimal(line["price"]) * line["quantity"] for line in lines), Decimal())
    except (InvalidOperation, TypeError, ValueError):
        return None
    return f"{total:.2f}" if total.is_finite() and abs(total) < _TOO_MUCH else None


def _shop_money(node: Mapping[str, Any], name: str) -> JsonObject:
    return object_at(object_at(node, name), "shopMoney")


def _money(node: Mapping[str, Any], name: str) -> str | None:
    """The shop's amount, with two decimals at least: the API writes 10.0 where webhooks write 10.00."""
    amount = _shop_money(node, name).get("amount")
    if not isinstance(amount, str):
        return None
    whole, point, decimals = amount.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}" if point or whole.lstrip("-").isdigit() else amount


def _lower(node: Mapping[str, Any], name: str) -> str | None:
    value = text_at(node, name)
    return value.lower() if value is not None else None


def _tags(node: Mapping[str, Any]) -> str:
    return ", ".join(tag for tag in _list(node, "tags") if isinstance(tag, str))


def _list(node: Mapping[str, Any], name: str) -> list[Any]:
    value = node.get(name)
    return value if isinstance(value, list) else []


def _objects(node: Mapping[str, Any], name: str) -> list[JsonObject]:
    return [item for item in _list(node, name) if isinstance(item, dict)]
