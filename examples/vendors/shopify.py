"""A stand-in for one Shopify shop: the Admin GraphQL API with bulk operations, tokens, and signed webhooks.

Served as documented: cursors, search by time, query costs and THROTTLED at status 200, versions that fall forward,
operations one at a time, subscriptions that vanish after eight failures. Faults are ordered by the attributes.
`python -m examples.vendors shopify --help` shows how to try the connector against it.
"""

from __future__ import annotations

import argparse
import base64
import hmac
import json
import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from graphql import GraphQLError, graphql_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.vendors import shopify_data
from examples.vendors.serving import Served, form_of
from examples.vendors.shopify_bulk import lines_of, refusal
from examples.vendors.shopify_schema import customer_node, order_node, page_of, product_node, schema

Json = dict[str, Any]
TOKEN: Final = "shpat_made_up"  # noqa: S105 - nobody's
SECRET: Final = b"made-up-client-secret"
VERSIONS: Final = ("2026-01", "2026-04", "2026-07", "2026-10")
FAILURES_BEFORE_REMOVAL: Final = 8
_FILTER: Final = re.compile(r"(created_at|updated_at):(>=|<)'([^']+)'")
_SORT: Final = {"UPDATED_AT": "updatedAt", "CREATED_AT": "createdAt"}
_REFUSED: Final = (
    "a webhook was not taken: 401 means that --secret is not what secretRefs names, 404 that there is no such address, "
    "0 that nothing answers there"
)
_MOST_COST: Final = 1000
_VISIBLE: Final = timedelta(days=60)


class Shopify(Served):
    """One shop, its data payloads of webhooks, to be changed by tests and by hand."""

    def __init__(self, shop: str = "arcsat-demo.myshopify.com", *, port: int = 0) -> None:
        self.shop = shop
        self.data: dict[str, dict[int, Json]] = {"orders": {}, "products": {}, "customers": {}}
        self.transactions: dict[int, list[Json]] = {}
        self.scopes = {
            *("read_orders", "read_all_orders", "read_products", "read_customers", "read_customer_merge")
        }
        self.subscriptions: list[Json] = []
        self.failures: dict[str, int] = {}
        self.tokens = {TOKEN}
        self.secret = SECRET
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.https_only = True
        self.versions: tuple[str, ...] = VERSIONS
        self.restless = False
        """Whether pages repeat a record of the page before and come in another order."""
        self.throttled = 0
        """How many queries are yet to be refused as THROTTLED."""
        self.budget = 2000.0
        self.refuse: int | None = None
        """Status of every answer: 401 once the app is removed, 402 while the shop has not paid."""
        self.installed = True
        """Whether the app gets tokens: False once the merchant has removed it."""
        self.polls_until_done = 1
        self.bulk_fault: str | None = None
        """`failed` (with a partial result) or `truncated` (a file with fewer lines than counted)."""
        self.operations: dict[str, Json] = {}
        self.files: dict[str, bytes] = {}
        self.queries: list[str] = []
        self._schema = schema()
        self._root = _root(self)
        super().__init__(
            Starlette(
                routes=[
                    Route("/admin/api/{version}/graphql.json", self._graphql, methods=["POST"]),
                    Route("/admin/oauth/access_token", self._access_token, methods=["POST"]),
                    Route("/results/{name}", self._result),
                ]
            ),
            port,
        )

    def put(self, resource: str, payload: Json, transactions: Sequence[Json] = ()) -> Json:
        """Keep a payload as the newest state of what it is about."""
        self.data[resource][payload["id"]] = payload
        if resource == "orders":
            known = {item["id"]: item for item in self.transactions.get(payload["id"], [])}
            known |= {item["id"]: item for item in transactions}
            self.transactions[payload["id"]] = list(known.values())
        return payload

    def merge(self, kept: int, deleted: int, *addresses: str) -> list[int]:
        """Merge one customer into another and tell of it; the answers' statuses."""
        del self.data["customers"][deleted]
        for placed in self.data["orders"].values():
            if placed["customer"] and placed["customer"]["id"] == deleted:
                placed["customer"] |= {"id": kept}
        return self.send("customers/merge", shopify_data.merged(kept, deleted), *addresses)

    def nodes(self, resource: str) -> list[Json]:
        """Everything of a resource as the API shows it."""
        payloads = self.data[resource].values()
        if resource == "orders":
            return [order_node(payload, self.transactions[payload["id"]]) for payload in payloads]
        make = product_node if resource == "products" else customer_node
        return [make(payload) for payload in payloads]

    def headers(
        self, topic: str, body: bytes, *, webhook_id: str | None = None, prefix: str = "x-shopify-"
    ) -> Json:
        """The headers of a webhook, signed."""
        digest = hmac.digest(self.secret, body, "sha256")
        return {
            "content-type": "application/json",
            f"{prefix}topic": topic,
            f"{prefix}hmac-sha256": base64.b64encode(digest).decode(),
            f"{prefix}shop-domain": self.shop,
            f"{prefix}api-version": self.versions[0],
            f"{prefix}webhook-id": webhook_id or str(uuid.uuid4()),
            f"{prefix}event-id": str(uuid.uuid4()),
            f"{prefix}triggered-at": self.now().isoformat().replace("+00:00", "Z"),
        }

    def send(self, topic: str, payload: Json, *addresses: str) -> list[int]:
        """Send a webhook to all who subscribed, and to these addresses; the answers' statuses, 0 for none."""
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        enumerated = topic.replace("/", "_").upper()
        subscribed = [item for item in self.subscriptions if item["topic"] == enumerated]
        statuses: list[int] = []
        for address in (*(item["uri"] for item in subscribed), *addresses):
            try:
                statuses.append(
                    httpx.post(address, content=body, headers=self.headers(topic, body)).status_code
                )
            except httpx.HTTPError:
                statuses.append(0)
        for item, status in zip(subscribed, statuses, strict=False):
            self._count_failure(item, failed=not 200 <= status < 300)
        return statuses

    def _count_failure(self, subscription: Json, *, failed: bool) -> None:
        """Remove a subscription, without a word, after too many failures in a row."""
        count = self.failures.get(subscription["id"], 0) + 1 if failed else 0
        self.failures[subscription["id"]] = count
        if count >= FAILURES_BEFORE_REMOVAL:
            self.subscriptions.remove(subscription)

    async def _graphql(self, request: Request) -> Response:
        asked = request.path_params["version"]
        given = asked if asked in self.versions else self.versions[0]
        headers = {"x-shopify-api-version": given}
        if self.refuse is not None:
            return JSONResponse({"errors": "refused"}, self.refuse, headers)
        if request.headers.get("x-shopify-access-token") not in self.tokens:
            return JSONResponse({"errors": "[API] Invalid API key or access token"}, 401, headers)
        document = await request.json()
        variables: Json = document.get("variables") or {}
        self.queries.append(document["query"])
        cost = 2.0 + 12 * (variables.get("first") or 0)
        if cost > _MOST_COST:
            return JSONResponse(self._errors("MAX_COST_EXCEEDED", cost), 200, headers)
        if self.throttled or cost > self.budget:
            self.throttled = max(0, self.throttled - 1)
            answer = self._errors("THROTTLED", cost)
            self.budget = 2000.0
            return JSONResponse(answer, 200, headers)
        self.budget -= cost
        result = graphql_sync(self._schema, document["query"], self._root, variable_values=variables)
        body: Json = {"data": result.data, "extensions": {"cost": self._cost(cost)}}
        if result.errors:
            body["errors"] = [_error(error) for error in result.errors]
        return JSONResponse(body, 200, headers)

    def _errors(self, code: str, cost: float) -> Json:
        error = {"message": code.capitalize(), "extensions": {"code": code}}
        return {"errors": [error], "extensions": {"cost": self._cost(cost)}}

    def _cost(self, cost: float) -> Json:
        status = {"maximumAvailable": 2000.0, "currentlyAvailable": self.budget, "restoreRate": 100.0}
        return {"requestedQueryCost": cost, "actualQueryCost": cost, "throttleStatus": status}

    async def _access_token(self, request: Request) -> Response:
        """The client credentials grant."""
        form = await form_of(request)
        if (
            form.get("grant_type") != "client_credentials"
            or form.get("client_secret") != self.secret.decode()
        ):
            return JSONResponse({"error": "invalid_client"}, 400)
        if not self.installed:
            page = "<html>400 - Oauth error app_not_installed: The application is not installed on this shop.</html>"
            return Response(page, 400, media_type="text/html")
        token = f"shpat_{uuid.uuid4().hex}"
        self.tokens.add(token)
        return JSONResponse({"access_token": token, "scope": ",".join(self.scopes), "expires_in": 86399})

    async def _result(self, request: Request) -> Response:
        content = self.files.get(request.path_params["name"])
        if content is None:
            return Response(status_code=404)
        if self.bulk_fault == "truncated":
            content = b"\n".join(content.strip().split(b"\n")[:-1])
        return Response(content, media_type="application/jsonl")

    def find(self, resource: str, search: str | None, sort: str) -> list[Json]:
        """What a search finds, in order."""
        nodes = self.nodes(resource)
        if resource == "orders" and "read_all_orders" not in self.scopes:
            nodes = [n for n in nodes if datetime.fromisoformat(n["createdAt"]) > self.now() - _VISIBLE]
        for field, comparison, value in _FILTER.findall(search or ""):
            name = "updatedAt" if field == "updated_at" else "createdAt"
            limit = datetime.fromisoformat(value)
            nodes = [
                node
                for node in nodes
                if (datetime.fromisoformat(node[name]) >= limit) is (comparison == ">=")
            ]
        order = _SORT.get(sort, "id")
        for node in nodes:
            node["_sort"] = node[order]
        return sorted(nodes, key=lambda node: (node["_sort"], node["id"]))

    def run_bulk(self, query: str) -> Json:
        """Start an operation; its file is made at once, its end is told later."""
        running = [item for item in self.operations.values() if item["status"] == "RUNNING"]
        if running:
            return _refused("OPERATION_IN_PROGRESS", "A bulk query operation is already in progress.")
        problem = refusal(self._schema, query)
        if problem is not None:
            return _refused("INVALID", problem)
        result = graphql_sync(self._schema, query, self._root)
        if result.errors or result.data is None:
            return _refused("INVALID", "The query does not run.")
        lines, roots = lines_of(result.data)
        number = 100 + len(self.operations)
        name = f"bulk-{number}.jsonl"
        self.files[name] = b"\n".join(lines) + (b"\n" if lines else b"")
        operation: Json = {
            "id": f"gid://shopify/BulkOperation/{number}",
            "status": "RUNNING",
            "objectCount": "0",
            "rootObjectCount": "0",
            "createdAt": self.now().isoformat(),
            "query": query,
            "polls": self.polls_until_done,
            "result": (len(lines), roots, f"{self.url}/results/{name}" if lines else None),
        }
        self.operations[operation["id"]] = operation
        return {"bulkOperation": operation, "userErrors": []}

    def look_at(self, operation: Json) -> Json:
        """An operation, a step further each time one looks."""
        if operation["status"] == "RUNNING":
            operation["polls"] -= 1
            if operation["polls"] < 0:
                self._end(operation)
        return operation

    def _end(self, operation: Json) -> None:
        lines, roots, url = operation["result"]
        if self.bulk_fault == "failed":
            operation |= {"status": "FAILED", "errorCode": "INTERNAL_SERVER_ERROR", "partialDataUrl": url}
            return
        operation |= {
            "status": "COMPLETED",
            "objectCount": str(lines),
            "rootObjectCount": str(roots),
            "url": url,
            "completedAt": self.now().isoformat(),
        }

    def subscribe(self, topic: str, uri: str) -> Json:
        """Make a subscription."""
        if self.https_only and not uri.startswith("https://"):
            error = {
                "field": ["webhookSubscription", "callbackUrl"],
                "message": "Address protocol must be https",
            }
            return {"webhookSubscription": None, "userErrors": [error]}
        made = {
            "id": f"gid://shopify/WebhookSubscription/{len(self.failures) + len(self.subscriptions) + 1}",
            "topic": topic,
            "uri": uri,
            "apiVersion": {"handle": self.versions[0]},
        }
        self.subscriptions.append(made)
        return {"webhookSubscription": made, "userErrors": []}


def _listed(shop: Shopify, resource: str, scope: str) -> Any:
    """The resolver of a list that is searched, sorted and paged."""

    def resolve(
        _info: Any,
        first: int | None = None,
        after: str | None = None,
        query: str | None = None,
        sortKey: str = "",  # noqa: N803 - Shopify's argument
    ) -> Json:
        if scope not in shop.scopes:
            raise GraphQLError("Access denied", path=[resource], extensions={"code": "ACCESS_DENIED"})
        found = shop.find(resource, query, sortKey)
        page = page_of(found, first, after)
        if shop.restless and after is not None and page["nodes"]:
            before = found.index(page["nodes"][0]) - 1
            page["nodes"] = [*page["nodes"][::-1], found[before]]
        return page

    return resolve


def _root(shop: Shopify) -> Json:
    """The resolvers of queries and mutations."""

    def node(_info: Any, id: str) -> Json | None:
        kind = id.split("/")[3]
        if kind == "BulkOperation":
            return shop.look_at(shop.operations[id]) if id in shop.operations else None
        orders = shop.nodes("orders")
        pools: Mapping[str, list[Json]] = {
            "Order": orders,
            "Refund": [refund for order in orders for refund in order["refunds"]],
            "Product": shop.nodes("products"),
            "Customer": shop.nodes("customers"),
        }
        return next((item for item in pools.get(kind, ()) if item["id"] == id), None)

    return {
        "orders": _listed(shop, "orders", "read_orders"),
        "products": _listed(shop, "products", "read_products"),
        "customers": _listed(shop, "customers", "read_customers"),
        "node": node,
        "nodes": lambda info, ids: [node(info, item) for item in ids],
        "currentBulkOperation": lambda _info: next(reversed(shop.operations.values()), None),
        "currentAppInstallation": lambda _info: {
            "id": "gid://shopify/AppInstallation/1",
            "accessScopes": [{"handle": scope, "description": scope} for scope in sorted(shop.scopes)],
        },
        "webhookSubscriptions": lambda _info, first=None, after=None: page_of(
            shop.subscriptions, first, after
        ),
        "bulkOperationRunQuery": lambda _info, query, groupObjects=False: shop.run_bulk(query),  # noqa: N803
        "webhookSubscriptionCreate": lambda _info, topic, webhookSubscription: shop.subscribe(  # noqa: N803
            topic, webhookSubscription["uri"]
        ),
    }


def _refused(code: str, message: str) -> Json:
    return {"bulkOperation": None, "userErrors": [{"code": code, "field": ["query"], "message": message}]}


def _error(error: GraphQLError) -> Json:
    code = (error.extensions or {}).get("code") or "undefinedField"
    return {"message": error.message, "path": error.path, "extensions": {"code": code}}


def serve(arguments: Sequence[str]) -> None:
    """Run a shop with made-up data until interrupted."""
    options = argparse.ArgumentParser(prog="python -m examples.vendors shopify", description=__doc__)
    options.add_argument("--port", type=int, default=8801)
    options.add_argument("--shop", default="arcsat-demo.myshopify.com")
    options.add_argument("--orders", type=int, default=40, help="how many orders there are at the start")
    options.add_argument("--every", type=float, default=0.0, help="seconds between new orders; 0: none comes")
    options.add_argument(
        "--send-to", default=None, help="webhook address of the gateway that gets new orders"
    )
    options.add_argument("--secret", default=SECRET.decode(), help="what webhooks are signed with")
    chosen = options.parse_args(arguments)
    shop = Shopify(chosen.shop, port=chosen.port)
    shop.secret, shop.https_only = chosen.secret.encode(), False
    for number in range(chosen.orders):
        _place(shop, number, shop.now() - timedelta(hours=chosen.orders - number))
    for number in range(3):
        shop.put("products", shopify_data.product(number, shop.now() - timedelta(days=9)))
    with shop:
        print(
            f"Shopify stand-in {shop.shop} at {shop.url}; access token {TOKEN}; webhook secret {chosen.secret}"
        )
        addresses = [chosen.send_to] if chosen.send_to else []
        number = chosen.orders
        while chosen.every or addresses:
            placed = _place(shop, number, shop.now())
            statuses = shop.send("orders/create", placed, *addresses)
            print(f"order {placed['name']} placed; webhooks answered {statuses}")
            if not all(200 <= status < 300 for status in statuses):
                print(_REFUSED, file=sys.stderr)
            number += 1
            if not chosen.every:
                break
            time.sleep(chosen.every)
        shop.wait()


def _place(shop: Shopify, number: int, at: datetime) -> Json:
    placed = shopify_data.order(number, at)
    shop.put("customers", shopify_data.customer(number, at))
    return shop.put("orders", placed, [shopify_data.sale(placed, at)])
