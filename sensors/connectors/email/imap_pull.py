"""Polling a mailbox over IMAP: what arrived, what is gone, whose flags changed, folder by folder.

The position says no more than which polling this is and how many pages it has given; what is known of the folders lies
sealed among the known items (`folders.Belief`). A folder that was deleted and made anew has another UIDVALIDITY: all
that was in it is gone, all that is in it has arrived, and content that was received before has changed its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from batuta.events.event import format_time
from batuta.landing.model import Delivery
from sensors.connectors.email import DELETED, FLAGS, change_body
from sensors.connectors.email.folders import FOLDERS, Belief, Seen, changed_flags, folder_id
from sensors.connectors.email.imap import Lost, Refused, Session
from sensors.connectors.email.imap_answers import Folder, Opened
from sensors.connectors.email.mailbox_reading import Batch, FolderReader, Line
from sensors.connectors.email.settings import ALL, EmailSettings
from sensors.connectors.email.signing_in import login_of
from sensors.connectors.email.uids import UidSet
from sensors.connectors.pulling import (
    Account,
    Forgotten,
    ItemChange,
    Page,
    Permanent,
    SourceFailed,
    Tools,
)

CHANGES_A_PAGE: Final = 500
SUMMARIES_AT_ONCE: Final = 500
TOO_LARGE: Final = "some mail is larger than maxMessageBytes: only its headers were read"


def connect(account: Account, settings: EmailSettings, tools: Tools) -> Session:
    """A session of the account, signed in."""
    return Session(settings, login_of(account, settings, tools.calls, tools.keep_secret), tools.clock())


def wanted_folders(settings: EmailSettings, there: Sequence[Folder]) -> tuple[Folder, ...]:
    """The folders that settings name, out of those there are."""
    if settings.folders == ALL:
        return tuple(there)
    names = {"INBOX" if name.upper() == "INBOX" else name for name in settings.folders}
    return tuple(folder for folder in there if folder.name in names)


def poll(account: Account, settings: EmailSettings, position: Any, tools: Tools) -> Iterator[Page]:
    """See `Puller.poll`."""
    with Line(lambda: connect(account, settings, tools)) as line:
        yield from _Poll(account, settings, tools, line, *_begun(position, tools)).pages()


def _begun(position: Any, tools: Tools) -> tuple[str, int]:
    if isinstance(position, dict) and isinstance(position.get("epoch"), str):
        return position["epoch"], int(position.get("step", 0))
    return format_time(tools.clock()), 0


@dataclass(slots=True)
class _Poll:
    """One poll of an account."""

    account: Account
    settings: EmailSettings
    tools: Tools
    line: Line
    epoch: str
    step: int
    _given: int = field(default=0, init=False)
    _missing: int = field(default=0, init=False)

    def pages(self) -> Iterator[Page]:
        """Every page up to the deadline; a poll that went through ends with one that carries the total.

        Raises:
            SourceFailed: some mails could not be had; all others have been given.
        """
        for page in self._all():
            yield page
            if self.tools.time_left() <= 0:
                return
        if self._given or self._missing:
            self.step += 1
            yield Page((), self._position(), total=self._given + self._missing)
        if self._missing:
            raise SourceFailed(
                f"{self.settings.host} did not give {self._missing} of the mails it has",
                hint="They are asked for again at every poll; what else came has landed.",
            )

    def _all(self) -> Iterator[Page]:
        there = self.line.session.folders()
        wanted = wanted_folders(self.settings, there)
        names = {folder.name for folder in there}
        beliefs = {item.state["name"]: Belief.of(item) for item in self.tools.known.children(FOLDERS)}
        known = {name: belief for name, belief in beliefs.items() if belief.epoch == self.epoch}
        if not wanted and not known:
            raise Permanent(
                f"none of the folders that settings name is at {self.settings.host}",
                hint="Correct settings.folders; folders: all reads every folder.",
            )
        for name in sorted(known.keys() - names):
            yield from self._vanish(known[name])
            self.step += 1
            yield Page((), self._position(), (Forgotten(folder_id(name)),))
        for folder in wanted:
            belief = known.get(folder.name) or Belief(folder.name, folder.role, self.epoch)
            yield from self._folder(folder, belief)

    def _folder(self, folder: Folder, belief: Belief) -> Iterator[Page]:
        try:
            opened = self.line.session.examine(folder.name)
        except Refused:
            return
        if belief.validity is not None and belief.validity != opened.validity:
            yield from self._vanish(belief)
            belief = Belief(folder.name, folder.role, self.epoch)
        fresh = belief.validity is None
        belief = replace(belief, validity=opened.validity, role=folder.role)
        seen = _held_against(self.line.session, self.settings, opened, belief, fresh=fresh)
        missing = self._missing
        for step in (self._arrive, self._change, self._go):
            for changed, page in step(folder, belief, seen):
                belief = changed
                yield page
        complete = replace(belief, modseq=opened.modseq if self._missing == missing else None)
        if complete.modseq != belief.modseq or fresh:
            yield self._page((), complete)

    def _arrive(self, folder: Folder, belief: Belief, seen: Seen) -> Iterator[tuple[Belief, Page]]:
        reader = self._reader(folder, belief)
        # Until the folder is through, the server must be asked for everything again.
        belief = replace(belief, modseq=None) if seen.arrived else belief
        for piece in seen.arrived.chunks(SUMMARIES_AT_ONCE):
            for batch in reader.batches(self.line.session.summaries(piece)):
                self._missing += len(reader.still_there(batch.missing))
                if batch.flags:
                    uids, flags = belief.uids | UidSet.of(batch.flags), belief.flags_with(batch.flags)
                    belief = replace(belief, uids=uids, flags=flags)
                    yield belief, self._page(batch.deliveries, belief, batch)
            if reader.given_up:
                raise Lost(f"{self.settings.host} breaks the connection off again and again")

    def _change(self, folder: Folder, belief: Belief, seen: Seen) -> Iterator[tuple[Belief, Page]]:
        for piece in UidSet.of(seen.changed).chunks(CHANGES_A_PAGE):
            found = {uid: seen.changed[uid] for uid in piece}
            deliveries = tuple(
                self._changed(belief, uid, flags, modseq, number)
                for number, (uid, (flags, modseq)) in enumerate(found.items(), belief.changes + 1)
            )
            belief = replace(
                belief,
                flags=belief.flags_with({uid: flags for uid, (flags, _) in found.items()}),
                changes=belief.changes + len(found),
            )
            yield belief, self._page(deliveries, belief)

    def _go(self, folder: Folder, belief: Belief, seen: Seen) -> Iterator[tuple[Belief, Page]]:
        for piece in (belief.uids & seen.gone).chunks(CHANGES_A_PAGE):
            deliveries = tuple(self._told(DELETED, belief, uid, ()) for uid in piece)
            belief = replace(belief, uids=belief.uids - piece, flags=belief.flags_without(piece))
            yield belief, self._page(deliveries, belief)

    def _vanish(self, belief: Belief) -> Iterator[Page]:
        """Everything that was in a folder is gone."""
        folder = Folder(belief.name, belief.role)
        for _, page in self._go(folder, belief, Seen(UidSet(), belief.uids, {})):
            yield page

    def _changed(
        self, belief: Belief, uid: int, flags: tuple[str, ...], modseq: int | None, number: int
    ) -> Delivery:
        again = f"m{modseq}" if modseq is not None else f"{self.epoch}.{number}"
        return self._told(FLAGS, belief, uid, flags, again)

    def _told(
        self, form: str, belief: Belief, uid: int, flags: tuple[str, ...], again: str | None = None
    ) -> Delivery:
        now = self.tools.clock()
        place = self._reader(Folder(belief.name, belief.role), belief).headers(uid, flags)
        return self.account.delivery(form, change_body(format_time(now), again), now, **place)

    def _reader(self, folder: Folder, belief: Belief) -> FolderReader:
        validity = belief.validity or 0
        return FolderReader(self.account, self.settings, self.tools, self.line, folder, validity)

    def _page(self, deliveries: tuple[Delivery, ...], belief: Belief, batch: Batch | None = None) -> Page:
        self.step += 1
        self._given += len(deliveries)
        items: tuple[ItemChange, ...] = (belief.item(), *(batch.items if batch is not None else ()))
        note = TOO_LARGE if batch is not None and batch.cut else None
        return Page(deliveries, self._position(), items, note=note)

    def _position(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "step": self.step}


def _held_against(
    session: Session, settings: EmailSettings, opened: Opened, belief: Belief, *, fresh: bool
) -> Seen:
    """What is different between the open folder and the belief.

    With CONDSTORE only what changed is asked for, and believed where the count of messages agrees; else everything is.
    """
    since = belief.modseq
    if since is not None and opened.modseq is not None:
        if since == opened.modseq and opened.count == len(belief.uids) and settings.since is None:
            return Seen(UidSet(), UidSet(), {})
        told = session.changes(since)
        live = (belief.uids - told.vanished) | UidSet.of(told.flags)
        if len(live) != opened.count:
            live = session.search("ALL")
        changed = {
            uid: (flags, modseq)
            for uid, (flags, modseq) in told.flags.items()
            if uid in belief.uids and flags != belief.flags_of(uid)
        }
    else:
        live = session.search("ALL")
        changed = {} if fresh else changed_flags(belief, live, session.flagged())
    arrived = live - belief.uids
    if settings.since is not None and arrived:
        arrived &= session.search(
            "SINCE", imap_day(datetime.combine(settings.since, datetime.min.time(), UTC))
        )
    return Seen(arrived, belief.uids - live, changed)


def imap_day(moment: datetime, days: int = 0) -> str:
    """A day as IMAP searches for it; months have English names whatever the machine speaks."""
    day = moment + timedelta(days=days)
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{day.day}-{months[day.month - 1]}-{day.year:04d}"


def audit_note(session: Session, settings: EmailSettings) -> tuple[str, str]:
    """(what the server can, which of the folders that settings name are not there)."""
    there = session.folders()
    able = "QRESYNC" if session.quick else "no QRESYNC: folders are compared whole"
    idle = "IDLE" if session.idles else "no IDLE: polls alone"
    found = len(wanted_folders(settings, there))
    lacking = 0 if settings.folders == ALL else len(set(settings.folders)) - found
    return (
        f"{able}; {idle}",
        f"{lacking} of the folders that settings name are not there" if lacking > 0 else "",
    )
