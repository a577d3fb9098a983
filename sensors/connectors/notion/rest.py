"""Notion's API as one account sees it, and a page read down to its last block.

Addresses of files are signed anew at every look and are left out; nothing else of a page changes by being looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from sensors.connectors.answers import object_of
from sensors.connectors.notion import Settings
from sensors.connectors.pulling import Account, Answer, SourceFailed, Tools

PAGE: Final = 100
MOST_PAGES: Final = 2000
MOST_DEPTH: Final = 30
_BETWEEN_CALLS_S: Final = 0.34
"""Three a second: the older, stricter wording of Notion's limit."""

Record = dict[str, Any]


class NotShown(SourceFailed):
    """Notion does not show something to the integration: it is gone, not shared, or of a kind the API does not give."""


def limits(answer: Answer) -> float | None:
    """A pause after every answer that was one; what Notion asks for on its own goes before."""
    return _BETWEEN_CALLS_S if answer.status < 400 else None


@dataclass(frozen=True, slots=True)
class Content:
    """What a page says: its text, how many blocks were read, whether there were more."""

    text: str
    blocks: int
    cut: bool


class Api:
    """The API."""

    def __init__(self, account: Account, tools: Tools) -> None:
        self.settings = cast("Settings", account.settings)
        self._tools = tools
        self._root = self.settings.api_url
        token = account.credentials.get("token", b"").decode()
        self._headers = {"authorization": f"Bearer {token}", "notion-version": self.settings.version}

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """One answer."""
        return self._tools.calls.request(
            method, f"{self._root}/v1/{path}", headers=self._headers, json=body, **options
        )

    def listed(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, cursor: str | None = None
    ) -> Iterator[tuple[list[Record], str | None]]:
        """The pages of a list, each with the cursor of the next; a cursor that comes back is an error, not a loop.

        Raises:
            NotShown: there is no such list for the integration.
        """
        seen = {cursor}
        for _ in range(MOST_PAGES):
            paging = {"page_size": PAGE} | ({"start_cursor": cursor} if cursor else {})
            if method == "GET":
                params = {name: str(value) for name, value in paging.items()}
                answer = self.call(method, path, params=params, expect=(200, 400, 404))
            else:
                answer = self.call(method, path, {**(body or {}), **paging}, expect=(200, 404))
            if answer.status != 200:
                raise NotShown(f"Notion does not show {path} to the integration ({answer.status})")
            document = read(answer)
            cursor = document.get("next_cursor") if document.get("has_more") else None
            yield [item for item in document.get("results", ()) if isinstance(item, dict)], cursor
            if cursor is None:
                return
            if cursor in seen:
                raise SourceFailed("Notion's pages go in a circle; the next poll begins again")
            seen.add(cursor)
        raise SourceFailed(f"a list of more than {MOST_PAGES} pages")

    def page(self, page_id: str) -> Record | None:
        """A page by its id; None where it is not shared with the integration, or is no more."""
        answer = self.call("GET", f"pages/{page_id}", expect=(200, 404))
        return None if answer.status == 404 else read(answer)

    def completed(self, page: Record) -> Record:
        """The page with the rest of properties that are cut after 25 values."""
        properties = dict(page.get("properties") or {})
        for name, value in properties.items():
            if isinstance(value, dict) and value.get("has_more") and value.get("id"):
                kind = value["type"]
                path = f"pages/{page['id']}/properties/{value['id']}"
                whole = [item.get(kind) for items, _ in self.listed("GET", path) for item in items]
                properties[name] = value | {kind: whole}
        return page | {"properties": properties}

    def content(self, page_id: str) -> Content:
        """The text of all blocks of a page, in reading order."""
        reader = _Reader(self, self.settings.max_blocks)
        reader.read(page_id, 0)
        return Content("\n".join(reader.lines), reader.count, reader.cut)


class _Reader:
    """Reads blocks below blocks; one that is met again (synced blocks may contain themselves) is not gone into."""

    def __init__(self, api: Api, most: int) -> None:
        self._api = api
        self._most = most
        self._seen: set[str] = set()
        self.lines: list[str] = []
        self.count = 0
        self.cut = False

    def read(self, block_id: str, depth: int) -> None:
        if block_id in self._seen:
            return
        self._seen.add(block_id)
        try:
            for blocks, _ in self._api.listed("GET", f"blocks/{block_id}/children"):
                for block in blocks:
                    if self.count >= self._most:
                        self.cut = True
                        return
                    self.count += 1
                    self._one(block, depth)
        except NotShown:
            # A synced block may come from a page that is not shared; the page itself may have gone.
            if depth == 0:
                raise
            self.cut = True

    def _one(self, block: Record, depth: int) -> None:
        kind = block.get("type", "")
        inside = block.get(kind)
        inside = inside if isinstance(inside, dict) else {}
        line = (
            plain(inside.get("rich_text")) or plain(inside.get("caption")) or str(inside.get("title") or "")
        )
        if line:
            self.lines.append(line)
        # A page within a page is a page of its own.
        if kind in ("child_page", "child_database") or depth >= MOST_DEPTH:
            return
        copied = inside.get("synced_from")
        if isinstance(copied, dict) and copied.get("block_id"):
            self.read(str(copied["block_id"]), depth + 1)
        elif block.get("has_children"):
            self.read(str(block["id"]), depth + 1)


def read(answer: Answer) -> Record:
    """The object of an answer."""
    return object_of(answer, "Notion")


def plain(rich_text: Any) -> str:
    """The plain text of rich text."""
    if not isinstance(rich_text, list):
        return ""
    return "".join(str(part.get("plain_text") or "") for part in rich_text if isinstance(part, dict))


def digest(document: Mapping[str, Any]) -> str:
    """What tells two contents apart."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def title_of(properties: Mapping[str, Any]) -> str | None:
    """The title, which every page has under a name of its own."""
    for value in properties.values():
        if isinstance(value, dict) and value.get("type") == "title":
            return plain(value.get("title")) or None
    return None


def values_of(properties: Mapping[str, Any]) -> list[Record]:
    """Properties by type, without what changes by being looked at; the title apart, rollups and formulas as found."""
    found = [_value(name, value) for name, value in sorted(properties.items()) if isinstance(value, dict)]
    return [value for value in found if value["type"] != "title"]


def _value(name: str, value: Mapping[str, Any]) -> Record:
    kind = str(value.get("type") or "unknown")
    content = value.get(kind)
    if kind == "formula" and isinstance(content, dict):
        content = content.get(str(content.get("type")))
    return {"name": name, "type": kind} | _content(kind, content)


def _content(kind: str, content: Any) -> Record:
    if isinstance(content, bool):
        return {"checked": content}
    if isinstance(content, int | float):
        return {"number": content}
    if isinstance(content, str):
        return {{"email": "email", "phone_number": "phone"}.get(kind, "text"): content}
    if isinstance(content, dict):
        return _one(content)
    return _many(kind, content) if isinstance(content, list) else {}


def _one(content: Mapping[str, Any]) -> Record:
    if "start" in content:
        return {"start": content.get("start"), "end": content.get("end")}
    if content.get("object") == "user":
        return {"people": [str(content.get("id"))]}
    if "name" in content:
        return {"options": [str(content["name"])]}
    if content.get("number") is not None and content.get("type") == "number":
        return {"number": content["number"]}
    return {}


def _many(kind: str, content: Sequence[Any]) -> Record:
    items = [item for item in content if isinstance(item, dict)]
    if kind == "rich_text":
        return {"text": plain(list(items)) or None}
    if kind == "relation":
        return {"pages": [str(item["id"]) for item in items if item.get("id")]}
    if kind in ("people", "created_by", "last_edited_by"):
        return {"people": [str(item["id"]) for item in items if item.get("id")]}
    return {"options": [str(item["name"]) for item in items if item.get("name")]}
