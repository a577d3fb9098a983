"""Who a person is in the log: their pseudonyms and tokens, and whether a text that is still in clear speaks of them.

Nothing here knows a name or an address: a person is what their hashes are. A text in clear (a quarantined delivery, a
known item) is held against them by hashing what it says.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from typing import Any, Final

import orjson
import psycopg

from batuta.keys import KeyRing
from batuta.privacy.masking import HASH_VERSION, Masker, VaultRow, open_vault_row
from batuta.privacy.text import find

PSEUDONYM: Final = re.compile(rf"{HASH_VERSION}:[A-Za-z0-9_-]{{22}}")
TOKEN: Final = re.compile(r"\[\[([A-Z_]+):(k[0-9]+):([A-Za-z0-9_-]{22})\]\]")
_GLOBAL_ID: Final = re.compile(r"gid://shopify/Customer/([0-9]{1,19})")
_CONTACTS: Final = ("email", "contact_email", "phone")
_OF_A_CUSTOMER: Final = ("id", "email", "phone")
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Person:
    """A person of one product, as the log knows them.

    `pseudonyms` are keyed hashes, `tokens` what stands for a value in the vault.
    """

    product: str
    pseudonyms: frozenset[str]
    tokens: frozenset[str]

    @property
    def words(self) -> tuple[str, ...]:
        """Everything that stands for them in stored text, in a fixed order."""
        return tuple(sorted(self.pseudonyms | self.tokens))

    def digest(self, keys: KeyRing) -> bytes:
        """A keyed digest of who they are, to tell later that it was this one."""
        text = "\x00".join(sorted(self.pseudonyms)).encode()
        return hmac.digest(keys.hmac(self.product, "privacy-request"), text, "sha256")[:_DIGEST_BYTES]


def person_of_request(
    conn: psycopg.Connection[Any], product: str, source: str, data: dict[str, Any], keys: KeyRing
) -> Person:
    """The person a shop's privacy request is about, with what their customer records and the named orders add.

    Args:
        conn: A connection that may read the log and the vault.
        product: Whose request it is.
        source: The shop, as events name it.
        data: The masked data of the request's event.
        keys: The keys of this installation.
    """
    asked = data.get("customer")
    found = set(_hashes(asked if isinstance(asked, dict) else {}, _OF_A_CUSTOMER))
    orders = data.get("orders_to_redact") or data.get("orders_requested") or []
    found |= _of_orders(conn, product, source, [order for order in orders if isinstance(order, int)])
    found |= _of_merges(conn, product, source, found)
    found |= _of_customer_records(conn, product, source, found)
    return Person(product, frozenset(found), frozenset(_tokens_of(conn, product, found, keys)))


def person_known_by(
    conn: psycopg.Connection[Any], product: str, values: Sequence[tuple[str, str]], keys: KeyRing
) -> Person:
    """The person of whom somebody knows these (kind, value); where a kind is an id, of any vendor's.

    What their customer records, and customers merged with theirs, add is added.
    """
    masker = Masker(product, keys)
    hashes = {
        masker.hash_value(kind, scope, value)
        for kind, value in values
        for scope in ("", "shopify", "github", "whatsapp")
    }
    found = {word for word in hashes if word is not None}
    found |= _of_merges(conn, product, None, found)
    found |= _of_customer_records(conn, product, None, found)
    return Person(product, frozenset(found), frozenset(_tokens_of(conn, product, found, keys)))


class Ear:
    """Hears whether something in clear speaks of a person."""

    def __init__(self, person: Person, keys: KeyRing) -> None:
        self._pseudonyms = person.pseudonyms
        self._masker = Masker(person.product, keys)

    def hears(self, value: Any) -> bool:
        """Whether a JSON value, a text or bytes (JSON, a mail, text) have one of the person's values in them."""
        if isinstance(value, bytes):
            value = _content_of(value)
        stack: list[Any] = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, dict):
                stack += [*item.keys(), *item.values()]
            elif isinstance(item, list | tuple):
                stack += item
            elif isinstance(item, str | int) and any(word in self._pseudonyms for word in self._said(item)):
                return True
        return False

    def _said(self, item: str | int) -> Iterator[str | None]:
        """The hashes of all a value may be."""
        hash_value = self._masker.hash_value
        text = str(item)
        yield text
        if len(text) <= 64:
            yield hash_value("person_id", "", text)
            yield hash_value("person_id", "shopify", text)
        if isinstance(item, int):
            return
        if len(text) <= 320:
            yield hash_value("email", "", text)
            yield hash_value("phone", "", text)
        for span in find(text):
            yield hash_value(span.kind, "", text[span.start : span.end])
        for match in _GLOBAL_ID.finditer(text):
            yield hash_value("person_id", "", match[1])


def _content_of(body: bytes) -> Any:
    """What bytes say: JSON, else the texts of a mail, else text."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    text = body.decode("utf-8", "replace")
    if not re.match(r"[A-Za-z-]+:", text):
        return text
    texts: list[str] = [text]
    for part in message_from_bytes(body, policy=default).walk():
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True)
            texts.append(payload.decode("utf-8", "replace") if isinstance(payload, bytes) else "")
    return texts


def _hashes(document: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        value = document.get(name)
        if isinstance(value, str) and PSEUDONYM.fullmatch(value):
            yield value


def _of_orders(conn: psycopg.Connection[Any], product: str, source: str, orders: list[int]) -> set[str]:
    rows = conn.execute(
        """
        select data from batuta.history
        where product = %s and source = %s and connector = 'shopify' and dataset = 'orders' and subject = any(%s)
        """,
        (product, source, [f"gid://shopify/Order/{order}" for order in orders]),
    )
    found: set[str] = set()
    for (data,) in rows:
        customer = data.get("customer")
        found |= set(_hashes(data, _CONTACTS))
        found |= set(_hashes(customer if isinstance(customer, dict) else {}, _OF_A_CUSTOMER))
    return found


def _of_merges(conn: psycopg.Connection[Any], product: str, source: str | None, known: set[str]) -> set[str]:
    """The customers that a shop merged with these, in either direction and however often."""
    rows = conn.execute(
        """
        with recursive merges as (
            select source, subject, data ->> 'customer_kept_id' as kept, data ->> 'customer_deleted_id' as deleted
            from batuta.history
            where product = %(product)s and source = coalesce(%(source)s, source) and connector = 'shopify'
                and dataset = 'customer_merges' and lower(data ->> 'status') = 'completed'
        ),
        found (source, pseudonym) as (
            select distinct merges.source, known.pseudonym
            from merges
            inner join unnest(%(known)s::text[]) as known (pseudonym)
                on known.pseudonym in (merges.kept, merges.deleted)
            union
            select merges.source, case found.pseudonym when merges.kept then merges.deleted else merges.kept end
            from merges
            inner join found on merges.source = found.source and found.pseudonym in (merges.kept, merges.deleted)
        )
        select pseudonym from found
        union
        select merges.subject from merges
        inner join found on merges.source = found.source and merges.deleted = found.pseudonym
        """,
        {"product": product, "source": source, "known": sorted(known)},
    )
    return {word for (word,) in rows if word is not None and PSEUDONYM.fullmatch(word)}


def _of_customer_records(
    conn: psycopg.Connection[Any], product: str, source: str | None, known: set[str]
) -> set[str]:
    rows = conn.execute(
        """
        select data, subject, id from batuta.history
        where product = %s and source = coalesce(%s, source) and connector = 'shopify' and dataset = 'customers'
            and data ->> 'id' = any(%s)
        """,
        (product, source, sorted(known)),
    )
    found: set[str] = set()
    for data, subject, identity in rows:
        found |= set(
            _hashes(data | {"subject": subject, "event": identity}, (*_OF_A_CUSTOMER, "subject", "event"))
        )
    return found


def _tokens_of(
    conn: psycopg.Connection[Any], product: str, pseudonyms: set[str], keys: KeyRing
) -> Iterator[str]:
    """The tokens whose value has one of these hashes."""
    masker = Masker(product, keys)
    rows = conn.execute(
        "select token, product, kind, key_id, nonce, ciphertext from batuta.vault where product = %s",
        (product,),
    )
    for token, owner, kind, key_id, nonce, ciphertext in rows:
        row = VaultRow(token, owner, kind, key_id, bytes(nonce), bytes(ciphertext))
        value = open_vault_row(row, keys)
        if any(masker.hash_value(kind, scope, value) in pseudonyms for scope in ("", "shopify")):
            yield token
