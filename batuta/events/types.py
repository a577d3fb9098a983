"""Every type of event, in one table: where it comes from and how its subject, id and time are made.

Types are `com.<vendor>.<things>.<past tense>`, whatever the vendor's topic is called. A key that ends in `.*` is a
family; `lookup` takes the exact type first and the longest family next. Types of a project's own are not listed here:
over `POST /events` any type is accepted whose contract the project holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class EventType:
    """One row of the table; the rules are for people, the connectors carry them out."""

    type: str
    vendor_name: str
    connector: str
    dataset: str
    contract: str
    subject: str
    id: str
    time: str
    also_posted: bool = False
    """Whether a producer of the company's own may post it over `POST /events` too."""


_SHOPIFY_ID: Final = "X-Shopify-Webhook-Id (the same on every retry); pulled: {global id}:{version}"
_SHOPIFY_TIME: Final = "X-Shopify-Triggered-At, else updated_at, else created_at of the payload"
_GITHUB_ID: Final = "X-GitHub-Delivery (the same on redelivery)"
_OWN_ID: Final = "the producer's id"
_OWN_TIME: Final = "the producer's time"


def _shopify(
    type: str, topic: str, dataset: str, contract: str, subject: str, time: str = _SHOPIFY_TIME
) -> EventType:
    return EventType(
        f"com.shopify.{type}", topic, "shopify", dataset, f"shopify.{contract}", subject, _SHOPIFY_ID, time
    )


def _github(type: str, event: str, dataset: str, contract: str, subject: str, time: str) -> EventType:
    return EventType(
        f"com.github.{type}", event, "github", dataset, f"github.{contract}", subject, _GITHUB_ID, time
    )


def _own(type: str, dataset: str, contract: str, subject: str = "the producer's") -> EventType:
    return EventType(
        f"com.batuta.{type}",
        "POST /events",
        "events",
        dataset,
        f"batuta.{contract}",
        subject,
        _OWN_ID,
        _OWN_TIME,
    )


def _file(kind: str, connector: str, dataset: str, id: str, time: str) -> EventType:
    return EventType(
        f"com.avila.file.{kind}",
        "a change of a known item",
        connector,
        dataset,
        "avila.file",
        "the item's id" if connector == "onedrive" else "keyed hash of the path",
        id,
        time,
        also_posted=True,
    )


def _mail(kind: str, id: str, time: str) -> EventType:
    return EventType(
        f"com.avila.email.{kind}",
        "IMAP or Microsoft Graph",
        "email",
        "messages",
        "avila.email",
        "the mail where it lies: {uidvalidity}:{uid}, or the immutable id, or the digest of a file",
        id,
        time,
    )


def _whatsapp(kind: str, dataset: str, contract: str, id: str) -> EventType:
    return EventType(
        f"com.whatsapp.{kind}",
        "entry[].changes[].value",
        "whatsapp",
        dataset,
        f"whatsapp.{contract}",
        "keyed hash of the wamid" if dataset != "other" else "none",
        id,
        "timestamp of the message or status, in seconds" if dataset != "other" else "the time of receipt",
    )


def _notion(kind: str, id: str, time: str) -> EventType:
    return EventType(
        f"com.notion.page.{kind}",
        "data source query",
        "notion",
        "pages",
        "notion.page",
        "the page's id",
        id,
        time,
    )


_GID: Final = "admin_graphql_api_id of the payload"
_HASHED_GID: Final = "keyed hash of gid://shopify/Customer/{id}"
_HEADER_TIME: Final = "X-Shopify-Triggered-At"

ROWS: Final = (
    _shopify("orders.created", "orders/create", "orders", "order", _GID),
    _shopify("orders.updated", "orders/updated", "orders", "order", _GID),
    _shopify("orders.cancelled", "orders/cancelled", "orders", "order", _GID),
    _shopify("orders.paid", "orders/paid", "orders", "order", _GID),
    _shopify("orders.fulfilled", "orders/fulfilled", "orders", "order", _GID),
    _shopify("orders.partially_fulfilled", "orders/partially_fulfilled", "orders", "order", _GID),
    _shopify(
        "orders.deleted", "orders/delete", "orders", "order_deleted", "gid://shopify/Order/{id}", _HEADER_TIME
    ),
    _shopify(
        "order_transactions.created",
        "order_transactions/create",
        "order_transactions",
        "order_transaction",
        _GID,
    ),
    _shopify("refunds.created", "refunds/create", "refunds", "refund", _GID),
    _shopify("products.created", "products/create", "products", "product", _GID),
    _shopify("products.updated", "products/update", "products", "product", _GID),
    _shopify(
        "products.deleted",
        "products/delete",
        "products",
        "product_deleted",
        "gid://shopify/Product/{id}",
        _HEADER_TIME,
    ),
    _shopify("customers.created", "customers/create", "customers", "customer", _HASHED_GID),
    _shopify("customers.updated", "customers/update", "customers", "customer", _HASHED_GID),
    _shopify(
        "customers.deleted",
        "customers/delete",
        "customers",
        "customer_deleted",
        _HASHED_GID,
        _HEADER_TIME,
    ),
    _shopify(
        "customers.merged",
        "customers/merge",
        "customer_merges",
        "customer_merged",
        "keyed hash of gid://shopify/Customer/{id} of the one merged away",
        _HEADER_TIME,
    ),
    _shopify(
        "app.uninstalled", "app/uninstalled", "shop", "app_uninstalled", "the shop's domain", _HEADER_TIME
    ),
    _shopify(
        "shop.redact_requested", "shop/redact", "shop", "shop_redact", "the shop's domain", _HEADER_TIME
    ),
    _shopify(
        "customers.data_requested",
        "customers/data_request",
        "privacy",
        "customers_data_request",
        "none",
        _HEADER_TIME,
    ),
    _shopify(
        "customers.redact_requested", "customers/redact", "privacy", "customers_redact", "none", _HEADER_TIME
    ),
    _github(
        "pull_request.*",
        "pull_request",
        "pull_requests",
        "pull_request",
        "pull_request.number",
        "pull_request.updated_at",
    ),
    _github(
        "release.*",
        "release",
        "releases",
        "release",
        "release.id",
        "release.published_at if that is what happened, else updated_at, published_at or created_at of the release",
    ),
    _github("issues.*", "issues", "issues", "issue", "issue.number", "issue.updated_at"),
    _github(
        "push.pushed",
        "push",
        "pushes",
        "push",
        "ref",
        "head_commit.timestamp, else repository.pushed_at, else the time of receipt",
    ),
    _github(
        "pull_request_review.*",
        "pull_request_review",
        "reviews",
        "pull_request_review",
        "review.id",
        "review.submitted_at",
    ),
    _github(
        "deployment.*",
        "deployment",
        "deployments",
        "deployment",
        "deployment.id",
        "deployment.updated_at, else created_at",
    ),
    _github(
        "deployment_status.*",
        "deployment_status",
        "deployments",
        "deployment_status",
        "deployment.id",
        "deployment_status.updated_at, else created_at",
    ),
    _github(
        "*",
        "any other event",
        "other",
        "other",
        "none",
        "updated_at of the thing named by the event, else the time of receipt",
    ),
    *(
        _mail(
            kind, "{uidvalidity}:{uid}:{what}, or {immutable id}:{changeKey}, or the digest of a file", when
        )
        for kind, when in (
            (
                "received",
                "when the server received it (INTERNALDATE, receivedDateTime); of a file, Received or Date",
            ),
            ("updated", "when the poll saw it, stored once; lastModifiedDateTime over Graph"),
            ("deleted", "when the poll saw it, stored once"),
        )
    ),
    *(
        _file(
            kind,
            "onedrive",
            "files",
            "{drive}:{item}:{eTag}, deletions {drive}:{item}:deleted:{last eTag}",
            when,
        )
        for kind, when in (
            ("created", "lastModifiedDateTime"),
            ("updated", "lastModifiedDateTime"),
            ("renamed", "lastModifiedDateTime"),
            ("deleted", "when the poll saw it, stored once"),
        )
    ),
    *(
        _file(kind, "obsidian", "notes", "{hash of path}:{hash of content}:{how often seen}", when)
        for kind, when in (
            ("created", "the file's time of modification"),
            ("updated", "the file's time of modification"),
            ("renamed", "when the scan saw it, stored once"),
            ("deleted", "when the scan saw it, stored once"),
        )
    ),
    _whatsapp("message.received", "messages", "message", "keyed hash of the wamid"),
    _whatsapp("message.edited", "messages", "message", "keyed hash of the wamid"),
    _whatsapp("message.revoked", "messages", "message", "keyed hash of the wamid"),
    *(
        _whatsapp(f"status.{kind}", "statuses", "status", "{keyed hash of the wamid}:{status}:{timestamp}")
        for kind in ("sent", "delivered", "read", "played", "failed", "deleted", "*")
    ),
    EventType(
        "com.whatsapp.media.stored",
        "GET /{media id}",
        "whatsapp",
        "media",
        "whatsapp.media",
        "the message's subject",
        "media:{media id}",
        "when it was stored",
    ),
    _whatsapp("*", "other", "other", "keyed hash of entry, field and value"),
    *(
        _notion(kind, "{page}:{last_edited_time}:{content hash}", when)
        for kind, when in (
            ("created", "created_time"),
            ("updated", "last_edited_time, rounded down to the minute by Notion"),
            ("deleted", "last_edited_time, else when the poll saw it, stored once"),
            ("unshared", "when the poll saw it, stored once"),
        )
    ),
    _own("fraud.labelled", "labels", "fraud_label", "the subject of the message"),
    _own("rate.recorded", "rates", "rate"),
    _own("spend.recorded", "spend", "spend"),
    _own("survey.answered", "surveys", "survey"),
    _own("survey.sent", "invitations", "survey_sent"),
)

# Two connectors may give one type (a file is a file); what governs it is the same.
EVENT_TYPES: Final[Mapping[str, EventType]] = MappingProxyType({row.type: row for row in reversed(ROWS)})

# What a project's own types go to.
_OTHER: Final = ("events", "other")


def datasets() -> dict[str, tuple[str, ...]]:
    """Datasets by connector."""
    pairs = sorted({(row.connector, row.dataset) for row in ROWS} | {_OTHER})
    return {connector: tuple(d for c, d in pairs if c == connector) for connector, _ in pairs}


def lookup(type: str) -> EventType | None:
    """The row of a type: its own, else that of the longest family it belongs to, else None."""
    exact = EVENT_TYPES.get(type)
    if exact is not None:
        return exact
    prefix = type
    while "." in prefix:
        prefix = prefix.rpartition(".")[0]
        family = EVENT_TYPES.get(f"{prefix}.*")
        if family is not None:
            return family
    return None


def matches(pattern: str, type: str) -> bool:
    """Whether a trigger's pattern, a type or a prefix with `.*`, takes in this type."""
    if pattern.endswith(".*"):
        return type.startswith(pattern[:-1])
    return pattern == type
