"""A vault scanned: what is there held against what is known, and each difference told once.

The scan is the truth. Watchers lose events, give directories for the files in them, and cannot tell a deletion followed
by a creation from the other way round; so a watcher only says that it is time to scan.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

import orjson

from batuta.events.event import format_time
from batuta.landing.model import Delivery
from sensors.connectors.obsidian import CHANGE, Settings
from sensors.connectors.obsidian.export import is_ours
from sensors.connectors.obsidian.notes import MOST_FRONTMATTER, Note, Places, aliases_of, read_note
from sensors.connectors.obsidian.vault import NOTE, Content, Stat, Vault, media_type
from sensors.connectors.pulling import Account, Item, Page, Subscription, Tools, Window

PAGE: Final = 100


def poll(account: Account, position: Any, tools: Tools) -> Iterator[Page]:  # noqa: ARG001 - what is known says it all
    """Every difference between the vault and what is known of it."""
    yield from _Scan(account, tools).pages(None)


def backfill(account: Account, window: Window, position: Any, tools: Tools) -> Iterator[Page]:  # noqa: ARG001
    """Files that are not known yet and were last written within the window."""
    yield from _Scan(account, tools).pages(window)


def audit(account: Account, tools: Tools) -> tuple[Subscription, ...]:  # noqa: ARG001 - a folder sends nothing
    """Nothing: a vault has no push channel."""
    return ()


def watch(account: Account, stop: threading.Event, woken: Callable[[], None]) -> None:
    """Call `woken` whenever something in the vault changes, until `stop`."""
    from watchfiles import watch as watched

    settings = cast("Settings", account.settings)
    root = Vault(settings).root.resolve()

    def visible(_: Any, path: str) -> bool:
        return not any(part.startswith(".") for part in Path(os.path.relpath(path, root)).parts)

    for _ in watched(root, watch_filter=visible, stop_event=stop, force_polling=settings.force_polling):
        woken()


class _Scan:
    """One look at a vault."""

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account = account
        self._tools = tools
        self._vault = Vault(cast("Settings", account.settings))
        self._found = self._vault.files()
        self._known = {item.id: item for item in tools.known.all()}
        self._gone = {
            path
            for path, item in self._known.items()
            if not item.state.get("gone") and path not in self._found
        }
        self._name = account.name or self._vault.root.name or "vault"
        self._differing = sorted(path for path, stat in self._found.items() if self._differs(path, stat))
        self._places = Places(self._found, self._aliases()) if self._differing else Places((), {})

    def pages(self, window: Window | None) -> Iterator[Page]:
        """Differences in pages: what is there first, so that a rename is no deletion; then what is gone."""
        deliveries: list[Delivery] = []
        items: list[Item] = []
        for path in self._differing:
            if window is not None and not self._is_missing(path, window):
                continue
            content = self._vault.read(path)
            if content is None:
                continue
            found, changed = self._told(path, content)
            deliveries += found
            items += changed
            if len(items) >= PAGE:
                yield Page(tuple(deliveries), None, tuple(items))
                deliveries, items = [], []
                if not self._tools.time_left():
                    return
        if window is None:
            for path in sorted(self._gone):
                found, changed = self._deleted(path)
                deliveries += found
                items += changed
        for start in range(0, len(items), PAGE * 10):
            end = start + PAGE * 10
            yield Page(tuple(deliveries[start:end]), None, tuple(items[start:end]))

    def _aliases(self) -> dict[str, tuple[str, ...]]:
        """Other names of all notes, those that are about to be told of among them."""
        known = {path: tuple(item.state.get("aliases", ())) for path, item in self._known.items()}
        notes = (path for path in self._differing if path.lower().endswith(NOTE))
        return known | {p: aliases_of(self._vault.beginning(p, 2 * MOST_FRONTMATTER)) for p in notes}

    def _differs(self, path: str, stat: Stat) -> bool:
        item = self._known.get(path)
        return item is None or bool(item.state.get("gone")) or item.state.get("stat") != asdict(stat)

    def _is_missing(self, path: str, window: Window) -> bool:
        item = self._known.get(path)
        return not _is_told(item) and window.start <= self._found[path].modified_at < window.end

    def _told(self, path: str, content: Content) -> tuple[list[Delivery], list[Item]]:
        before = self._known.get(path)
        state: Mapping[str, Any] = before.state if before else {}
        there = _is_told(before)
        note = read_note(content.note) if content.note is not None else None
        revision = int(state.get("revision", 0))
        kept: dict[str, Any] = {
            "stat": asdict(content.stat),
            "hash": content.hash,
            "aliases": list(note.aliases) if note else [],
            "revision": revision,
        }
        if content.note is not None and is_ours(content.note):
            return [], [Item(path, kept | {"ours": True})]
        if there and state.get("hash") == content.hash:
            return [], [Item(path, kept)]
        origin = None if there else self._moved_from(content)
        earlier = int(self._known[origin].state.get("revision", 0)) if origin else 0
        kept["revision"] = 1 + max(revision, earlier)
        change = "updated" if there else "renamed" if origin else "created"
        told = self._delivery(change, path, kept, previous=origin, note=note)
        items = [Item(path, kept)]
        if origin is not None:
            self._gone.discard(origin)
            items.append(self._trace(origin))
        return [told], items

    def _moved_from(self, content: Content) -> str | None:
        """The file that is gone and had this very content; an empty one tells nothing."""
        if not content.stat.size:
            return None
        same = (path for path in sorted(self._gone) if self._known[path].state.get("hash") == content.hash)
        return next(same, None)

    def _deleted(self, path: str) -> tuple[list[Delivery], list[Item]]:
        state = dict(self._known[path].state)
        state["revision"] = int(state.get("revision", 0)) + 1
        return [self._delivery("deleted", path, state)], [self._trace(path)]

    def _trace(self, path: str) -> Item:
        """What stays of a file that is gone, so that its return is no repetition."""
        return Item(path, {"gone": True, "revision": int(self._known[path].state.get("revision", 0)) + 1})

    def _delivery(
        self,
        change: str,
        path: str,
        state: Mapping[str, Any],
        *,
        previous: str | None = None,
        note: Note | None = None,
    ) -> Delivery:
        now = self._tools.clock()
        stat = Stat(**state["stat"])
        document: dict[str, Any] = {
            "change": change,
            "path": f"{self._name}/{path}",
            "previousPath": f"{self._name}/{previous}" if previous else None,
            "hash": state["hash"],
            "size": stat.size,
            "mime": media_type(path),
            "modifiedAt": format_time(stat.modified_at),
            "at": format_time(now),
            "revision": state["revision"],
        }
        if note is not None:
            document["note"] = self._note(path, note)
        return self._account.delivery(CHANGE, orjson.dumps(document), now)

    def _note(self, path: str, note: Note) -> dict[str, Any]:
        listed: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for link in note.links:
            leads_to = self._places.resolve(link.target, path)
            listed[link.embed].append(
                {
                    "target": link.target or None,
                    "path": f"{self._name}/{leads_to}" if leads_to else None,
                    "heading": link.heading,
                    "block": link.block,
                    "alias": link.alias,
                }
            )
        return {
            "title": note.title or path.rpartition("/")[2].removesuffix(".md"),
            "text": note.text,
            "tags": list(note.tags),
            "aliases": list(note.aliases),
            "links": listed[False],
            "embeds": listed[True],
            "frontmatter": dict(note.frontmatter) or None,
            "frontmatter_error": note.frontmatter_error,
            "words": len(note.text.split()),
        }


def _is_told(item: Item | None) -> bool:
    """Whether the log has the file: it is known, neither gone nor a note of ours."""
    return item is not None and not item.state.get("gone") and not item.state.get("ours")
