"""Shopify webhooks: verify and parse.

The signature covers the body only; topic, shop and ids are unsigned headers and are checked for form.
Deliveries come in any order, more than once, and sometimes with an old payload: versions travel along,
nothing is decided here.
Protocol: shopify.dev/docs/apps/build/webhooks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from batuta.events.event import InvalidEvent, format_time, parse_time
from batuta.events.types import ROWS
from batuta.landing.model import Candidate, Delivery, Parsed, Rejected
from sensors.connectors import signature
from sensors.connectors.pulling import ConnectorSettings
from sensors.connectors.reading import (
    JsonObject,
    build,
    json_object,
    moment_at,
    number_at,
    required_header,
    text_at,
)

NAME: Final = "shopify"
MEDIA_TYPES: Final = frozenset({"application/json"})
SIGNATURE: Final = "x-shopify-hmac-sha256"
TOPIC: Final = "x-shopify-topic"
SHOP: Final = "x-shopify-shop-domain"
WEBHOOK_ID: Final = "x-shopify-webhook-id"
EVENT_ID: Final = "x-shopify-event-id"
TRIGGERED_AT: Final = "x-shopify-triggered-at"
REQUIRED_HEADERS: Final = (TOPIC, SHOP, WEBHOOK_ID)
PUSH: Final = True
SETTINGS: Final = ConnectorSettings
CREDENTIALS: Final[Mapping[str, str]] = MappingProxyType({})

_SHOP_DOMAIN: Final = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")


@dataclass(frozen=True, slots=True)
class _Topic:
    """What a topic becomes, and which Shopify resource its payload is, if it is one we keep versions of."""

    type: str
    dataset: str
    resource: str | None


_RESOURCES: Final = {
    "orders": "Order",
    "order_transactions": "OrderTransaction",
    "refunds": "Refund",
    "products": "Product",
}
_TOPICS: Final[Mapping[str, _Topic]] = MappingProxyType(
    {
        row.vendor_name: _Topic(row.type, row.dataset, _RESOURCES.get(row.dataset))
        for row in ROWS
        if row.connector == NAME
    }
)


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:
    """Check X-Shopify-Hmac-Sha256, base64 of HMAC-SHA256 over the raw body.

    Several secrets may be live at once: a rotated client secret, that of webhooks made in the admin pages.

    Raises:
        Unsigned, BadSignature, NoSecret: see `Connector.verify`.
    """
    signature.require_secrets(secrets)
    presented = signature.require_header(delivery.headers.get(SIGNATURE), "X-Shopify-Hmac-Sha256")
    signature.check((signature.from_base64(presented.strip()),), secrets, delivery.body)


def parse(delivery: Delivery) -> Parsed:
    """Read one webhook.

    Raises:
        Rejected: unknown topic, a header or an attribute is missing or wrong, the body is no JSON object.
    """
    shop = _shop(delivery)
    topic = _topic(delivery)
    delivery_id = required_header(delivery, WEBHOOK_ID)
    payload = json_object(delivery.body)
    subject = _subject(topic, shop, payload)
    event = build(
        id=delivery_id,
        source=f"https://{shop}",
        type=topic.type,
        time=_time(delivery, topic, payload),
        subject=subject,
        data=payload,
        extensions={"shopifyeventid": required_header(delivery, EVENT_ID)}
        if delivery.headers.get(EVENT_ID)
        else None,
    )
    version = _version(topic, payload) if topic.resource else None
    candidate = Candidate(
        event=event,
        dataset=topic.dataset,
        connector=NAME,
        entity=subject if version else None,
        version=version,
    )
    return Parsed(candidates=(candidate,), dataset=topic.dataset)


def same_account(configured: str, named: str) -> bool:
    """Whether both name one shop; `.myshopify.com` may be left out."""
    return _domain(configured) == _domain(named)


def _domain(account: str) -> str:
    lowered = account.strip().lower()
    return lowered if "." in lowered else f"{lowered}.myshopify.com"


def _shop(delivery: Delivery) -> str:
    shop = required_header(delivery, SHOP).lower()
    if not _SHOP_DOMAIN.fullmatch(shop):
        raise Rejected("headers", "the shop domain must be a name under myshopify.com", field=SHOP)
    if delivery.account is not None and not same_account(delivery.account, shop):
        raise Rejected(
            "account", "the delivery is of another shop than the one configured for this address", field=SHOP
        )
    return shop


def _topic(delivery: Delivery) -> _Topic:
    name = required_header(delivery, TOPIC).lower()
    topic = _TOPICS.get(name)
    if topic is None:
        raise Rejected(
            "unknown_topic",
            "this topic is not read; subscribe to those the connector knows, or replay once it does",
            field=TOPIC,
        )
    return topic


def _subject(topic: _Topic, shop: str, payload: JsonObject) -> str | None:
    """The resource's global id; the shop for what concerns the shop; nothing where it would name a person."""
    if topic.resource is None:
        return shop if topic.dataset == "shop" else None
    prefix = f"gid://shopify/{topic.resource}/"
    global_id = text_at(payload, "admin_graphql_api_id")
    if global_id is not None and global_id.startswith(prefix):
        return global_id
    number = number_at(payload, "id")
    if number is None:
        raise Rejected(
            "identity",
            f"the payload has no admin_graphql_api_id of a {topic.resource} and no numeric id",
            field="id",
        )
    return f"{prefix}{number}"


def _time(delivery: Delivery, topic: _Topic, payload: JsonObject) -> datetime:
    """When Shopify says it happened; the payload's times stand in where they are of the change itself."""
    if delivery.headers.get(TRIGGERED_AT):
        try:
            return parse_time(required_header(delivery, TRIGGERED_AT))
        except InvalidEvent as error:
            raise Rejected("headers", error.message, field=TRIGGERED_AT) from None
    moment = moment_at(payload, "updated_at", "created_at") if topic.resource else None
    if moment is None:
        raise Rejected(
            "time",
            "neither X-Shopify-Triggered-At nor the payload says when this happened",
            field=TRIGGERED_AT,
        )
    return moment


def _version(topic: _Topic, payload: JsonObject) -> str | None:
    """The version of the state in the payload; a transaction has no update time, so its status helps."""
    moment = moment_at(payload, "updated_at", "processed_at", "created_at")
    if moment is None:
        return None
    if topic.resource == "OrderTransaction":
        return f"{format_time(moment)} {text_at(payload, 'status') or ''}"
    return format_time(moment)
