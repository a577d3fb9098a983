"""An installation with two customers of a shop, for tests of what persons may ask for."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import orjson

from batuta.blob_store import open_blobs
from batuta.contracts.contract import Contracts
from batuta.keys import KeyRing, create_keys
from batuta.landing.land import Landing
from batuta.landing.model import Delivery
from batuta.policy.decision import DefaultPolicy
from batuta.privacy.masking import Masker
from batuta.privacy.requests import carry_out_requests
from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from examples.vendors import shopify_data as data
from sensors.connectors import email, shopify
from sensors.connectors.pulling import FORM

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SHOP = "arcsat-demo.myshopify.com"
LEAVES, STAYS = 1, 2
"""The customers: one asks to be forgotten, the other does not."""


class House:
    """An installation that lands through the real path."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.home = home
        self.keys: KeyRing = KeyRing.load(home) if (home / "keys").exists() else create_keys(home)
        self.landing = Landing(Contracts.load(), DefaultPolicy(), self.keys, lambda: NOW)
        self.masker = Masker("arcsat", self.keys)
        self.store = open_blobs(get_settings().model_copy(update={"home": home, "blob_url": None}), self.keys)

    def land(self, topic: str, payload: dict[str, Any], *, shop: str = SHOP, product: str = "arcsat") -> None:
        """A webhook through the landing path."""
        delivery = self.delivery(topic, payload, shop=shop, product=product)
        with connect(self.url, "writer") as conn:
            self.landing.commit(conn, [self.landing.prepare(delivery, shopify.parse)], way="webhook")

    def delivery(
        self, topic: str, payload: dict[str, Any], *, shop: str = SHOP, product: str = "arcsat"
    ) -> Delivery:
        """A webhook, its signature checked."""
        headers = {
            "x-shopify-topic": topic,
            "x-shopify-shop-domain": shop,
            "x-shopify-webhook-id": secrets.token_hex(8),
            "x-shopify-triggered-at": "2026-03-01T10:00:00Z",
        }
        return Delivery(product, "shopify", shop, headers, orjson.dumps(payload), NOW)

    def ask(self, topic: str, number: int, **more: Any) -> None:
        """A privacy webhook about customer `number`."""
        person = data.customer(number, NOW)
        customer = {name: person[name] for name in ("id", "email", "phone")}
        self.land(topic, {"shop_id": 1, "shop_domain": SHOP, "customer": customer} | more)

    def carry_out(self, *, days_later: int = 0) -> list[Any]:
        """What is open."""
        at = NOW + timedelta(days=days_later)
        with connect(self.url, "owner") as conn:
            return carry_out_requests(conn, self.keys, self.home, lambda: at, self.store)

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database as its owner."""
        with connect(self.url, "owner") as conn:
            return conn.execute(sql.encode(), values).fetchall()

    def pseudonyms(self, number: int) -> list[str]:
        """Everything this customer is known by after masking."""
        person = data.customer(number, NOW)
        hashed = self.masker.hash_value
        found = [
            hashed("person_id", "", person["id"]),
            hashed("email", "", person["email"]),
            hashed("phone", "", person["phone"]),
            hashed("person_id", "shopify", person["admin_graphql_api_id"]),
        ]
        return [word for word in found if word]

    def fill(self) -> None:
        """Two customers with three orders each, in which the shop wrote about them."""
        for number in (LEAVES, STAYS):
            self.land("customers/create", data.customer(number, NOW - timedelta(days=40)))
            for place in range(3):
                order = data.order(number, NOW - timedelta(days=30 - place), lines=1)
                order |= {"id": order["id"] + 1000 * place, "admin_graphql_api_id": None}
                self.land("orders/create", order)


def mail(uid: int, number: int, attachment: bytes, *, received_at: datetime = NOW) -> Delivery:
    """A mail of customer `number` with an attachment, as it is fetched from the mailbox; its content is kept."""
    message = EmailMessage()
    message["From"], message["To"] = data.customer(number, NOW)["email"], "loja@example.com"
    message["Message-ID"] = f"<{secrets.token_hex(4)}@example.com>"
    message.set_content("Segue em anexo.")
    message.add_attachment(attachment, maintype="application", subtype="pdf", filename="rg.pdf")
    place = {"host": "mail.example.com", "user": "vendas", "folder": "INBOX", "role": "inbox", "flags": ""}
    headers = {FORM: email.MESSAGE, **place, "uidvalidity": "1", "uid": str(uid), "kept": "yes"}
    return Delivery("arcsat", "email", "vendas", headers, message.as_bytes(policy=SMTP), received_at)
