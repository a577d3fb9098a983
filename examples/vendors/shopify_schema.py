"""The part of Shopify's Admin GraphQL schema that the stand-in serves, and its resolvers over webhook payloads.

The stand-in's data are payloads as webhooks carry them; here each becomes what the API shows of the same thing. It is
written from Shopify's documentation of both, apart from the connector's own mapping, so that the two check each other.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from graphql import GraphQLSchema, build_schema

Json = dict[str, Any]

SDL: Final = """
scalar DateTime
scalar Money
scalar Decimal
scalar URL
scalar HTML
scalar UnsignedInt64
interface Node { id: ID! }
type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
type MoneyV2 { amount: Decimal! currencyCode: String! }
type MoneyBag { shopMoney: MoneyV2! presentmentMoney: MoneyV2! }
type CustomerEmailAddress { emailAddress: String! }
type CustomerPhoneNumber { phoneNumber: String! }
type MailingAddress { city: String provinceCode: String countryCodeV2: String }
type Customer implements Node {
  id: ID! createdAt: DateTime! updatedAt: DateTime! state: String! verifiedEmail: Boolean! taxExempt: Boolean!
  tags: [String!]! amountSpent: MoneyV2! defaultEmailAddress: CustomerEmailAddress
  defaultPhoneNumber: CustomerPhoneNumber defaultAddress: MailingAddress
}
type DiscountApplication { index: Int! }
type DiscountAllocation { allocatedAmountSet: MoneyBag! discountApplication: DiscountApplication! }
type ProductVariant implements Node {
  id: ID! title: String! sku: String price: Money! compareAtPrice: Money position: Int! inventoryQuantity: Int
  updatedAt: DateTime!
}
type Product implements Node {
  id: ID! title: String! handle: String! descriptionHtml: HTML! vendor: String! productType: String! status: String!
  tags: [String!]! createdAt: DateTime! updatedAt: DateTime! publishedAt: DateTime
  variants(first: Int, after: String): ProductVariantConnection!
}
type LineItem implements Node {
  id: ID! sku: String title: String! vendor: String quantity: Int! isGiftCard: Boolean! product: Product
  variant: ProductVariant originalUnitPriceSet: MoneyBag! totalDiscountSet: MoneyBag!
  discountAllocations: [DiscountAllocation!]!
}
type OrderTransaction implements Node {
  id: ID! kind: String! status: String! gateway: String test: Boolean! createdAt: DateTime processedAt: DateTime
  errorCode: String parentTransaction: OrderTransaction amountSet: MoneyBag!
}
type RefundLineItem {
  id: ID quantity: Int! restockType: String! subtotalSet: MoneyBag! totalTaxSet: MoneyBag! lineItem: LineItem!
}
type OrderAdjustment implements Node { id: ID! reason: String amountSet: MoneyBag! taxAmountSet: MoneyBag! }
type Refund implements Node {
  id: ID! createdAt: DateTime note: String order: Order!
  refundLineItems(first: Int, after: String): RefundLineItemConnection!
  transactions(first: Int, after: String): OrderTransactionConnection!
  orderAdjustments(first: Int, after: String): OrderAdjustmentConnection!
}
type Order implements Node {
  id: ID! name: String! createdAt: DateTime! updatedAt: DateTime! processedAt: DateTime! cancelledAt: DateTime
  closedAt: DateTime cancelReason: String displayFinancialStatus: String displayFulfillmentStatus: String!
  test: Boolean! confirmed: Boolean! currencyCode: String! presentmentCurrencyCode: String! taxesIncluded: Boolean!
  totalPriceSet: MoneyBag! subtotalPriceSet: MoneyBag totalDiscountsSet: MoneyBag totalTaxSet: MoneyBag
  totalOutstandingSet: MoneyBag! sourceName: String customerLocale: String tags: [String!]!
  paymentGatewayNames: [String!]! email: String phone: String note: String customer: Customer
  billingAddress: MailingAddress shippingAddress: MailingAddress
  transactions(first: Int): [OrderTransaction!]! refunds(first: Int): [Refund!]!
  lineItems(first: Int, after: String): LineItemConnection!
}
type BulkOperation implements Node {
  id: ID! status: String! errorCode: String objectCount: UnsignedInt64! rootObjectCount: UnsignedInt64! url: URL
  partialDataUrl: URL completedAt: DateTime createdAt: DateTime! query: String!
}
type BulkOperationUserError { code: String field: [String!] message: String! }
type BulkOperationRunQueryPayload { bulkOperation: BulkOperation userErrors: [BulkOperationUserError!]! }
type AccessScope { handle: String! description: String! }
type AppInstallation implements Node { id: ID! accessScopes: [AccessScope!]! }
type ApiVersion { handle: String! }
type WebhookSubscription implements Node {
  id: ID! topic: WebhookSubscriptionTopic! uri: String! apiVersion: ApiVersion!
}
type UserError { field: [String!] message: String! }
type WebhookSubscriptionCreatePayload { webhookSubscription: WebhookSubscription userErrors: [UserError!]! }
enum WebhookSubscriptionFormat { JSON XML }
input WebhookSubscriptionInput { uri: String format: WebhookSubscriptionFormat }
enum WebhookSubscriptionTopic {
  ORDERS_CREATE ORDERS_UPDATED ORDERS_CANCELLED ORDERS_PAID ORDERS_FULFILLED ORDERS_PARTIALLY_FULFILLED ORDERS_DELETE
  ORDER_TRANSACTIONS_CREATE REFUNDS_CREATE PRODUCTS_CREATE PRODUCTS_UPDATE PRODUCTS_DELETE CUSTOMERS_CREATE
  CUSTOMERS_UPDATE CUSTOMERS_DELETE CUSTOMERS_MERGE APP_UNINSTALLED
}
enum OrderSortKeys { CREATED_AT ID PROCESSED_AT UPDATED_AT }
enum ProductSortKeys { CREATED_AT ID TITLE UPDATED_AT }
enum CustomerSortKeys { CREATED_AT ID UPDATED_AT }
type Query {
  orders(first: Int, after: String, query: String, sortKey: OrderSortKeys = PROCESSED_AT): OrderConnection!
  products(first: Int, after: String, query: String, sortKey: ProductSortKeys = ID): ProductConnection!
  customers(first: Int, after: String, query: String, sortKey: CustomerSortKeys = ID): CustomerConnection!
  node(id: ID!): Node
  nodes(ids: [ID!]!): [Node]!
  currentBulkOperation: BulkOperation
  currentAppInstallation: AppInstallation!
  webhookSubscriptions(first: Int, after: String): WebhookSubscriptionConnection!
}
type Mutation {
  bulkOperationRunQuery(query: String!, groupObjects: Boolean = false): BulkOperationRunQueryPayload
  webhookSubscriptionCreate(
    topic: WebhookSubscriptionTopic!, webhookSubscription: WebhookSubscriptionInput!
  ): WebhookSubscriptionCreatePayload
}
"""
CONNECTIONS: Final = (
    "Order", "Product", "Customer", "LineItem", "ProductVariant", "RefundLineItem", "OrderTransaction",
    "OrderAdjustment", "WebhookSubscription",
)  # fmt: skip
_FINANCIAL: Final = "displayFinancialStatus"
_SHOWN_FULFILLMENT: Final = {None: "UNFULFILLED", "partial": "PARTIALLY_FULFILLED", "fulfilled": "FULFILLED"}


def schema() -> GraphQLSchema:
    """The schema, connections written out, types of nodes told by what they carry."""
    connections = "".join(
        f"type {kind}Edge {{ cursor: String! node: {kind}! }}\n"
        f"type {kind}Connection {{ edges: [{kind}Edge!]! nodes: [{kind}!]! pageInfo: PageInfo! }}\n"
        for kind in CONNECTIONS
    )
    built = build_schema(SDL + connections)
    node: Any = built.type_map["Node"]
    node.resolve_type = lambda value, *_: value["id"].split("/")[3]
    return built


def page_of(items: Sequence[Json], first: int | None, after: str | None) -> Json:
    """A connection over these items; a cursor holds the place of the item it is of, by sort value and id."""
    start = 0
    if after is not None:
        mark = base64.b64decode(after).decode()
        start = next((n for n, item in enumerate(items) if _mark(item) > mark), len(items))
    end = len(items) if first is None else start + first
    chosen = items[start:end]
    edges = [{"cursor": base64.b64encode(_mark(item).encode()).decode(), "node": item} for item in chosen]
    return {
        "edges": edges,
        "nodes": list(chosen),
        "pageInfo": {
            "hasNextPage": end < len(items),
            "hasPreviousPage": start > 0,
            "startCursor": edges[0]["cursor"] if edges else None,
            "endCursor": edges[-1]["cursor"] if edges else None,
        },
    }


def _mark(item: Json) -> str:
    number = item["id"].rsplit("/", 1)[-1]
    return f"{item.get('_sort', '')} {number.zfill(20)}"


def connection(items: Sequence[Json]) -> Any:
    """A field that pages through items."""
    return lambda _info, first=None, after=None: page_of(items, first, after)


def utc(value: str | None) -> str | None:
    """A time as the API writes it: in UTC, to the second."""
    if value is None:
        return None
    return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def money(amount: str | float | None, currency: str) -> Json | None:
    """A MoneyBag; the API writes decimals without trailing zeros but one."""
    if amount is None:
        return None
    text = str(amount)
    if "." in text:
        text = text.rstrip("0")
        text += "0" if text.endswith(".") else ""
    value = {"amount": text, "currencyCode": currency}
    return {"shopMoney": value, "presentmentMoney": value}


def order_node(rest: Mapping[str, Any], transactions: Sequence[Mapping[str, Any]]) -> Json:
    """An order of a webhook as the API shows it."""
    currency = rest["currency"]
    lines = sorted((line_node(line, currency) for line in rest["line_items"]), key=_mark)
    node: Json = {
        "id": f"gid://shopify/Order/{rest['id']}",
        "name": rest["name"],
        "processedAt": utc(rest.get("processed_at")),
        "cancelledAt": utc(rest.get("cancelled_at")),
        "closedAt": utc(rest.get("closed_at")),
        "cancelReason": _upper(rest.get("cancel_reason")),
        _FINANCIAL: _upper(rest.get("financial_status")),
        "displayFulfillmentStatus": _SHOWN_FULFILLMENT[rest.get("fulfillment_status")],
        "test": rest.get("test", False),
        "confirmed": rest.get("confirmed", True),
        "currencyCode": currency,
        "presentmentCurrencyCode": rest.get("presentment_currency") or currency,
        "taxesIncluded": rest.get("taxes_included", False),
        "sourceName": rest.get("source_name"),
        "customerLocale": rest.get("customer_locale"),
        "tags": _tags(rest),
        "paymentGatewayNames": rest.get("payment_gateway_names", []),
        "email": rest.get("email") or None,
        "phone": rest.get("phone"),
        "note": rest.get("note"),
        "customer": customer_node(rest["customer"]) if rest.get("customer") else None,
        "billingAddress": _address(rest.get("billing_address")),
        "shippingAddress": _address(rest.get("shipping_address")),
        "transactions": [transaction_node(item) for item in transactions],
        "lineItems": connection(lines),
    }
    for name, field in (
        ("totalPriceSet", "total_price"), ("subtotalPriceSet", "subtotal_price"), ("totalTaxSet", "total_tax"),
        ("totalDiscountsSet", "total_discounts"), ("totalOutstandingSet", "total_outstanding"),
    ):  # fmt: skip
        node[name] = money(rest.get(field), currency)
    node["totalOutstandingSet"] = node["totalOutstandingSet"] or money("0.00", currency)
    node["refunds"] = [refund_node(refund, node, currency) for refund in rest.get("refunds", [])]
    return node | _times(rest)


def refund_node(rest: Mapping[str, Any], order: Json, currency: str) -> Json:
    """A refund as the API shows it."""
    lines = [
        {
            "id": f"gid://shopify/RefundLineItem/{line['id']}",
            "quantity": line["quantity"],
            "restockType": (line.get("restock_type") or "no_restock").upper(),
            "subtotalSet": money(line["subtotal"], currency),
            "totalTaxSet": money(line.get("total_tax") or "0.00", currency),
            "lineItem": line_node(line["line_item"], currency),
        }
        for line in rest["refund_line_items"]
    ]
    adjustments = [
        {
            "id": f"gid://shopify/OrderAdjustment/{item['id']}",
            "reason": "REFUND_DISCREPANCY" if item["kind"] == "refund_discrepancy" else "SHIPPING_REFUND",
            "amountSet": money(item["amount"], currency),
            "taxAmountSet": money(item.get("tax_amount") or "0.00", currency),
        }
        for item in rest.get("order_adjustments", [])
    ]
    return {
        "id": f"gid://shopify/Refund/{rest['id']}",
        "createdAt": utc(rest["created_at"]),
        "note": rest.get("note"),
        "order": order,
        "refundLineItems": connection(sorted(lines, key=_mark)),
        "transactions": connection(sorted(map(transaction_node, rest["transactions"]), key=_mark)),
        "orderAdjustments": connection(sorted(adjustments, key=_mark)),
    }


def transaction_node(rest: Mapping[str, Any]) -> Json:
    """A transaction as the API shows it."""
    parent = rest.get("parent_id")
    return {
        "id": f"gid://shopify/OrderTransaction/{rest['id']}",
        "kind": rest["kind"].upper(),
        "status": rest["status"].upper(),
        "gateway": rest.get("gateway"),
        "test": rest.get("test", False),
        "createdAt": utc(rest.get("created_at")),
        "processedAt": utc(rest.get("processed_at")),
        "errorCode": _upper(rest.get("error_code")),
        "parentTransaction": {"id": f"gid://shopify/OrderTransaction/{parent}"} if parent else None,
        "amountSet": money(rest["amount"], rest["currency"]),
    }


def line_node(rest: Mapping[str, Any], currency: str) -> Json:
    """A line of an order as the API shows it."""
    product, variant = rest.get("product_id"), rest.get("variant_id")
    return {
        "id": f"gid://shopify/LineItem/{rest['id']}",
        "sku": rest.get("sku"),
        "title": rest.get("title"),
        "vendor": rest.get("vendor"),
        "quantity": rest["quantity"],
        "isGiftCard": rest.get("gift_card", False),
        "product": {"id": f"gid://shopify/Product/{product}"} if product else None,
        "variant": {"id": f"gid://shopify/ProductVariant/{variant}"} if variant else None,
        "originalUnitPriceSet": money(rest["price"], currency),
        "totalDiscountSet": money(rest.get("total_discount") or "0.00", currency),
        "discountAllocations": [
            {
                "allocatedAmountSet": money(item["amount"], currency),
                "discountApplication": {"index": item["discount_application_index"]},
            }
            for item in rest.get("discount_allocations", [])
        ],
    }


def product_node(rest: Mapping[str, Any]) -> Json:
    """A product as the API shows it."""
    variants = [
        {
            "id": f"gid://shopify/ProductVariant/{item['id']}",
            "title": item["title"],
            "sku": item.get("sku"),
            "price": item["price"],
            "compareAtPrice": item.get("compare_at_price"),
            "position": item["position"],
            "inventoryQuantity": item.get("inventory_quantity"),
            "updatedAt": utc(item["updated_at"]),
        }
        for item in rest["variants"]
    ]
    return {
        "id": f"gid://shopify/Product/{rest['id']}",
        "title": rest["title"],
        "handle": rest["handle"],
        "descriptionHtml": rest.get("body_html") or "",
        "vendor": rest["vendor"],
        "productType": rest["product_type"],
        "status": rest["status"].upper(),
        "tags": _tags(rest),
        "publishedAt": utc(rest.get("published_at")),
        "variants": connection(sorted(variants, key=_mark)),
    } | _times(rest)


def customer_node(rest: Mapping[str, Any]) -> Json:
    """A customer as the API shows it."""
    return {
        "id": f"gid://shopify/Customer/{rest['id']}",
        "state": (rest.get("state") or "disabled").upper(),
        "verifiedEmail": rest.get("verified_email", True),
        "taxExempt": rest.get("tax_exempt", False),
        "tags": _tags(rest),
        "amountSpent": {"amount": "0.0", "currencyCode": rest.get("currency") or "BRL"},
        "defaultEmailAddress": {"emailAddress": rest["email"]} if rest.get("email") else None,
        "defaultPhoneNumber": {"phoneNumber": rest["phone"]} if rest.get("phone") else None,
        "defaultAddress": _address(rest.get("default_address")),
    } | _times(rest)


def _times(rest: Mapping[str, Any]) -> Json:
    updated = utc(rest.get("updated_at"))
    return {"createdAt": utc(rest.get("created_at")), "updatedAt": updated, "_sort": updated or ""}


def _address(rest: Mapping[str, Any] | None) -> Json | None:
    if rest is None:
        return None
    return {
        "city": rest.get("city"),
        "provinceCode": rest.get("province_code"),
        "countryCodeV2": rest.get("country_code"),
    }


def _tags(rest: Mapping[str, Any]) -> list[str]:
    return [tag.strip() for tag in (rest.get("tags") or "").split(",") if tag.strip()]


def _upper(value: str | None) -> str | None:
    return value.upper() if value is not None else None
