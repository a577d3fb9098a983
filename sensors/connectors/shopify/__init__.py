"""Shopify: verify and parse webhooks and what was pulled over the Admin API.

The signature covers the body only; topic, shop and ids are unsigned headers and are checked for form.
Deliveries come in any order, more than once, and sometimes with an old payload: versions travel along,
nothing is decided here. What is pulled is read into the form of the webhook (`nodes`), so that one state has one
version whichever way it came.
Protocol: shopify.dev/docs/apps/build/webhooks; fetching is in `pull`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from pydantic import Field

from batuta.events.event import InvalidEvent, format_time, parse_time
from batuta.events.types import ROWS
from batuta.landing.model import Candidate, Delivery, HashedAttribute, Parsed, Rejected
from sensors.connectors import signature
from sensors.connectors.addresses import ServiceAddress
from sensors.connectors.pulling import FORM, ConnectorSettings
from sensors.connectors.reading import (
    JsonObject,
    build,
    checked_header,
    json_object,
    moment_at,
    number_at,
    required_header,
    text_at,
)
from sensors.connectors.shopify.nodes import READERS, BadNode

NAME: Final = "shopify"
PUSH: Final = True
BACKFILL: Final[Literal["window", "scan"]] = "window"
MEDIA_TYPES: Final = frozenset({"application/json"})
SIGNATURE: Final = "x-shopify-hmac-sha256"
TOPIC: Final = "x-shopify-topic"
SHOP: Final = "x-shopify-shop-domain"
WEBHOOK_ID: Final = "x-shopify-webhook-id"
EVENT_ID: Final = "x-shopify-event-id"
TRIGGERED_AT: Final = "x-shopify-triggered-at"
# Shopify's newer deliveries spell the same headers without the X.
REQUIRED_HEADERS: Final = tuple(f"{name}|{name[2:]}" for name in (TOPIC, SHOP, WEBHOOK_ID))

UNINSTALLED: Final = "com.shopify.app.uninstalled"

SINCE: Final = "x-batuta-since"
"""Header of a pulled delivery: what was created after this time was not there at the poll before."""

CREDENTIALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "accessToken": "Admin API access token of a custom app that has one (`shpat_...`)",
        "clientId": "client id of a Dev Dashboard app, which is given a token for a day at a time",
        "clientSecret": "client secret of that app",
    }
)

Resource: TypeAlias = Literal["orders", "products", "customers"]
RESOURCES: Final[tuple[Resource, ...]] = ("orders", "products", "customers")


class Settings(ConnectorSettings):
    """What may be set for an account, which is a shop."""

    shop: str | None = Field(
        default=None, description="The shop, as `name.myshopify.com`; without it the account's name."
    )
    api_url: ServiceAddress | None = Field(
        default=None, description="Address of the Admin API; without it `https://` and the shop's domain."
    )
    api_version: str = Field(
        default="2026-01",
        pattern=r"^\d{4}-(01|04|07|10)$",
        description="Version of the Admin API that is asked for; an alarm is raised when another one answers.",
    )
    resources: tuple[Resource, ...] = Field(
        default=RESOURCES, min_length=1, description="What is fetched; orders bring refunds and transactions."
    )
    subscribe: bool = Field(
        default=True,
        description="Make webhook subscriptions that are missing, where the public address is known.",
    )
    poll_seconds: int = Field(default=300, ge=10, description="Seconds between two polls.")
    overlap_seconds: int = Field(
        default=300, ge=0, description="How far each poll looks back: Shopify's search lags behind."
    )
    lookback_hours: int = Field(default=24, ge=0, description="How far the first poll looks back.")
    page_size: int = Field(
        default=25, ge=1, le=250, description="Records a query asks for; halved where Shopify finds it dear."
    )

    def lacking(self, credentials: frozenset[str]) -> str | None:
        """Client id and secret go together. Without any credential an account only takes webhooks."""
        if (
            credentials
            and "accessToken" not in credentials
            and not credentials >= {"clientId", "clientSecret"}
        ):
            return "a Dev Dashboard app fetches with two credentials: name clientId and clientSecret"
        return None


SETTINGS: Final = Settings

_SHOP_DOMAIN: Final = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")


@dataclass(frozen=True, slots=True)
class _Topic:
    """What a topic becomes, and which Shopify resource its payload is, if it is one we keep versions of."""

    type: str
    dataset: str
    resource: str | None
    ids: str
    """What the global ids of the resource begin with."""


_RESOURCES: Final = {
    "orders": "Order",
    "order_transactions": "OrderTransaction",
    "refunds": "Refund",
    "products": "Product",
    "customers": "Customer",
}
TOPICS: Final[Mapping[str, _Topic]] = MappingProxyType(
    {
        row.vendor_name: _Topic(row.type, row.dataset, resource, f"gid://shopify/{resource}/")
        for row in ROWS
        if row.connector == NAME
        for resource in (_RESOURCES.get(row.dataset),)
    }
)
# A customer's number is a person's: neither subject nor id may tell it.
_OF_A_PERSON: Final[frozenset[HashedAttribute]] = frozenset({"subject"})
_OF_PEOPLE: Final = frozenset({"customers", "customer_merges"})
_PULLED_OF_A_PERSON: Final[frozenset[HashedAttribute]] = frozenset({"id", "subject"})
_NOBODY: Final[frozenset[HashedAttribute]] = frozenset()


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:
    """Check X-Shopify-Hmac-Sha256, base64 of HMAC-SHA256 over the raw body.

    Several secrets may be live at once: a rotated client secret, that of webhooks made in the admin pages.

    Raises:
        Unsigned, BadSignature, NoSecret: see `Connector.verify`.
    """
    signature.require_secrets(secrets)
    presented = signature.require_header(_header(delivery, SIGNATURE), "X-Shopify-Hmac-Sha256")
    signature.check((signature.from_base64(presented.strip()),), secrets, delivery.body)


def parse(delivery: Delivery) -> Parsed:
    """Read one webhook, or one record that was pulled.

    Raises:
        Rejected: unknown topic, a header or an attribute is missing or wrong, the body is no JSON object.
    """
    form = delivery.headers.get(FORM)
    return _parse_webhook(delivery) if form is None else _parse_record(delivery, form)


def same_account(configured: str, named: str) -> bool:
    """Whether both name one shop; `.myshopify.com` may be left out."""
    return shop_domain(configured) == shop_domain(named)


def shop_domain(account: str) -> str:
    """The shop's domain under myshopify.com of a name that may lack the ending."""
    lowered = account.strip().lower()
    return lowered if "." in lowered else f"{lowered}.myshopify.com"


def _parse_webhook(delivery: Delivery) -> Parsed:
    shop_name, topic_name = _spelling(delivery, SHOP), _spelling(delivery, TOPIC)
    headers = delivery.headers
    shop = _shop(shop_name, headers.get(shop_name), delivery.account)
    topic = _topic(topic_name, headers.get(topic_name))
    delivery_id = required_header(delivery, _spelling(delivery, WEBHOOK_ID))
    payload = json_object(delivery.body)
    if topic.dataset == "customer_merges":
        subject, payload = _read_merge(payload)
    else:
        subject = _subject(topic, shop, payload)
    event_id = _spelling(delivery, EVENT_ID)
    event = build(
        id=delivery_id,
        source=f"https://{shop}",
        type=topic.type,
        time=_time(delivery, topic, payload),
        subject=subject,
        data=payload,
        extensions={"shopifyeventid": required_header(delivery, event_id)} if headers.get(event_id) else None,
    )
    version = _version(topic, payload) if topic.resource else None
    hashed = _OF_A_PERSON if topic.dataset in _OF_PEOPLE else _NOBODY
    candidate = Candidate(event, topic.dataset, NAME, subject if version else None, version, hashed)
    # A repeat may come after the app was installed again, so the shop itself is asked, by the poll this wakes.
    return Parsed((candidate,), topic.dataset, wakes=topic.type == UNINSTALLED)


def _parse_record(delivery: Delivery, form: str) -> Parsed:
    reader = READERS.get(form)
    if reader is None:
        raise Rejected("form", "this form of a pulled record is not read", field=FORM)
    shop_name = _spelling(delivery, SHOP)
    shop = _shop(shop_name, delivery.headers.get(shop_name), None)
    try:
        payload = reader.read(json_object(delivery.body))
    except BadNode as error:
        raise Rejected("shape", f"the record is not what the Admin API gives: {error}") from None
    topic = TOPICS[_pulled_topic(delivery, reader.topics, payload)]
    subject = _subject(topic, shop, payload)
    version = _version(topic, payload)
    moment = moment_at(payload, "updated_at", "processed_at", "created_at")
    if version is None or moment is None or subject is None:
        raise Rejected("time", "the record does not say when it was updated or created")
    event = build(
        id=f"{subject}:{version}",
        source=f"https://{shop}",
        type=topic.type,
        time=moment,
        subject=subject,
        data=payload,
    )
    hashed = _PULLED_OF_A_PERSON if topic.resource == "Customer" else _NOBODY
    candidate = Candidate(event, topic.dataset, NAME, entity=subject, version=version, hashed=hashed)
    return Parsed(candidates=(candidate,), dataset=topic.dataset)


def _pulled_topic(delivery: Delivery, topics: tuple[str, str], payload: JsonObject) -> str:
    """`created` for what the poll before could not have seen, or what has not changed since it was made."""
    created, updated = topics
    born = moment_at(payload, "created_at")
    if born is None:
        return updated
    since = delivery.headers.get(SINCE)
    if since is None:
        return created if born == moment_at(payload, "updated_at") else updated
    try:
        return created if born > parse_time(since) else updated
    except InvalidEvent:
        raise Rejected("headers", f"{SINCE} is no time", field=SINCE) from None


def _spelling(delivery: Delivery, name: str) -> str:
    """The header's name as this delivery spells it: with X or without."""
    return name if delivery.headers.get(name) or not delivery.headers.get(name[2:]) else name[2:]


def _header(delivery: Delivery, name: str) -> str | None:
    return delivery.headers.get(_spelling(delivery, name))


# Shops and topics are few and come again with every delivery.
@lru_cache(maxsize=1024)
def _shop(header: str, value: str | None, account: str | None) -> str:
    """The shop a header names, which must be that of the account where the address has one."""
    shop = checked_header(header, value).lower()
    if not _SHOP_DOMAIN.fullmatch(shop):
        raise Rejected("headers", "the shop domain must be a name under myshopify.com", field=SHOP)
    if account is not None and not same_account(account, shop):
        raise Rejected(
            "account", "the delivery is of another shop than the one configured for this address", field=SHOP
        )
    return shop


@lru_cache(maxsize=256)
def _topic(header: str, value: str | None) -> _Topic:
    topic = TOPICS.get(checked_header(header, value).lower())
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
    global_id = text_at(payload, "admin_graphql_api_id")
    if global_id is not None and global_id.startswith(topic.ids):
        return global_id
    number = number_at(payload, "id")
    if number is None:
        raise Rejected(
            "identity",
            f"the payload has no admin_graphql_api_id of a {topic.resource} and no numeric id",
            field="id",
        )
    return f"{topic.ids}{number}"


_GLOBAL: Final = "admin_graphql_api_"
_MERGED: Final = ("customer_kept_id", "customer_deleted_id")
_CUSTOMER: Final = re.compile(r"gid://shopify/Customer/([0-9]{1,19})")


def _read_merge(payload: JsonObject) -> tuple[str, JsonObject]:
    """The customer merged away, and the payload with numbers for global ids: what orders call their customers by."""
    read = {name: value for name, value in payload.items() if name.removeprefix(_GLOBAL) not in _MERGED}
    for name in _MERGED:
        found = _CUSTOMER.fullmatch(text_at(payload, f"{_GLOBAL}{name}") or "")
        if found is None:
            raise Rejected("identity", "is missing or no global id of a Customer", field=f"{_GLOBAL}{name}")
        read[name] = int(found[1])
    return f"gid://shopify/Customer/{read[_MERGED[1]]}", read


def _time(delivery: Delivery, topic: _Topic, payload: JsonObject) -> datetime:
    """When Shopify says it happened; the payload's times stand in where they are of the change itself."""
    name = _spelling(delivery, TRIGGERED_AT)
    triggered_at = delivery.headers.get(name)
    if triggered_at:
        try:
            return parse_time(checked_header(name, triggered_at))
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
    """The version of the state in the payload, the same from a webhook and from the Admin API.

    A refund does not change once it is made. A transaction has no time of update, so its status helps.
    """
    if topic.resource == "Refund":
        moment = moment_at(payload, "created_at")
    else:
        moment = moment_at(payload, "updated_at", "processed_at", "created_at")
    if moment is None:
        return None
    if topic.resource == "OrderTransaction":
        return f"{format_time(moment)} {(text_at(payload, 'status') or '').lower()}"
    return format_time(moment)
