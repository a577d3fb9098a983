"""How a shop's push channels stand: webhook subscriptions, scopes, and the version of the API that answers.

Shopify removes a subscription without a word after eight failed deliveries; the audit makes it again. Subscriptions of
an app's configuration file (`shopify.app.toml`), among them those of the privacy topics, are not shown to the app:
switch `settings.subscribe` off for those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sensors.connectors.pulling import Account, SourceFailed, Subscription
from sensors.connectors.reading import JsonObject, object_at, text_at
from sensors.connectors.shopify import TOPICS
from sensors.connectors.shopify.graphql import ShopApi
from sensors.connectors.shopify.queries import SCOPES, SUBSCRIBE, SUBSCRIPTIONS

_PRIVACY: Final = frozenset({"customers/data_request", "customers/redact", "shop/redact"})
_SCOPE_OF: Final = {"orders": "read_orders", "products": "read_products", "customers": "read_customers"}
_RESOURCE_OF: Final = {"order_transactions": "orders", "refunds": "orders", "customer_merges": "customers"}
_ALL_ORDERS: Final = "read_all_orders"
_MERGES: Final = "read_customer_merge"


def look_at_channels(account: Account, api: ShopApi) -> tuple[Subscription, ...]:
    """Every channel of an account, missing subscriptions made where an address is known."""
    granted = _granted(api)
    states = [_scopes(api, granted)]
    if api.settings.subscribe:
        states += _webhooks(account, api, granted)
    return (_version(api), *states)


def all_orders_visible(api: ShopApi) -> bool:
    """Whether the app may see orders older than 60 days."""
    return _ALL_ORDERS in _granted(api)


def _granted(api: ShopApi) -> set[str]:
    """The app's scopes; a right to write a thing is a right to read it."""
    installation = object_at(api.ask(SCOPES), "currentAppInstallation")
    scopes = installation.get("accessScopes")
    granted = {text_at(scope, "handle") or "" for scope in scopes or () if isinstance(scope, dict)}
    return granted | {scope.replace("write_", "read_", 1) for scope in granted}


def _version(api: ShopApi) -> Subscription:
    drift = api.drift()
    return Subscription(
        "api version",
        "active" if drift is None else "failing",
        drift,
        reference={"asked": api.settings.api_version, "answered": api.version_given},
    )


def _scopes(api: ShopApi, granted: set[str]) -> Subscription:
    missing = sorted({_SCOPE_OF[resource] for resource in api.settings.resources} - granted)
    if missing:
        return Subscription(
            "access scopes",
            "failing",
            f"The app lacks {', '.join(missing)}: grant it and install the app anew, or leave that out of "
            "settings.resources.",
        )
    lacks = [
        sentence
        for resource, scope, sentence in (
            (
                "orders",
                _ALL_ORDERS,
                f"Without {_ALL_ORDERS} only the orders of the last 60 days can be fetched.",
            ),
            ("customers", _MERGES, f"Without {_MERGES} customers that the shop merges are counted as two."),
        )
        if resource in api.settings.resources and scope not in granted
    ]
    return Subscription("access scopes", "active", " ".join(lacks) or None)


def _webhooks(account: Account, api: ShopApi, granted: set[str]) -> Iterator[Subscription]:
    address = account.webhook_address()
    existing = _existing(api)
    for topic in _topics(api, granted):
        found = [item for item in existing if text_at(item, "topic") == _enumerated(topic)]
        ours = [item for item in found if address is None or text_at(item, "uri") == address]
        if ours:
            yield Subscription(topic, "active", reference={"id": ours[0].get("id")})
        elif address is None:
            yield Subscription(
                topic,
                "missing",
                "Set BATUTA_PUBLIC_URL to where Shopify reaches the gateway; it is then made.",
            )
        else:
            yield _created(api, topic, address)


def _topics(api: ShopApi, granted: set[str]) -> list[str]:
    """Topics that can be subscribed to over the API: of the shop, and of the resources that are wanted.

    Merges have a scope of their own; an app without it is told so by `_scopes` and is not asked for the impossible.
    """
    return [
        name
        for name, topic in TOPICS.items()
        if name not in _PRIVACY
        and (topic.dataset != "customer_merges" or _MERGES in granted)
        and ({"shop", *api.settings.resources} & {topic.dataset, _RESOURCE_OF.get(topic.dataset)})
    ]


def _enumerated(topic: str) -> str:
    return topic.replace("/", "_").upper()


def _existing(api: ShopApi) -> list[JsonObject]:
    found: list[JsonObject] = []
    after: str | None = None
    while True:
        connection = object_at(api.ask(SUBSCRIPTIONS, {"after": after}), "webhookSubscriptions")
        found += [item for item in connection.get("nodes") or () if isinstance(item, dict)]
        info = object_at(connection, "pageInfo")
        following = text_at(info, "endCursor") if info.get("hasNextPage") is True else None
        if following is None or following == after:
            return found
        after = following


def _created(api: ShopApi, topic: str, address: str) -> Subscription:
    variables = {"topic": _enumerated(topic), "webhookSubscription": {"uri": address, "format": "JSON"}}
    try:
        answer = object_at(api.ask(SUBSCRIBE, variables), "webhookSubscriptionCreate")
    except SourceFailed as error:
        return Subscription(topic, "failing", f"It was missing and cannot be made: {error.message}.")
    identity = text_at(object_at(answer, "webhookSubscription"), "id")
    if identity is None:
        return Subscription(
            topic,
            "failing",
            "It was missing and Shopify refuses to make it: is BATUTA_PUBLIC_URL an https address that the "
            "internet reaches, and does the app have the scope?",
        )
    return Subscription(topic, "created", "It was missing.", reference={"id": identity})
