"""What is asked of the Admin GraphQL API.

A bulk operation refuses a connection within a list, so refunds are asked for by their ids, apart from their orders;
and it writes members of a connection on lines of their own, so each is asked for its id. Neither matters to an ordinary
query, so both use the same fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_MONEY: Final = "{ shopMoney { amount currencyCode } }"
_PERSON: Final = """
id createdAt updatedAt defaultEmailAddress { emailAddress } defaultPhoneNumber { phoneNumber }
"""
_PLACE: Final = "{ city provinceCode countryCodeV2 }"
LINE: Final = f"""
id sku title vendor quantity isGiftCard
product {{ id }} variant {{ id }}
originalUnitPriceSet {_MONEY} totalDiscountSet {_MONEY}
discountAllocations {{ allocatedAmountSet {_MONEY} discountApplication {{ index }} }}
"""
_TRANSACTION: Final = f"""
id kind status gateway test createdAt processedAt errorCode parentTransaction {{ id }} amountSet {_MONEY}
"""
_ORDER: Final = f"""
id name createdAt updatedAt processedAt cancelledAt closedAt cancelReason
displayFinancialStatus displayFulfillmentStatus test confirmed
currencyCode presentmentCurrencyCode taxesIncluded
totalPriceSet {_MONEY} subtotalPriceSet {_MONEY} totalDiscountsSet {_MONEY} totalTaxSet {_MONEY}
totalOutstandingSet {_MONEY}
sourceName customerLocale tags paymentGatewayNames
email phone note
customer {{ {_PERSON} }}
billingAddress {_PLACE} shippingAddress {_PLACE}
transactions {{ {_TRANSACTION} }}
refunds {{ id }}
"""
VARIANT: Final = "id title sku price compareAtPrice position inventoryQuantity updatedAt"
_PRODUCT: Final = """
id title handle descriptionHtml vendor productType status tags createdAt updatedAt publishedAt
"""
_CUSTOMER: Final = f"""
{_PERSON} state verifiedEmail taxExempt tags amountSpent {{ currencyCode }} defaultAddress {_PLACE}
"""
REFUND_LINE: Final = f"""
id quantity restockType subtotalSet {_MONEY} totalTaxSet {_MONEY} lineItem {{ {LINE} }}
"""
_ADJUSTMENT: Final = f"id reason amountSet {_MONEY} taxAmountSet {_MONEY}"
_NESTED: Final = 20
_REST: Final = 100


@dataclass(frozen=True, slots=True)
class Members:
    """A connection within a record, which may go on beyond what one query gives."""

    field: str
    of: str
    """The type whose connection it is."""
    fields: str

    def first(self, count: int = _NESTED) -> str:
        """As part of a query."""
        return f"{self.field}(first: {count}) {{ nodes {{ {self.fields} }} pageInfo {{ hasNextPage endCursor }} }}"

    def rest(self) -> str:
        """The query for what comes after a cursor."""
        return (
            f"query ($id: ID!, $after: String!) {{ node(id: $id) {{ ... on {self.of} {{ {self.field}"
            f"(first: {_REST}, after: $after) {{ nodes {{ {self.fields} }} "
            "pageInfo { hasNextPage endCursor } } } } }"
        )


@dataclass(frozen=True, slots=True)
class Records:
    """A kind of record that is polled and backfilled: its query's name, its fields, its members."""

    field: str
    form: str
    kind: str
    fields: str
    members: tuple[Members, ...]

    def page(self) -> str:
        """One page, in the order of update."""
        nested = " ".join(member.first() for member in self.members)
        return (
            f"query ($first: Int!, $after: String, $query: String!) {{ {self.field}(first: $first, after: $after, "
            f"query: $query, sortKey: UPDATED_AT) {{ nodes {{ {self.fields} {nested} }} "
            "pageInfo { hasNextPage endCursor } } }"
        )

    def bulk(self, search: str) -> str:
        """The query of a bulk operation over what a search finds."""
        nested = " ".join(
            f"{member.field} {{ edges {{ node {{ {member.fields} }} }} }}" for member in self.members
        )
        return f'{{ {self.field}(query: "{search}") {{ edges {{ node {{ {self.fields} {nested} }} }} }} }}'


ORDERS: Final = Records("orders", "order", "Order", _ORDER, (Members("lineItems", "Order", LINE),))
RECORDS: Final[Mapping[str, Records]] = MappingProxyType(
    {
        "orders": ORDERS,
        "products": Records(
            "products", "product", "Product", _PRODUCT, (Members("variants", "Product", VARIANT),)
        ),
        "customers": Records("customers", "customer", "Customer", _CUSTOMER, ()),
    }
)

REFUND_MEMBERS: Final = (
    Members("refundLineItems", "Refund", REFUND_LINE),
    Members("transactions", "Refund", _TRANSACTION),
    Members("orderAdjustments", "Refund", _ADJUSTMENT),
)
REFUNDS_AT_ONCE: Final = 5
REFUNDS: Final = (
    "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Refund { id createdAt note order { id } "
    + " ".join(member.first() for member in REFUND_MEMBERS)
    + " } } }"
)

RUN_BULK: Final = """
mutation ($query: String!) {
  bulkOperationRunQuery(query: $query) { bulkOperation { id status } userErrors { code message } }
}
"""
BULK: Final = """
query ($id: ID!) {
  node(id: $id) {
    ... on BulkOperation { id status errorCode objectCount rootObjectCount url partialDataUrl completedAt }
  }
}
"""

SCOPES: Final = "{ currentAppInstallation { accessScopes { handle } } }"
SUBSCRIPTIONS: Final = """
query ($after: String) {
  webhookSubscriptions(first: 100, after: $after) {
    nodes { id topic uri apiVersion { handle } } pageInfo { hasNextPage endCursor }
  }
}
"""
SUBSCRIBE: Final = """
mutation ($topic: WebhookSubscriptionTopic!, $webhookSubscription: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $webhookSubscription) {
    webhookSubscription { id } userErrors { field message }
  }
}
"""
