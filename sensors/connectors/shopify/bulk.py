"""Bulk operations: one query over all records of a window, run by Shopify, its result a file of JSON lines.

Members of a connection have lines of their own, which name their parent and may come anywhere after it. The file is
believed only when it has as many lines and as many records as Shopify counted; half a result (`partialDataUrl`) is no
result. Protocol: shopify.dev/docs/api/usage/bulk-operations/queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import orjson

from sensors.connectors.pulling import RateLimited, SourceFailed
from sensors.connectors.reading import JsonObject, moment_at, object_at, text_at
from sensors.connectors.shopify.graphql import ShopApi
from sensors.connectors.shopify.queries import BULK, RUN_BULK, Records

MOST_BYTES: Final = 1 << 30
_FIRST_WAIT_S: Final = 2.0
_LONGEST_WAIT_S: Final = 30.0
_BUSY_S: Final = 60
_RUNNING: Final = frozenset({"CREATED", "RUNNING", "CANCELING"})
# Results can be fetched for seven days.
_KEPT: Final = timedelta(days=6, hours=12)


@dataclass(frozen=True, slots=True)
class Operation:
    """A bulk operation that has ended.

    `problem` says why its result is not to be used, None for one that is complete; `url` is None where the search
    found nothing.
    """

    problem: str | None
    objects: int
    roots: int
    url: str | None


def start(api: ShopApi, records: Records, search: str) -> str:
    """Have Shopify run the query; the operation's id.

    Raises:
        RateLimited: as many operations as Shopify allows are running.
        SourceFailed: the query was refused.
    """
    answer = object_at(api.ask(RUN_BULK, {"query": records.bulk(search)}), "bulkOperationRunQuery")
    operation = text_at(object_at(answer, "bulkOperation"), "id")
    if operation is not None:
        return operation
    errors = answer.get("userErrors")
    codes = [text_at(error, "code") or "" for error in errors or () if isinstance(error, dict)]
    if any("IN_PROGRESS" in code or "LIMIT" in code for code in codes):
        raise RateLimited(
            f"another bulk operation is running in {api.shop}",
            api.tools.clock() + timedelta(seconds=_BUSY_S),
        )
    raise SourceFailed(f"Shopify refuses the bulk operation ({', '.join(codes) or 'no code'})")


def ended(api: ShopApi, operation: str) -> Operation:
    """The operation once it has ended.

    Raises:
        RateLimited: it does not end before the deadline.
    """
    wait = _FIRST_WAIT_S
    while True:
        node = object_at(api.ask(BULK, {"id": operation}), "node")
        status = text_at(node, "status")
        if status not in _RUNNING:
            return _judged(api, node, status)
        api.tools.calls.pause(wait, "Shopify is still at work on the bulk operation")
        wait = min(wait * 2, _LONGEST_WAIT_S)


def _judged(api: ShopApi, node: JsonObject, status: str | None) -> Operation:
    objects, roots = _count(node, "objectCount"), _count(node, "rootObjectCount")
    problem = None
    completed_at = moment_at(node, "completedAt")
    if status is None:
        problem = "Shopify does not know the bulk operation any more"
    elif status != "COMPLETED":
        half = "; half a result is not used" if node.get("partialDataUrl") else ""
        problem = f"the bulk operation ended as {status} ({text_at(node, 'errorCode') or 'no code'}){half}"
    elif completed_at is not None and api.tools.clock() - completed_at > _KEPT:
        problem = "the result of the bulk operation is not kept any more"
    elif objects and node.get("url") is None:
        problem = "the bulk operation has no result to fetch"
    return Operation(problem, objects, roots, text_at(node, "url"))


@dataclass(slots=True)
class Record:
    """A record and its members, as lines of the file."""

    line: bytes
    members: list[bytes]


def fetch(api: ShopApi, operation: Operation) -> list[Record]:
    """The operation's records, members with their parents.

    They stay in memory, up to `MOST_BYTES`: personal data in them are not masked yet, and nothing unmasked is written.

    Raises:
        SourceFailed: the file does not hold what Shopify counted.
    """
    if operation.url is None:
        return []
    records: dict[str, Record] = {}
    waiting: dict[str, list[bytes]] = {}
    lines = 0
    for line in _lines(api.tools.calls.stream(operation.url, max_bytes=MOST_BYTES)):
        lines += 1
        identity, parent = _identity(line)
        if parent is None:
            records[identity] = Record(line, waiting.pop(identity, []))
        elif parent in records:
            records[parent].members.append(line)
        else:
            waiting.setdefault(parent, []).append(line)
    if lines != operation.objects or len(records) != operation.roots or waiting:
        raise SourceFailed(
            f"the result of the bulk operation has {lines} lines and {len(records)} records where Shopify counted "
            f"{operation.objects} and {operation.roots}; nothing of it is used",
            hint="It is fetched again. If that does not help, backfill a smaller window.",
        )
    return list(records.values())


def assembled(record: Record, records: Records) -> JsonObject:
    """A record with its members in it, in the order they were made, as an ordinary query gives it."""
    node: JsonObject = orjson.loads(record.line)
    members = sorted((orjson.loads(line) for line in record.members), key=_number)
    for connection in records.members:
        node[connection.field] = {"nodes": members}
    return node


def _identity(line: bytes) -> tuple[str, str | None]:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise SourceFailed("the result of the bulk operation is cut off; it is fetched again") from None
    identity = text_at(document, "id") if isinstance(document, dict) else None
    if identity is None:
        raise SourceFailed("a line of the bulk operation's result has no id")
    return identity, text_at(document, "__parentId")


def _number(node: JsonObject) -> tuple[int, str]:
    identity = text_at(node, "id") or ""
    return len(identity), identity


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())
    if rest.strip():
        yield rest


def _count(node: Mapping[str, Any], name: str) -> int:
    """A count, which Shopify writes as a text."""
    value = node.get(name)
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else 0
