"""Fetching from Shopify: what was updated since, what a window holds, and whether its webhooks are still there.

A poll asks for what was updated since the newest update it has seen, less an overlap, because Shopify's search lags
behind; what comes twice is dropped by its version. A backfill takes what was created within its window. Neither sees
what was deleted: webhooks tell that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from batuta.events.event import format_time
from batuta.landing.model import Delivery
from sensors.connectors.pulling import Account, Page, SourceFailed, Subscription, Tools, Window
from sensors.connectors.reading import JsonObject, moment_at, object_at, text_at
from sensors.connectors.shopify import Settings, bulk
from sensors.connectors.shopify.channels import all_orders_visible, look_at_channels
from sensors.connectors.shopify.graphql import BadCursor, ShopApi, TooDear
from sensors.connectors.shopify.queries import (
    ORDERS,
    RECORDS,
    REFUND_MEMBERS,
    REFUNDS,
    REFUNDS_AT_ONCE,
    Members,
    Records,
)

POLL_SECONDS: Final = 300
_RECORDS_A_PAGE: Final = 200
_VISIBLE: Final = timedelta(days=60)


def poll(account: Account, position: Any, tools: Tools) -> Iterator[Page]:
    """What was updated since `position`: for each resource how far it was seen, and a cursor within a poll."""
    api = ShopApi(account, tools)
    feed = _Feed(account, api, tools)
    places: dict[str, Any] = dict(position) if isinstance(position, dict) else {}
    size = places.get("size") or api.settings.page_size
    for resource in api.settings.resources:
        records = RECORDS[resource]
        place = places.get(resource) or _first_place(api.settings, tools)
        while True:
            if tools.time_left() <= 0:
                return
            try:
                nodes, after = feed.page(records, place, size)
            except TooDear:
                if size == 1:
                    raise
                size = places["size"] = max(size // 2, 1)
                continue
            except BadCursor:
                if place.get("after") is None:
                    raise
                place = {**place, "after": None}
                continue
            if after is not None and after == place.get("after"):
                raise SourceFailed(f"Shopify's pages of {records.field} go in a circle")
            since = place.get("seen")
            deliveries = tuple(feed.deliveries(records, nodes, since))
            place = _next_place(place, nodes, after)
            moved = places.get(resource) != place
            places[resource] = place
            if deliveries or moved:
                yield Page(deliveries, position=dict(places), note=api.drift())
            if after is None:
                break


def backfill(account: Account, window: Window, position: Any, tools: Tools) -> Iterator[Page]:
    """What was created within a window, by bulk operations; `position` has the one that runs and what was handed on.

    An operation is resumed as long as Shopify keeps its result.
    """
    api = ShopApi(account, tools)
    feed = _Feed(account, api, tools)
    place = _BackfillPlace.of(position)
    note = _blind_spot(api, window)
    resources = api.settings.resources
    while place.resource < len(resources):
        records = RECORDS[resources[place.resource]]
        if place.operation is None:
            place = place.running(bulk.start(api, records, _search("created_at", window.start, window.end)))
            yield Page((), position=place.document(), note=note)
        operation = bulk.ended(api, place.operation or "")
        if operation.problem is not None:
            yield Page((), position=place.without_operation().document(), note=operation.problem)
            raise SourceFailed(operation.problem, hint="The next try starts a new one.")
        found = bulk.fetch(api, operation)
        while place.sent < len(found):
            if tools.time_left() <= 0:
                return
            batch = found[place.sent : place.sent + _RECORDS_A_PAGE]
            nodes = [bulk.assembled(record, records) for record in batch]
            deliveries = tuple(feed.deliveries(records, nodes, None))
            place = place.further(len(batch), len(deliveries))
            yield Page(deliveries, position=place.document(), note=api.drift())
        place = place.next_resource()
        last = place.resource == len(resources)
        yield Page((), position=place.document(), total=place.handed_on if last else None)


def audit(account: Account, tools: Tools) -> tuple[Subscription, ...]:
    """The webhooks of an account, created where missing; its scopes; the version of the API that answers."""
    return look_at_channels(account, ShopApi(account, tools))


@dataclass(frozen=True, slots=True)
class _Feed:
    """Asks for records, whole, and makes deliveries of them."""

    account: Account
    api: ShopApi
    tools: Tools

    def page(
        self, records: Records, place: Mapping[str, Any], size: int
    ) -> tuple[list[JsonObject], str | None]:
        """Records of one page, all their members fetched, and the cursor behind it; None at the end."""
        since = datetime.fromisoformat(place["since"])
        search = _search("updated_at", since - timedelta(seconds=self.api.settings.overlap_seconds), None)
        data = self.api.ask(records.page(), {"first": size, "after": place.get("after"), "query": search})
        connection = object_at(data, records.field)
        nodes = connection.get("nodes")
        if not isinstance(nodes, list):
            raise SourceFailed(f"Shopify's answer has no {records.field}")
        found = [node for node in nodes if isinstance(node, dict)]
        for node in found:
            self._complete(node, records.members)
        return found, _cursor_behind(connection)

    def deliveries(
        self, records: Records, nodes: Sequence[JsonObject], since: str | None
    ) -> Iterator[Delivery]:
        """Records as deliveries; behind an order its refunds and transactions."""
        if records is ORDERS:
            self._add_refunds(nodes)
        for node in nodes:
            yield self._delivery(records.form, node, since)
            if records is ORDERS:
                order = {"order": {"id": node.get("id")}}
                for refund in node["refunds"]:
                    yield self._delivery("refund", refund | order, since)
                for transaction in node.get("transactions") or ():
                    if isinstance(transaction, dict):
                        yield self._delivery("order_transaction", transaction | order, since)

    def _delivery(self, form: str, node: JsonObject, since: str | None) -> Delivery:
        headers = {"x_shopify_shop_domain": self.api.shop}
        if since is not None:
            headers["x_batuta_since"] = since
        return self.account.delivery(form, orjson.dumps(node), self.tools.clock(), **headers)

    def _add_refunds(self, orders: Sequence[JsonObject]) -> None:
        """Put whole refunds in the place of their ids."""
        named = {order.get("id"): _ids(order.get("refunds")) for order in orders}
        wanted = [identity for ids in named.values() for identity in ids]
        whole: dict[str, JsonObject] = {}
        for start in range(0, len(wanted), REFUNDS_AT_ONCE):
            data = self.api.ask(REFUNDS, {"ids": wanted[start : start + REFUNDS_AT_ONCE]})
            for node in data.get("nodes") or ():
                if isinstance(node, dict) and text_at(node, "id") is not None:
                    self._complete(node, REFUND_MEMBERS)
                    whole[node["id"]] = node
        if not whole.keys() >= set(wanted):
            raise SourceFailed("Shopify names a refund and does not give it", hint="It is asked for again.")
        for order in orders:
            order["refunds"] = [whole[identity] for identity in named[order.get("id")]]

    def _complete(self, node: JsonObject, members: Sequence[Members]) -> None:
        """Fetch what is beyond the first members of each connection."""
        for member in members:
            connection = object_at(node, member.field)
            after = _cursor_behind(connection)
            while after is not None:
                data = self.api.ask(member.rest(), {"id": node.get("id"), "after": after})
                more = object_at(object_at(data, "node"), member.field)
                if not isinstance(more.get("nodes"), list):
                    raise SourceFailed(f"Shopify does not give the rest of {member.field}")
                connection["nodes"] += more["nodes"]
                following = _cursor_behind(more)
                if following == after:
                    raise SourceFailed(f"Shopify's pages of {member.field} go in a circle")
                after = following


@dataclass(frozen=True, slots=True)
class _BackfillPlace:
    """Where a backfill stands: the resource, its operation, how many of its records were handed on."""

    resource: int
    operation: str | None
    sent: int
    handed_on: int

    @classmethod
    def of(cls, position: Any) -> _BackfillPlace:
        given = position if isinstance(position, dict) else {}
        return cls(
            given.get("resource", 0), given.get("operation"), given.get("sent", 0), given.get("handedOn", 0)
        )

    def document(self) -> JsonObject:
        return {
            "resource": self.resource,
            "operation": self.operation,
            "sent": self.sent,
            "handedOn": self.handed_on,
        }

    def running(self, operation: str) -> _BackfillPlace:
        return _BackfillPlace(self.resource, operation, self.sent, self.handed_on)

    def without_operation(self) -> _BackfillPlace:
        """A new operation's file has another order: its records are handed on from the start, versions sort it out."""
        return _BackfillPlace(self.resource, None, 0, self.handed_on)

    def further(self, records: int, deliveries: int) -> _BackfillPlace:
        return _BackfillPlace(self.resource, self.operation, self.sent + records, self.handed_on + deliveries)

    def next_resource(self) -> _BackfillPlace:
        return _BackfillPlace(self.resource + 1, None, 0, self.handed_on)


def _first_place(settings: Settings, tools: Tools) -> JsonObject:
    start = tools.clock() - timedelta(hours=settings.lookback_hours)
    return {"since": format_time(start.replace(microsecond=0))}


def _next_place(place: Mapping[str, Any], nodes: Sequence[JsonObject], after: str | None) -> JsonObject:
    """Within a poll the cursor moves, at its end what it starts from; both only forward."""
    updates = [moment for node in nodes if (moment := moment_at(node, "updatedAt")) is not None]
    known = place.get("through") or place["since"]
    through = format_time(max([datetime.fromisoformat(known), *updates]))
    if after is None:
        return {"since": through, "seen": through}
    return {**place, "through": through, "after": after}


def _search(field: str, start: datetime, end: datetime | None) -> str:
    words = f"{field}:>='{_stamp(start)}'"
    return words if end is None else f"{words} AND {field}:<'{_stamp(end)}'"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _blind_spot(api: ShopApi, window: Window) -> str | None:
    """What the shop does not show of a window that reaches far back."""
    if "orders" not in api.settings.resources or window.start >= api.tools.clock() - _VISIBLE:
        return None
    if all_orders_visible(api):
        return None
    return (
        "Shopify shows this app only the orders of the last 60 days; older ones of this window are missing. "
        "Ask for the scope read_all_orders, then backfill the window again."
    )


def _cursor_behind(connection: Mapping[str, Any]) -> str | None:
    info = object_at(connection, "pageInfo")
    return text_at(info, "endCursor") if info.get("hasNextPage") is True else None


def _ids(nodes: Any) -> list[str]:
    items = nodes if isinstance(nodes, list) else []
    return [
        identity for node in items if isinstance(node, dict) and (identity := text_at(node, "id")) is not None
    ]
