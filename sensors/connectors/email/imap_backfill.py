"""What a mailbox has of a window, by the time the server received it; resumable, folder by folder.

IMAP searches by day and without zones, so the search is wider than the window and what it finds is held against it.
How far it has come lies sealed among the known items, for folders have names that tell of people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from batuta.events.event import format_time
from sensors.connectors.email.imap import Lost, Refused
from sensors.connectors.email.imap_answers import Folder, Opened, Summary
from sensors.connectors.email.imap_pull import (
    SUMMARIES_AT_ONCE,
    TOO_LARGE,
    connect,
    imap_day,
    wanted_folders,
)
from sensors.connectors.email.mailbox_reading import FolderReader, Line
from sensors.connectors.email.settings import EmailSettings
from sensors.connectors.email.uids import UidSet
from sensors.connectors.pulling import Account, Forgotten, Item, Page, SourceFailed, Tools, Window

_WIDER_DAYS: Final = 2


def backfill(
    account: Account, settings: EmailSettings, window: Window, position: Any, tools: Tools
) -> Iterator[Page]:
    """See `Puller.backfill`."""
    with Line(lambda: connect(account, settings, tools)) as line:
        yield from _Backfill(account, settings, window, tools, line, position).pages()


@dataclass(slots=True)
class _Backfill:
    """One stretch of a window."""

    account: Account
    settings: EmailSettings
    window: Window
    tools: Tools
    line: Line
    position: Any
    _read: dict[str, list[Any]] = field(default_factory=dict[str, Any], init=False)
    """By folder: its UIDVALIDITY, and the last UID that has been read."""
    _step: int = field(default=0, init=False)
    _given: int = field(default=0, init=False)
    _missing: int = field(default=0, init=False)

    def pages(self) -> Iterator[Page]:
        """Every page up to the deadline; the last one of the window carries the total."""
        self._recall()
        for folder in wanted_folders(self.settings, self.line.session.folders()):
            for page in self._folder(folder):
                yield page
                if self.tools.time_left() <= 0:
                    return
        if self._missing:
            raise SourceFailed(
                f"{self.settings.host} did not give {self._missing} of the mails it has",
                hint="Run the backfill again; what else came has landed.",
            )
        self._step += 1
        yield Page((), {"step": self._step}, (Forgotten(self._id),), total=self._given)

    @property
    def _id(self) -> str:
        return f"backfill:{format_time(self.window.start)}:{format_time(self.window.end)}"

    def _recall(self) -> None:
        if not isinstance(self.position, dict):
            return
        self._step = int(self.position.get("step", 0))
        item = self.tools.known.get([self._id]).get(self._id)
        if item is not None:
            self._read = {name: list(far) for name, far in item.state["read"].items()}
            self._given = item.state["given"]

    def _folder(self, folder: Folder) -> Iterator[Page]:
        try:
            opened = self.line.session.examine(folder.name)
        except Refused:
            return
        reader = FolderReader(self.account, self.settings, self.tools, self.line, folder, opened.validity)
        skipped = False
        for piece in self._candidates(folder, opened).chunks(SUMMARIES_AT_ONCE):
            inside = [summary for summary in self.line.session.summaries(piece) if self._inside(summary)]
            for batch in reader.batches(inside):
                missing = reader.still_there(batch.missing)
                self._missing += len(missing)
                skipped = skipped or bool(missing)
                if batch.flags:
                    self._given += len(batch.deliveries)
                    if not skipped:
                        self._read[folder.name] = [opened.validity, max(batch.flags)]
                    self._step += 1
                    state = {"read": self._read, "given": self._given}
                    items = (*batch.items, Item(id=self._id, state=state))
                    note = TOO_LARGE if batch.cut else None
                    yield Page(batch.deliveries, {"step": self._step}, items, note=note)
            if reader.given_up:
                raise Lost(f"{self.settings.host} breaks the connection off again and again")

    def _candidates(self, folder: Folder, opened: Opened) -> UidSet:
        found = self.line.session.search(
            *("SINCE", imap_day(self.window.start, -_WIDER_DAYS)),
            *("BEFORE", imap_day(self.window.end, _WIDER_DAYS)),
        )
        validity, last = self._read.get(folder.name, (opened.validity, 0))
        return UidSet(((last + 1, 2**32 - 1),)) & found if validity == opened.validity else found

    def _inside(self, summary: Summary) -> bool:
        at = summary.received_at
        return at is not None and self.window.start <= at < self.window.end
