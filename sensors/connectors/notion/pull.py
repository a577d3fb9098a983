"""Notion polled: rows of data sources by time of edit, what the search finds, and what is no longer there.

Notion rounds times of edit down to the minute, so a cursor looks back two minutes and a digest of the content tells
what is new. A page that is gone is absent and nothing else: from time to time everything is looked over, and what is
missing is asked for by its id. In the trash it is deleted; not found it is unshared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from batuta.events.event import format_time, parse_time
from batuta.landing.model import Delivery
from sensors.connectors.notion import CHANGE
from sensors.connectors.notion.rest import Api, NotShown, Record, digest, limits, title_of, values_of
from sensors.connectors.pulling import Account, Item, Page, Permanent, Subscription, Tools, Window

__all__ = ["audit", "backfill", "limits", "poll"]

ROUNDING: Final = timedelta(minutes=2)
SEARCH_DELAY: Final = timedelta(minutes=10)
_STALE: Final = timedelta(hours=1)
"""A cursor of Notion's does not last for ever; a scan that was broken off for so long begins anew."""
SEARCH: Final = "search"
_BEGINNING: Final = datetime(2013, 1, 1, tzinfo=UTC)


def poll(account: Account, position: Any, tools: Tools) -> Iterator[Page]:
    """What was edited since, then, if it is time, what is gone."""
    pages = _Pages(account, tools)
    place: dict[str, Any] = {"edited": {}, "scan": None, "scanned_at": None} | (position or {})
    place["edited"] = dict(place["edited"])
    hidden: list[str] = []
    for source in pages.sources():
        since = place["edited"].get(source)
        start = parse_time(since) if since else _BEGINNING
        try:
            for records, reached in pages.edited(
                source, Window(start - pages.overlap(source), tools.clock())
            ):
                place["edited"][source] = format_time(max(start, reached))
                yield pages.changed(source, records, dict(place))
                if not tools.time_left():
                    return
        except NotShown:
            hidden.append(source)
    yield from _scan(pages, place, tools)
    if hidden:
        raise Permanent(
            f"Notion does not show the integration {', '.join(hidden)} of settings.dataSources",
            hint="Share it with the integration again, or take it out. Everything else was read.",
        )


def backfill(account: Account, window: Window, position: Any, tools: Tools) -> Iterator[Page]:
    """What was last edited within the window and is not known yet."""
    pages = _Pages(account, tools)
    place: dict[str, Any] = {"done": [], "at": None} | (position or {})
    for source in pages.sources():
        if source in place["done"]:
            continue
        start = parse_time(place["at"]) if place["at"] else window.start
        for records, reached in pages.edited(source, Window(start, window.end)):
            place["at"] = format_time(max(start, reached))
            yield pages.changed(source, records, dict(place))
            if not tools.time_left():
                return
        place["done"] = [*place["done"], source]
        place["at"] = None
        yield Page((), dict(place))


def audit(account: Account, tools: Tools) -> tuple[Subscription, ...]:  # noqa: ARG001 - nothing to ask Notion
    """Notion's webhooks can be neither listed nor made over its API: only whether we could verify one is known."""
    if account.public_url is None or account.secrets:
        return ()
    how = (
        "no verification token: run `batuta connectors window`, then add the address "
        f"{account.webhook_address()} to the integration's webhooks"
    )
    return (Subscription("webhook", "missing", how),)


def _scan(pages: _Pages, place: dict[str, Any], tools: Tools) -> Iterator[Page]:
    """Mark what is there, page by page, then ask for every known page that was not marked."""
    scan: dict[str, Any] | None = place["scan"]
    if scan is not None and parse_time(scan["mark"]) + _STALE < tools.clock():
        scan = None
    if scan is None:
        every = timedelta(minutes=pages.api.settings.scan_minutes)
        if place["scanned_at"] and parse_time(place["scanned_at"]) + every > tools.clock():
            return
        scan = {"mark": format_time(tools.clock()), "done": [], "cursor": None}
    for source in pages.sources():
        if source in scan["done"]:
            continue
        for records, cursor in pages.all(source, scan["cursor"]):
            scan = scan | {"cursor": cursor}
            yield Page((), place | {"scan": scan}, items=pages.marked(records, scan["mark"]))
            if not tools.time_left():
                return
        scan = scan | {"done": [*scan["done"], source], "cursor": None}
    for item in pages.unmarked(scan["mark"]):
        yield pages.looked_for(item, scan["mark"], place | {"scan": scan})
        if not tools.time_left():
            return
    yield Page((), place | {"scan": None, "scanned_at": scan["mark"]})


class _Pages:
    """The pages of one account, held against what is known of them."""

    def __init__(self, account: Account, tools: Tools) -> None:
        self.api = Api(account, tools)
        self._account = account
        self._tools = tools

    def sources(self) -> tuple[str, ...]:
        """Data sources, and the search where it is wanted."""
        settings = self.api.settings
        return (*settings.data_sources, *((SEARCH,) if settings.search else ()))

    def overlap(self, source: str) -> timedelta:
        return SEARCH_DELAY if source == SEARCH else ROUNDING

    def edited(self, source: str, window: Window) -> Iterator[tuple[list[Record], datetime]]:
        """Pages edited within a window, the earliest first, with the time reached."""
        if source == SEARCH:
            found: list[Record] = []
            for records, _ in self._search():
                found += [r for r in records if window.start <= _edited(r) < window.end + ROUNDING]
                if any(_edited(r) < window.start for r in records):
                    break
            found.sort(key=lambda r: (_edited(r), r["id"]))
            yield found, max(map(_edited, found), default=window.start)
            return
        after = {"last_edited_time": {"on_or_after": format_time(window.start)}}
        before = {"last_edited_time": {"before": format_time(window.end + ROUNDING)}}
        clauses = [{"timestamp": "last_edited_time", **clause} for clause in (after, before)]
        query = {
            "filter": {"and": clauses},
            "sorts": [{"timestamp": "last_edited_time", "direction": "ascending"}],
        }
        for records, _ in self.api.listed("POST", f"data_sources/{source}/query", query):
            if records:
                yield records, max(map(_edited, records))

    def all(self, source: str, cursor: str | None) -> Iterator[tuple[list[Record], str | None]]:
        """Every page there is, whatever its age; none of a data source that is not shown: its pages are looked for."""
        if source == SEARCH:
            yield from self._search(cursor)
            return
        with suppress(NotShown):
            yield from self.api.listed("POST", f"data_sources/{source}/query", {}, cursor)

    def _search(self, cursor: str | None = None) -> Iterator[tuple[list[Record], str | None]]:
        sort = {"direction": "descending", "timestamp": "last_edited_time"}
        kind = {"property": "object", "value": "page"}
        return self.api.listed("POST", "search", {"sort": sort, "filter": kind}, cursor)

    def changed(self, source: str, records: list[Record], position: Any) -> Page:
        """What of these pages is new to us, read whole."""
        known = self._tools.known.get([record["id"] for record in records])
        deliveries: list[Delivery] = []
        items: dict[str, Item] = {}
        for record in records:
            before = items.get(record["id"], known.get(record["id"]))
            change = self._change(source, record, before)
            if change is not None:
                delivery, items[record["id"]] = change
                deliveries.append(delivery)
        return Page(tuple(deliveries), position, tuple(items.values()))

    def _change(self, source: str, record: Record, before: Item | None) -> tuple[Delivery, Item] | None:
        state: Mapping[str, Any] = before.state if before else {}
        there = before is not None and not state.get("gone")
        if record.get("in_trash") or record.get("archived"):
            return self._gone(before, "deleted", record) if before is not None and there else None
        try:
            page = self.api.completed(record)
            read = self.api.content(record["id"])
        except NotShown:
            return None  # It has gone since it was listed; the next scan sees to it.
        properties = page.get("properties") or {}
        told = {
            "title": title_of(properties),
            "properties": values_of(properties),
            "text": read.text,
            "blocks": read.blocks,
            "cut": read.cut,
        }
        told["hash"] = digest(told)
        if there and state.get("hash") == told["hash"]:
            return None
        times = int(state.get("times", 0))
        about = {"change": "updated" if there else "created", "page": _about(source, page), "times": times}
        kept = {"hash": told["hash"], "page": about["page"], "times": times}
        item = Item(record["id"], kept, mark=before.mark if before else None)
        return self._delivery(about | told), item

    def marked(self, records: list[Record], mark: str) -> tuple[Item, ...]:
        """Known pages that are still there."""
        known = self._tools.known.get([record["id"] for record in records])
        return tuple(Item(item.id, item.state, item.parent, mark) for item in known.values())

    def unmarked(self, mark: str) -> list[Item]:
        """Known pages that the scan did not come across."""
        return [item for item in self._tools.known.all() if item.mark != mark and not item.state.get("gone")]

    def looked_for(self, item: Item, mark: str, position: Any) -> Page:
        """Ask for one page that the scan did not come across."""
        record = self.api.page(item.id)
        if record is not None and not (record.get("in_trash") or record.get("archived")):
            return Page((), position, (Item(item.id, item.state, item.parent, mark),))
        delivery, gone = self._gone(item, "unshared" if record is None else "deleted", record)
        return Page((delivery,), position, (gone,))

    def _gone(self, item: Item, change: str, record: Record | None) -> tuple[Delivery, Item]:
        """A page that is no more; a trace of it stays, so that its return is no repetition."""
        about = dict(item.state["page"])
        if record is not None:
            about |= {"last_edited_time": record.get("last_edited_time"), "in_trash": True}
        times = int(item.state.get("times", 0))
        delivery = self._delivery({"change": change, "page": about, "times": times})
        return delivery, Item(item.id, {"gone": change, "page": item.state["page"], "times": times + 1})

    def _delivery(self, document: Mapping[str, Any]) -> Delivery:
        return self._account.delivery(CHANGE, orjson.dumps(document), self._tools.clock())


def _about(source: str, page: Record) -> Record:
    parent = page.get("parent")
    parent = parent if isinstance(parent, dict) else {}
    named = parent.get("data_source_id") or (None if source == SEARCH else source)
    return {
        "id": page["id"],
        "data_source": named,
        "parent": parent.get(str(parent.get("type"))) if parent.get("type") != "workspace" else None,
        "created_time": page.get("created_time"),
        "last_edited_time": page.get("last_edited_time"),
        "created_by": _person(page.get("created_by")),
        "last_edited_by": _person(page.get("last_edited_by")),
        "in_trash": bool(page.get("in_trash")),
    }


def _person(user: Any) -> str | None:
    return str(user["id"]) if isinstance(user, dict) and user.get("id") else None


def _edited(record: Record) -> datetime:
    return parse_time(record["last_edited_time"])
