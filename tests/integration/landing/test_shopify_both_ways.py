"""Shopify by webhook and by the Admin API: one state of one thing lands once, whatever comes first, however often."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.contracts.contract import Contracts
from batuta.keys import create_keys
from batuta.landing.land import Landing
from batuta.landing.model import CursorMove, Delivery, PageSides
from batuta.policy.decision import DefaultPolicy
from batuta.warehouse.connection import connect
from examples.vendors import shopify_data as data
from examples.vendors.shopify import TOKEN, Shopify
from sensors.connectors import shopify
from sensors.connectors.pulling import Account, Window
from sensors.connectors.shopify import pull
from tests.support.pulling import NOW, TrialTime, tools

STEPS = st.lists(
    st.sampled_from(["order", "refund", "lost", "poll", "cut", "again", "backfill", "late"]),
    min_size=1,
    max_size=12,
)
States = set[tuple[str, str, str]]


@pytest.fixture(scope="module")
def shop() -> Iterator[Shopify]:
    with Shopify() as served:
        yield served


class History:
    """A shop's history as it happens, with what of it was sent."""

    def __init__(self, shop: Shopify, conn: psycopg.Connection[Any]) -> None:
        self.shop = shop
        self.conn = conn
        self.time = TrialTime()
        self.sent: list[Delivery] = []
        self.kept_back: list[Delivery] = []
        self.position: Any = None
        home = Path(tempfile.mkdtemp())
        self.landing = Landing(Contracts.load(), DefaultPolicy(), create_keys(home), self.time.clock)
        self.account = Account(
            "arcsat",
            "shopify",
            shop.shop,
            shopify.Settings(api_url=shop.url, page_size=2),
            {"accessToken": TOKEN.encode()},
        )
        for kept in (*shop.data.values(), shop.transactions, shop.operations):
            kept.clear()
        shop.now = self.time.clock

    def change(self, step: str, number: int) -> None:
        """An order is placed, or the last one refunded; its webhooks are sent, come late, or are lost."""
        at = self.time.clock()
        orders = list(self.shop.data["orders"].values())
        if step != "refund" or not orders:
            order = data.order(number, at, lines=1 + number % 3)
            told = [data.sale(order, at)]
            topic, more = "orders/create", [("order_transactions/create", told[0])]
        else:
            refund = data.refund(orders[-1], at, number=number + 1)
            order = orders[-1] | {"refunds": [*orders[-1]["refunds"], refund], "updated_at": data.stamp(at)}
            told = refund["transactions"]
            topic, more = (
                "orders/updated",
                [("refunds/create", refund), ("order_transactions/create", told[0])],
            )
        self.shop.put("orders", order, told)
        deliveries = [self.webhook(*item) for item in ((topic, order), *more)]
        if step == "late":
            self.kept_back += deliveries
        elif step != "lost":
            self.sent += deliveries
            self.land(deliveries)

    def webhook(self, topic: str, payload: dict[str, Any]) -> Delivery:
        body = orjson.dumps(payload)
        return Delivery(
            "arcsat", "shopify", self.shop.shop, self.shop.headers(topic, body), body, self.time.clock()
        )

    def land(self, deliveries: list[Delivery]) -> None:
        prepared = [self.landing.prepare(delivery, shopify.parse) for delivery in deliveries]
        self.landing.commit(self.conn, prepared, way="webhook")

    def pull(self, step: str) -> None:
        """A poll, one that breaks off after a page, or a backfill."""
        with_time = tools(time=self.time)
        window = Window(NOW, self.time.clock())
        pages = (
            pull.backfill(self.account, window, None, with_time)
            if step == "backfill"
            else pull.poll(self.account, self.position, with_time)
        )
        for page in pages:
            sides = PageSides(CursorMove("poll:shopify:x", "arcsat", page.position), None, None)
            way = "backfill" if step == "backfill" else "poll"
            self.landing.commit_page(self.conn, page.deliveries, shopify.parse, sides, way=way)
            if step == "cut":
                break
            if step != "backfill":
                self.position = page.position

    def states(self) -> States:
        """What the shop has now: (type, id, version)."""
        found: States = set()
        for order in self.shop.data["orders"].values():
            found.add(("orders", str(order["id"]), _utc(order["updated_at"])))
            found |= {("refunds", str(item["id"]), _utc(item["created_at"])) for item in order["refunds"]}
            for told in self.shop.transactions[order["id"]]:
                found.add(("order_transactions", str(told["id"]), _utc(told["processed_at"])))
        return found

    def landed(self) -> list[tuple[str, str, str]]:
        rows = self.conn.execute(
            """
            select dataset, data ->> 'id', to_char(
                coalesce(data ->> 'updated_at', data ->> 'processed_at', data ->> 'created_at')::timestamptz
                at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'
            )
            from batuta.events
            """
        ).fetchall()
        self.conn.commit()
        return [(dataset, identity, at) for dataset, identity, at in rows]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_mixture_of_webhooks_polls_backfills_and_breaks_leaves_each_state(
    steps: list[str], shop: Shopify, database_url: str
) -> None:
    with connect(database_url, "owner") as conn:
        conn.execute(
            "truncate batuta.events, batuta.inbox, batuta.batches, batuta.key_fingerprint, batuta.quarantine"
        )
        conn.commit()
    with connect(database_url, "writer") as conn:
        history = History(shop, conn)
        for number, step in enumerate([*steps, "poll"]):
            history.time.advance(400)
            if step in ("order", "refund", "lost", "late"):
                history.change(step, number)
            elif step == "again" and history.sent:
                history.land(history.sent)
            else:
                history.pull(step)
        before_the_late = history.landed()
        assert history.states() <= set(before_the_late), "nothing that the shop has is missing"
        assert len(before_the_late) == len(set(before_the_late)), "and nothing of it is there twice"
        history.land(history.kept_back)
        after = history.landed()
        assert set(after) >= set(before_the_late)
        assert len(after) == len(before_the_late) + len(history.kept_back), "a webhook always lands"
        held = conn.execute("select count(*) from batuta.quarantine").fetchone()
        assert held == (0,)


def _utc(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
