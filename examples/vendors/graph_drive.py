"""A drive as Microsoft Graph's delta shows it: its latest state, page by page, with the gaps that are documented.

A business drive leaves out the cTag of what was made or changed, and name and cTag of what was deleted; what lies in
a renamed folder is not listed, and what lay in a deleted one may be or not. Without HTTP: `examples.vendors.graph`
serves it.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Json = dict[str, Any]
ROOT: Final = "root-id"
START: Final = datetime(2025, 11, 12, 11, tzinfo=UTC)


@dataclass(slots=True)
class Entry:
    """One item; `made`, `changed` and `placed` (where it lies now) say when, in moments of the drive's history."""

    id: str
    parent: str | None
    name: str
    made: int
    changed: int
    folder: bool = False
    content: bytes = b""
    version: int = 1
    deleted: bool = False
    modified: datetime = START
    placed: int = 0


class Expired(Exception):
    """The token is too old: 410."""


@dataclass
class Drive:
    """One drive, to be changed by tests and by hand."""

    id: str = "b!made-up-drive"
    business: bool = True
    page_size: int = 200
    lists_children_of_deleted: bool = False
    reversed_pages: bool = False
    repeats: bool = False
    """Every page begins with the last item of the page before."""
    circular: bool = False
    """Links to a next page lead to the page they stand on."""
    oldest: int = 0
    """Tokens from before this moment of its history are expired."""
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])

    def __post_init__(self) -> None:
        self._moments = itertools.count(1)
        self._ids = itertools.count(1)
        self.now = 0
        self._add(Entry(ROOT, None, "root", *self._moment(), folder=True))

    def make_folder(self, name: str, parent: str = ROOT) -> str:
        """A folder; its id."""
        return self._add(Entry(self._id(), parent, name, *self._moment(), folder=True))

    def write(self, name: str, content: bytes, parent: str = ROOT) -> str:
        """A file; its id."""
        return self._add(Entry(self._id(), parent, name, *self._moment(), content=content))

    def edit(self, id: str, content: bytes) -> None:
        """Give a file another content."""
        self.entries[id].content = content
        self._change(id)

    def touch(self, id: str) -> None:
        """Open a file in a browser: another eTag, the same content."""
        self._change(id)

    def move(self, id: str, *, name: str | None = None, parent: str | None = None) -> None:
        """Rename or move an item; of a folder, only the folder itself is listed as changed."""
        entry = self.entries[id]
        entry.name, entry.parent = name or entry.name, parent or entry.parent
        self._change(id)
        entry.placed = entry.changed

    def delete(self, id: str) -> None:
        """Delete an item, and what lies in it: that is listed where it came there after the token that asks."""
        for below in [entry for entry in self.entries.values() if entry.parent == id and not entry.deleted]:
            self.delete(below.id)
            if not self.lists_children_of_deleted:
                below.changed = below.placed or below.made
        self.entries[id].deleted = True
        self._change(id)

    def restore(self, id: str) -> None:
        """Bring a deleted item back out of the bin, its eTag as it was before."""
        entry = self.entries[id]
        entry.deleted = False
        entry.version -= 1
        entry.changed = entry.placed = self._moment()[0]

    def expire_tokens(self) -> None:
        """Forget what tokens of before now stand for."""
        self.oldest = self.now + 1

    def files(self) -> dict[str, tuple[str, bytes]]:
        """(path below the root, content) of every file there is, by id."""
        return {
            entry.id: (self.path(entry.id), entry.content)
            for entry in self.entries.values()
            if not entry.folder and not entry.deleted
        }

    def path(self, id: str) -> str:
        """The path of an item, from below the root."""
        entry = self.entries[id]
        if entry.parent in (None, ROOT):
            return entry.name
        return f"{self.path(entry.parent)}/{entry.name}"

    def page(self, token: str | None, link: str) -> Json:
        """A page of the delta; `link` is the address of the delta, up to its token.

        Raises:
            Expired: the token is too old.
        """
        kind, moment, offset = _read_token(token) if token else ("full", self.now, 0)
        if token and kind == "delta" and moment < self.oldest:
            raise Expired
        if kind == "full":
            entries = [e for e in sorted(self.entries.values(), key=lambda e: e.made) if e.made <= moment]
            end = offset + self.page_size
            listed, more = [e for e in entries[offset:end] if not e.deleted], end < len(entries)
            following = f"full.{moment}.{end}" if more else f"delta.{moment}.0"
        else:
            entries = sorted(
                (e for e in self.entries.values() if e.changed > moment), key=lambda e: e.changed
            )
            listed, more = entries[: self.page_size], len(entries) > self.page_size
            following = f"delta.{listed[-1].changed if listed else moment}.0"
        items = [self._item(entry) for entry in listed]
        if self.reversed_pages:
            items.reverse()
        if self.repeats and items:
            items.insert(0, items[-1])
        if self.circular and more:
            following = token or f"full.{moment}.0"
        return {"value": items, "@odata.nextLink" if more else "@odata.deltaLink": f"{link}{following}"}

    def item(self, id: str) -> Json | None:
        """One item, as it is given outside of delta: with the path of its folder."""
        entry = self.entries.get(id)
        if entry is None or entry.deleted:
            return None
        item = self._item(entry)
        if entry.parent is not None:
            above = "" if entry.parent == ROOT else f"/{self.path(entry.parent)}"
            item["parentReference"]["path"] = f"/drives/{self.id}/root:{above}"
        return item

    def _item(self, entry: Entry) -> Json:
        item: Json = {
            "id": entry.id,
            "eTag": f'"{{{entry.id}}},{entry.version}"',
            "parentReference": {"driveId": self.id, "driveType": "business" if self.business else "personal"},
            "createdDateTime": _time(START),
            "lastModifiedDateTime": _time(entry.modified),
            "size": len(entry.content),
        }
        if entry.parent is not None:
            item["parentReference"]["id"] = entry.parent
        else:
            item["root"] = {}
        if entry.folder:
            item["folder"] = {"childCount": sum(e.parent == entry.id for e in self.entries.values())}
        else:
            item["file"] = {"mimeType": "application/octet-stream", "hashes": self._hashes(entry.content)}
        if entry.deleted:
            item["deleted"] = {"state": "deleted"}
            del item["lastModifiedDateTime"], item["createdDateTime"]
            return item if self.business else {**item, "name": entry.name}
        return {**item, "name": entry.name} | ({} if self.business else {"cTag": f"c{entry.version}"})

    def _hashes(self, content: bytes) -> Json:
        if self.business:
            return {
                "quickXorHash": base64.b64encode(
                    hashlib.sha1(content, usedforsecurity=False).digest()
                ).decode()
            }
        return {"sha256Hash": hashlib.sha256(content).hexdigest().upper()}

    def _add(self, entry: Entry) -> str:
        entry.modified = START + timedelta(seconds=entry.made)
        self.entries[entry.id] = entry
        return entry.id

    def _id(self) -> str:
        return f"01ITEM{next(self._ids):04d}"

    def _moment(self) -> tuple[int, int]:
        self.now = next(self._moments)
        return self.now, self.now

    def _change(self, id: str) -> None:
        entry = self.entries[id]
        entry.changed = self._moment()[0]
        entry.version += 1
        entry.modified = START + timedelta(seconds=entry.changed)


def _read_token(token: str) -> tuple[str, int, int]:
    kind, moment, offset = token.split(".")
    return kind, int(moment), int(offset)


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
