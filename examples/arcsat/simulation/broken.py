"""The deliveries that cannot be accepted: good ones, each broken in one way. All must end in quarantine."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Change = Callable[[bytes], bytes]
Headers = dict[str, str]


def _same_body(body: bytes) -> bytes:
    return body


def _same_headers(headers: Headers) -> Headers:
    return headers


@dataclass(frozen=True, slots=True)
class Breakage:
    """One way to be wrong. The body is changed before it is signed, the headers after."""

    name: str
    topic: str
    body: Change = _same_body
    headers: Callable[[Headers], Headers] = _same_headers


def _truncated(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _bad_utf8(body: bytes) -> bytes:
    return body.replace(b'"', b'"\xc3\x28', 1)


def _a_list(body: bytes) -> bytes:
    return b"[" + body + b"]"


def _edited(edit: Callable[[dict[str, Any]], None]) -> Change:
    def change(body: bytes) -> bytes:
        document = json.loads(body)
        edit(document)
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    return change


def _without(*names: str, inside: str | None = None) -> Change:
    def edit(document: dict[str, Any]) -> None:
        owner = document[inside] if inside else document
        for name in names:
            del owner[name]

    return _edited(edit)


def renamed(body: bytes, event_id: str) -> bytes:
    """The same CloudEvent under another id."""
    return _with(event_id, "id")(body)


def _with(value: object, *path: str | int) -> Change:
    def edit(document: Any) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return _edited(edit)


def _header(name: str, value: str | None) -> Callable[[Headers], Headers]:
    def change(headers: Headers) -> Headers:
        kept = {key: text for key, text in headers.items() if key != name}
        return kept if value is None else kept | {name: value}

    return change


BREAKAGES: Mapping[str, tuple[Breakage, ...]] = {
    "shopify": (
        Breakage("broken JSON, properly signed", "orders/updated", _truncated),
        Breakage("bad UTF-8, properly signed", "orders/create", _bad_utf8),
        Breakage("a list instead of an object", "refunds/create", _a_list),
        Breakage(
            "signed by somebody else",
            "orders/updated",
            headers=_header("X-Shopify-Hmac-Sha256", "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g="),
        ),
        Breakage("not signed", "orders/create", headers=_header("X-Shopify-Hmac-Sha256", None)),
        Breakage("no identity", "orders/create", _without("id", "admin_graphql_api_id")),
        Breakage("no time of update", "orders/updated", _without("updated_at")),
        Breakage("line items are a text", "orders/create", _with("um telescópio", "line_items")),
        Breakage("a price that is no number", "orders/updated", _with("grátis", "line_items", 0, "price")),
        Breakage("a transaction without amount", "order_transactions/create", _without("amount")),
        Breakage(
            "a topic that is not read", "products/update", headers=_header("X-Shopify-Topic", "carts/update")
        ),
    ),
    "github": (
        Breakage("broken JSON, properly signed", "pull_request", _truncated),
        Breakage("bad UTF-8, properly signed", "issues", _bad_utf8),
        Breakage("a list instead of an object", "push", _a_list),
        Breakage(
            "signed by somebody else",
            "pull_request",
            headers=_header("X-Hub-Signature-256", "sha256=" + "0" * 64),
        ),
        Breakage("signed with SHA-1 only", "release", headers=_header("X-Hub-Signature-256", None)),
        Breakage("no number", "pull_request", _without("number", inside="pull_request")),
        Breakage("merged on no date", "pull_request", _with("ontem", "pull_request", "merged_at")),
        Breakage("no delivery id", "issues", headers=_header("X-GitHub-Delivery", None)),
    ),
    "events": (
        Breakage("broken JSON", "com.batuta.survey.answered", _truncated),
        Breakage("bad UTF-8", "com.batuta.survey.answered", _bad_utf8),
        Breakage("no id", "com.batuta.spend.recorded", _without("id")),
        Breakage("an old version of the format", "com.batuta.spend.recorded", _with("0.3", "specversion")),
        Breakage("a time that is none", "com.batuta.spend.recorded", _with("ontem", "time")),
        Breakage("a score of eleven", "com.batuta.survey.answered", _with(11, "data", "score")),
        Breakage("a score between two", "com.batuta.survey.answered", _with(7.5, "data", "score")),
        Breakage("a score in words", "com.batuta.survey.answered", _with("dez", "data", "score")),
        Breakage("spend without amount", "com.batuta.spend.recorded", _without("amount", inside="data")),
        Breakage(
            "a vendor's type by the side door",
            "com.batuta.spend.recorded",
            _with("com.shopify.orders.created", "type"),
        ),
    ),
}
