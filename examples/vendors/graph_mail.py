"""A mailbox as Microsoft Graph's delta shows it: folders, and in each the messages that came, changed or left.

Ids are immutable only for who asks for that with every request; for others a message is called differently in every
folder, as with Microsoft. Without HTTP: `examples.vendors.graph` serves it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from typing import Any, Final

Json = dict[str, Any]
START: Final = datetime(2025, 11, 12, 11, tzinfo=UTC)


@dataclass(slots=True)
class Message:
    """A message; `left` has the folders it was taken out of, and when; `placed` is when it came into its own."""

    id: str
    folder: str
    mime: bytes
    changed: int
    key: int = 1
    read: bool = False
    deleted: bool = False
    received: datetime = START
    left: dict[str, int] = field(default_factory=dict[str, int])
    placed: int = 0
    broken: tuple[int, str] | None = None
    """Status and code with which Graph refuses its MIME."""


@dataclass(slots=True)
class Folder:
    """A mail folder."""

    id: str
    name: str
    changed: int
    parent: str | None = None
    deleted: bool = False


class Lost(Exception):
    """The state a token stands for is not there any more: syncStateNotFound."""


@dataclass
class Mailbox:
    """One mailbox, to be changed by tests and by hand."""

    id: str = "ana@example.com"
    page_size: int = 50
    oldest: int = 0
    sparse: bool = False
    """What changed is listed with what has changed, and with little else."""
    folders: dict[str, Folder] = field(default_factory=dict[str, Folder])
    messages: dict[str, Message] = field(default_factory=dict[str, Message])

    def __post_init__(self) -> None:
        self._moments = itertools.count(1)
        self.now = 0
        for name in ("Inbox", "Archive", "SentItems"):
            self.make_folder(name)

    def make_folder(self, name: str, parent: str | None = None) -> str:
        """A folder; its id."""
        folder = Folder(f"folder-{name}", name, self._moment(), parent)
        self.folders[folder.id] = folder
        return folder.id

    def delete_folder(self, id: str) -> None:
        """Delete a folder with what it holds."""
        for message in [m for m in self.messages.values() if m.folder == id and not m.deleted]:
            self.delete(message.id)
        self.folders[id].deleted, self.folders[id].changed = True, self._moment()

    def receive(self, mime: bytes, folder: str = "folder-Inbox") -> str:
        """A message comes; its immutable id."""
        moment = self._moment()
        # Two ids that differ in nothing but the case of one letter, as they may with Microsoft.
        id = f"AAkALg{'Aa'[moment % 2]}x{moment // 2:04d}"
        received = START + timedelta(minutes=moment)
        self.messages[id] = Message(id, folder, mime, moment, received=received, placed=moment)
        return id

    def mark_read(self, id: str) -> None:
        """A message is read."""
        message = self.messages[id]
        message.read, message.key, message.changed = True, message.key + 1, self._moment()

    def move(self, id: str, folder: str) -> None:
        """A message is moved to another folder."""
        message, moment = self.messages[id], self._moment()
        message.left[message.folder] = moment
        message.left.pop(folder, None)
        message.folder, message.key = folder, message.key + 1
        message.changed = message.placed = moment

    def delete(self, id: str) -> None:
        """A message is deleted for good."""
        message, moment = self.messages[id], self._moment()
        message.left[message.folder] = moment
        message.deleted = True

    def lose_state(self) -> None:
        """Forget what tokens of before now stand for."""
        self.oldest = self.now + 1

    def folder_page(self, token: str | None, link: str) -> Json:
        """A page of the folders' delta.

        Raises:
            Lost: the token is too old.
        """
        kind, start, moment = self._read(token)
        listed = [
            (
                f.changed,
                {"id": f.id, "@removed": {"reason": "deleted"}}
                if f.deleted
                else {"id": f.id, "displayName": f.name, "parentFolderId": f.parent},
            )
            for f in self.folders.values()
            if f.changed > moment and (kind == "delta" or not f.deleted)
        ]
        return self._page(listed, kind, start, moment, link)

    def message_page(self, folder: str, token: str | None, link: str, *, immutable: bool) -> Json:
        """A page of one folder's delta; a message that left it is removed, whether it was moved or deleted.

        Raises:
            Lost: the token is too old.
        """
        kind, start, moment = self._read(token)
        known = moment if kind == "delta" else 0
        listed = [
            (
                m.changed,
                self.shown(m, immutable=immutable, sparse=self.sparse and m.placed <= known),
            )
            for m in self.messages.values()
            if m.folder == folder and not m.deleted and m.changed > moment
        ]
        listed += [
            (
                m.left[folder],
                {"id": self.called(m, folder, immutable=immutable), "@removed": {"reason": "deleted"}},
            )
            for m in self.messages.values()
            if kind == "delta" and m.left.get(folder, 0) > moment
        ]
        return self._page(listed, kind, start, moment, link)

    def received_between(self, folder: str, start: str, end: str, *, immutable: bool) -> Json:
        """The messages of a folder that were received within a window, on one page."""
        here = [m for m in self.messages.values() if m.folder == folder and not m.deleted]
        within = [m for m in here if start <= _time(m.received) < end]
        return {"value": [self.shown(m, immutable=immutable) for m in within]}

    def shown(self, message: Message, *, immutable: bool, sparse: bool = False) -> Json:
        """A message as Graph describes it; `sparse`: what was there before, by what has changed in it."""
        parsed = message_from_bytes(message.mime)
        whole = {
            "id": self.called(message, message.folder, immutable=immutable),
            "@odata.etag": f'W/"{message.key}"',
            "changeKey": f"CQ{message.key:04d}",
            "receivedDateTime": _time(message.received),
            "lastModifiedDateTime": _time(message.received + timedelta(seconds=message.key)),
            "isRead": message.read,
            "isDraft": False,
            "internetMessageId": parsed.get("Message-ID"),
            "parentFolderId": message.folder,
            "categories": [],
            "flag": {"flagStatus": "notFlagged"},
        }
        return {name: whole[name] for name in ("id", "@odata.etag", "isRead")} if sparse else whole

    def described(self, message: Message, names: Sequence[str], *, immutable: bool) -> Json:
        """A message alone; its header is given to who names it, and only then."""
        whole = self.shown(message, immutable=immutable)
        if "internetMessageHeaders" in names:
            parsed = message_from_bytes(message.mime)
            whole["internetMessageHeaders"] = [{"name": n, "value": str(v)} for n, v in parsed.items()]
        return whole

    def called(self, message: Message, folder: str, *, immutable: bool) -> str:
        """The id of a message in a folder."""
        return message.id if immutable else f"{message.id}-{folder}"

    def _read(self, token: str | None) -> tuple[str, int, int]:
        """Of a token: full or delta, when it was begun, and up to which moment it has been listed."""
        if token is None:
            return "full", self.now, 0
        kind, start, moment = token.split(".")
        if kind == "delta" and 0 < int(moment) < self.oldest:
            raise Lost
        return kind, int(start), int(moment)

    def _page(self, entries: list[tuple[int, Json]], kind: str, start: int, moment: int, link: str) -> Json:
        """The next entries by their moments; what changes while it is listed comes again after a full listing."""
        entries.sort(key=lambda entry: entry[0])
        listed = entries[: self.page_size]
        last = listed[-1][0] if listed else moment
        page: Json = {"value": [item for _, item in listed]}
        if len(entries) > self.page_size:
            return page | {"@odata.nextLink": f"{link}$skiptoken={kind}.{start}.{last}"}
        until = start if kind == "full" else last
        return page | {"@odata.deltaLink": f"{link}$deltatoken=delta.{until}.{until}"}

    def _moment(self) -> int:
        self.now = next(self._moments)
        return self.now


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
