"""A stand-in for Notion's API: data sources, search, pages, blocks and properties by cursor, times rounded to minutes.

A page in the trash and a page no longer shared are both absent from lists; only asking by id tells them apart. Data is
made up; `python -m examples.vendors notion` serves a small workspace.
"""

from __future__ import annotations

import argparse
import hmac
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.vendors.serving import Served

TOKEN: Final = "made-up-token"  # noqa: S105 - nobody's
DATA_SOURCE: Final = "11111111-2222-3333-4444-555555555555"
Json = dict[str, Any]


class Notion(Served):
    """One workspace, to be changed by tests and by hand."""

    def __init__(self, *, port: int = 0) -> None:
        self.sources = {DATA_SOURCE}
        self.pages: dict[str, Json] = {}
        self.blocks: dict[str, list[Json]] = {}
        self.long_properties: dict[tuple[str, str], list[Json]] = {}
        self.unshared: set[str] = set()
        """Pages, blocks and data sources that are there and not shown."""
        self.search_knows: Callable[[str], bool] = lambda _: True
        self.circular = False
        routes = [
            ("/v1/data_sources/{source}/query", self._query, "POST"),
            ("/v1/search", self._search, "POST"),
            ("/v1/pages/{page}", self._page, "GET"),
            ("/v1/pages/{page}/properties/{property}", self._property, "GET"),
            ("/v1/blocks/{block}/children", self._children, "GET"),
        ]
        listed = [Route(path, self._guarded(handler), methods=[method]) for path, handler, method in routes]
        super().__init__(Starlette(routes=listed), port)

    def write(
        self, page: str, at: datetime, text: str, *, source: str | None = DATA_SOURCE, **properties: Json
    ) -> Json:
        """Make or edit a page; its text is its only block, unless `blocks` say otherwise."""
        if source:
            self.sources.add(source)
        before = self.pages.get(page, {"created_time": minute(at)})
        parent = {"type": "data_source_id", "data_source_id": source} if source else {"type": "workspace"}
        title = {"id": "title", "type": "title", "title": [{"plain_text": f"Page {page[-2:]}"}]}
        self.pages[page] = before | {
            "object": "page",
            "id": page,
            "parent": parent,
            "in_trash": False,
            "last_edited_time": minute(at),
            "created_by": {"object": "user", "id": "0a0a0a0a-0000-0000-0000-000000000001"},
            "last_edited_by": {"object": "user", "id": "0a0a0a0a-0000-0000-0000-000000000001"},
            "properties": {"Name": title} | properties,
        }
        self.blocks[page] = [paragraph(text)]
        return self.pages[page]

    def trash(self, page: str, at: datetime) -> None:
        """Move a page to the trash."""
        self.pages[page] |= {"in_trash": True, "last_edited_time": minute(at)}

    def signal(self, address: str, token: str, kind: str, page: str) -> int:
        """Send a webhook as Notion signs it; the status of the answer."""
        body = json.dumps(
            {
                "id": str(uuid.uuid4()),
                "timestamp": datetime.now(UTC).isoformat(),
                "workspace_id": "99999999-0000-0000-0000-000000000000",
                "type": kind,
                "entity": {"id": page, "type": "page"},
                "attempt_number": 1,
                "data": {},
            }
        ).encode()
        digest = hmac.digest(token.encode(), body, "sha256").hex()
        headers = {"content-type": "application/json", "x-notion-signature": f"sha256={digest}"}
        return httpx.post(address, content=body, headers=headers, trust_env=False).status_code

    def _there(self) -> list[Json]:
        return [p for p in self.pages.values() if not p["in_trash"] and p["id"] not in self.unshared]

    def _guarded(self, handler: Any) -> Any:
        async def guarded(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return JSONResponse({"code": "unauthorized", "message": "API token is invalid."}, 401)
            if not request.headers.get("notion-version"):
                return JSONResponse({"code": "missing_version"}, 400)
            return await handler(request)

        return guarded

    async def _query(self, request: Request) -> Response:
        source = request.path_params["source"]
        if source not in self.sources or source in self.unshared:
            return _not_found()
        body = await request.json()
        found = [p for p in self._there() if p["parent"].get("data_source_id") == source]
        for clause in body.get("filter", {}).get("and", ()):
            condition = clause["last_edited_time"]
            found = [p for p in found if _meets(p["last_edited_time"], condition)]
        if body.get("sorts"):
            found.sort(key=lambda p: (p["last_edited_time"], p["id"]))
        return self._listed(found, body.get("start_cursor"), body.get("page_size", 100))

    async def _search(self, request: Request) -> Response:
        body = await request.json()
        found = [p for p in self._there() if self.search_knows(p["id"])]
        found.sort(key=lambda p: (p["last_edited_time"], p["id"]), reverse=True)
        return self._listed(found, body.get("start_cursor"), body.get("page_size", 100))

    async def _page(self, request: Request) -> Response:
        page = request.path_params["page"]
        if page not in self.pages or page in self.unshared:
            return _not_found()
        return JSONResponse(self.pages[page])

    async def _property(self, request: Request) -> Response:
        values = self.long_properties[request.path_params["page"], request.path_params["property"]]
        query = request.query_params
        return self._listed(values, query.get("start_cursor"), int(query.get("page_size", "100")))

    async def _children(self, request: Request) -> Response:
        if request.path_params["block"] in self.unshared:
            return _not_found()
        blocks = self.blocks.get(request.path_params["block"], [])
        query = request.query_params
        return self._listed(blocks, query.get("start_cursor"), int(query.get("page_size", "100")))

    def _listed(self, items: Sequence[Json], cursor: str | None, size: int) -> Response:
        start = int(cursor or 0)
        end = start + min(size, 100)
        more = end < len(items) or self.circular
        follows = str(start if self.circular else end) if more else None
        return JSONResponse(
            {"object": "list", "results": list(items[start:end]), "has_more": more, "next_cursor": follows}
        )


def _not_found() -> Response:
    return JSONResponse({"object": "error", "status": 404, "code": "object_not_found"}, 404)


def minute(at: datetime) -> str:
    """A time as Notion writes it: rounded down to the minute."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:00.000Z")


def paragraph(text: str, block: str | None = None, *, children: bool = False) -> Json:
    """A block of text."""
    rich = {"rich_text": [{"type": "text", "plain_text": text}]}
    block = block or str(uuid.uuid4())
    return {"object": "block", "id": block, "type": "paragraph", "has_children": children, "paragraph": rich}


def _meets(edited: str, condition: Json) -> bool:
    at = datetime.fromisoformat(edited)
    after, before = condition.get("on_or_after"), condition.get("before")
    return (after is None or at >= datetime.fromisoformat(after)) and (
        before is None or at < datetime.fromisoformat(before)
    )


def serve(arguments: Sequence[str]) -> None:
    """Serve a small workspace until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.vendors notion", description=__doc__)
    parser.add_argument("--port", type=int, default=8706)
    options = parser.parse_args(arguments)
    vendor = Notion(port=options.port)
    now = datetime.now(UTC)
    for number in range(1, 6):
        page = f"00000000-0000-0000-0000-0000000000{number:02}"
        status = {"id": "st", "type": "status", "status": {"name": "Em andamento"}}
        vendor.write(page, now - timedelta(hours=number), f"Notas da reunião {number}", Status=status)
    with vendor:
        print(f"Notion's stand-in: {vendor.url}, token {TOKEN}, data source {DATA_SOURCE}")
        vendor.wait()
