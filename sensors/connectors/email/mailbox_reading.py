"""Mails of an opened folder as deliveries, a page's worth at a time; what cannot be had now is left for later.

A connection that breaks in the middle of a mail is made anew a few times, then mail by mail, so that one that always
breaks it holds nobody else up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from batuta.events.event import format_time
from batuta.landing.model import Delivery
from sensors.connectors.email import MESSAGE, PLACED, change_body
from sensors.connectors.email.folders import content_id
from sensors.connectors.email.imap import Lost, Refused, Session
from sensors.connectors.email.imap_answers import Folder, Summary
from sensors.connectors.email.message import attachments_of, content_digest
from sensors.connectors.email.settings import EmailSettings
from sensors.connectors.email.uids import EMPTY, UidSet
from sensors.connectors.pulling import Account, Item, SourceFailed, Tools

PAGE_MESSAGES: Final = 100
PAGE_BYTES: Final = 4 * 1024 * 1024
RECONNECTIONS: Final = 5


class Line:
    """A session of an account that is made anew when it breaks, and opens its folder again."""

    def __init__(self, connect: Callable[[], Session]) -> None:
        """`connect` makes a session that is signed in."""
        self._connect = connect
        self._session: Session | None = None
        self._left = RECONNECTIONS

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    @property
    def session(self) -> Session:
        """The session, connected when it is first needed."""
        if self._session is None:
            self._session = self._connect()
        return self._session

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def again(self, folder: str, validity: int) -> bool:
        """Connect anew and open the folder; False when that was tried often enough or the folder is another now."""
        self.hang_up()
        if self._left == 0:
            return False
        self._left -= 1
        return self.session.examine(folder).validity == validity


@dataclass(frozen=True, slots=True)
class Batch:
    """Mails that were read together.

    Attributes:
        deliveries: One for each.
        items: Where their contents were received first.
        flags: Their flags by UID.
        missing: Those that were asked for and not given.
        cut: How many were too large and came without their bodies.
    """

    deliveries: tuple[Delivery, ...]
    items: tuple[Item, ...]
    flags: dict[int, tuple[str, ...]]
    missing: UidSet = EMPTY
    cut: int = 0


@dataclass(slots=True)
class FolderReader:
    """Reads mails of one folder under one UIDVALIDITY."""

    account: Account
    settings: EmailSettings
    tools: Tools
    line: Line
    folder: Folder
    validity: int
    given_up: bool = field(default=False, init=False)

    def batches(self, summaries: Sequence[Summary]) -> Iterator[Batch]:
        """These mails, in batches of bounded size."""
        for group in _groups(summaries, self.settings.max_message_bytes):
            if self.given_up:
                yield Batch((), (), {}, UidSet.of(summary.uid for summary in group))
            else:
                yield self._batch(group)

    def headers(self, uid: int, flags: Sequence[str] = ()) -> dict[str, str]:
        """What says where a mail lies."""
        return {
            "host": self.settings.host,
            "user": self.settings.user,
            "folder": self.folder.name,
            "role": self.folder.role,
            "uidvalidity": str(self.validity),
            "uid": str(uid),
            "flags": " ".join(flags),
        }

    def still_there(self, missing: UidSet) -> UidSet:
        """Those that the server has and did not give; what it has expunged meanwhile is nobody's loss."""
        if not missing or self.given_up:
            return missing
        return missing & self.line.session.search("UID", str(missing))

    def _batch(self, group: Sequence[Summary]) -> Batch:
        whole = group[0].size <= self.settings.max_message_bytes
        bodies = self._bodies(UidSet.of(summary.uid for summary in group), whole=whole)
        there = [summary for summary in group if summary.uid in bodies]
        digests = {s.uid: content_digest(bodies[s.uid], whole=whole, size=s.size) for s in there}
        known = self.tools.known.get([content_id(digest) for digest in digests.values()])
        homes = {id: item.state["at"] for id, item in known.items()}
        deliveries: list[Delivery] = []
        items: list[Item] = []
        for summary in there:
            id, here = (
                content_id(digests[summary.uid]),
                f"{self.folder.name}\x00{self.validity}:{summary.uid}",
            )
            if homes.setdefault(id, here) == here:
                deliveries.append(self._message(summary, bodies[summary.uid], whole=whole))
                items.append(Item(id=id, state={"at": here}))
            else:
                deliveries.append(self._placed(summary, digests[summary.uid]))
        return Batch(
            tuple(deliveries),
            tuple(items),
            {summary.uid: summary.flags for summary in there},
            UidSet.of(summary.uid for summary in group if summary.uid not in bodies),
            0 if whole else len(there),
        )

    def _message(self, summary: Summary, raw: bytes, *, whole: bool) -> Delivery:
        kept = whole and self.settings.keep_attachments
        if kept:
            self._keep_attachments(raw)
        headers = self.headers(summary.uid, summary.flags) | {"size": str(summary.size)}
        if summary.received_at is not None:
            headers["internaldate"] = format_time(summary.received_at)
        if self.settings.trusted_server is not None:
            headers["trusted"] = self.settings.trusted_server
        headers |= {"whole": "yes" if whole else "no", "kept": "yes" if kept else "no"}
        return self.account.delivery(MESSAGE, raw, self.tools.clock(), **headers)

    def _placed(self, summary: Summary, digest: str) -> Delivery:
        now = self.tools.clock()
        body = change_body(format_time(now), sha256=digest)
        return self.account.delivery(PLACED, body, now, **self.headers(summary.uid, summary.flags))

    def _keep_attachments(self, raw: bytes) -> None:
        for attachment in attachments_of(raw):
            if attachment.content:
                self.tools.blobs.put(self.account.product, attachment.content, attachment.media_type)

    def _bodies(self, uids: UidSet, *, whole: bool) -> dict[int, bytes]:
        try:
            return self.line.session.bodies(uids, whole=whole)
        except (Lost, Refused) as error:
            if isinstance(error, Lost) and not self._again():
                return {}
        found: dict[int, bytes] = {}
        for uid in uids:
            found |= self._one(UidSet.of((uid,)), whole=whole)
            if self.given_up:
                break
        return found

    def _one(self, uid: UidSet, *, whole: bool) -> dict[int, bytes]:
        """One mail, asked for twice: the second time breaks it off, it is this mail that does it."""
        for _ in range(2):
            try:
                return self.line.session.bodies(uid, whole=whole)
            except Refused:
                break
            except Lost:
                if not self._again():
                    break
        return {}

    def _again(self) -> bool:
        try:
            connected = self.line.again(self.folder.name, self.validity)
        except SourceFailed:
            connected = False
        self.given_up = not connected
        return connected


def _groups(summaries: Sequence[Summary], largest: int) -> Iterator[list[Summary]]:
    """Mails that are fetched together: few enough, small enough, and either all whole or all without their bodies."""
    group: list[Summary] = []
    weight = 0
    for summary in summaries:
        whole = summary.size <= largest
        size = summary.size if whole else 0
        if group and (
            len(group) >= PAGE_MESSAGES or weight + size > PAGE_BYTES or whole != (group[0].size <= largest)
        ):
            yield group
            group, weight = [], 0
        group.append(summary)
        weight += size
    if group:
        yield group
