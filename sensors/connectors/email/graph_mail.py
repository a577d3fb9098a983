"""One mailbox at Microsoft Graph: how a mail is asked for, what is known of it, and what is handed over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from batuta.events.event import format_time
from batuta.landing.model import Delivery
from sensors.connectors.email.graph_forms import GRAPH_DELETED, GRAPH_FLAGS, GRAPH_MESSAGE, GRAPH_PLACED
from sensors.connectors.email.message import attachments_of
from sensors.connectors.email.settings import EmailSettings
from sensors.connectors.graph.client import Graph, document, error_code
from sensors.connectors.pulling import (
    Account,
    Item,
    OutOfTime,
    RateLimited,
    SourceFailed,
    Tools,
    Unauthorized,
)
from sensors.connectors.reading import JsonObject, object_at, text_at

PAGE: Final = 50
SELECTED: Final = "id,changeKey,isRead,isDraft,flag,receivedDateTime,lastModifiedDateTime,parentFolderId"
_HEADERS: Final = "internetMessageHeaders"
_NOT_GIVEN: Final = frozenset({400, 405, 409, 410, 413, 415, 422, 500, 501})
_BROKEN: Final = ("ErrorMimeContent", "ErrorItemCorrupt", "ErrorContentConversion", "ErrorCorruptData")
_PREFER: Final = ('IdType="ImmutableId"', f"odata.maxpagesize={PAGE}")


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as Graph lists it, and what is known of it.

    Attributes:
        events: How many events there have been of it.
        lives: How often it was deleted and came back.
        gone: It was deleted; remembered for its counts alone.
        mark: The full reading of its folder that saw it last.
    """

    id: str
    folder: str
    version: str = ""
    flags: tuple[str, ...] = ()
    received: str | None = None
    modified: str | None = None
    draft: bool = False
    events: int = 0
    lives: int = 0
    gone: bool = False
    mark: str | None = None

    @property
    def key(self) -> str:
        """Under which it lies among the known items; ids of Graph differ by case."""
        return key_of(self.id)

    def to_item(self) -> Item:
        """For the table of known items."""
        state: dict[str, Any] = {"id": self.id, "events": self.events, "lives": self.lives, "gone": self.gone}
        if not self.gone:
            state |= {"version": self.version, "flags": list(self.flags)}
        return Item(self.key, state, None if self.gone else self.folder, self.mark)


def key_of(id: str) -> str:
    """Under which a mail lies among the known items."""
    return f"mail:{id}"


def from_item(item: Item) -> Mail:
    """Out of the table of known items."""
    state = item.state
    return Mail(
        id=state["id"],
        folder=item.parent or "",
        version=state.get("version", ""),
        flags=tuple(state.get("flags", ())),
        events=state["events"],
        lives=state["lives"],
        gone=state["gone"],
        mark=item.mark,
    )


def read_mail(listed: JsonObject, folder: str) -> Mail | None:
    """A message of a list; None if it has no id, or is removed."""
    identity = text_at(listed, "id")
    if identity is None or "@removed" in listed:
        return None
    flags = {
        "seen": listed.get("isRead") is True,
        "flagged": object_at(listed, "flag").get("flagStatus") == "flagged",
    }
    return Mail(
        id=identity,
        folder=folder,
        version=text_at(listed, "changeKey") or text_at(listed, "@odata.etag") or "",
        flags=tuple(sorted(name for name, there in flags.items() if there)),
        received=text_at(listed, "receivedDateTime"),
        modified=text_at(listed, "lastModifiedDateTime"),
        draft=listed.get("isDraft") is True,
    )


def completed(listed: JsonObject, before: Mail | None) -> JsonObject:
    """A message of a list with what is known of it: an update may name only what has changed."""
    if before is None or before.gone or "@removed" in listed:
        return listed
    flagged = "flagged" if "flagged" in before.flags else "notFlagged"
    known: JsonObject = {"isRead": "seen" in before.flags, "flag": {"flagStatus": flagged}}
    if "@odata.etag" not in listed:
        known["changeKey"] = before.version
    return known | listed


class Mailbox:
    """The mailbox of an account."""

    def __init__(self, account: Account, settings: EmailSettings, tools: Tools) -> None:
        self.account = account
        self.settings = settings
        self.tools = tools
        self.graph = Graph(account, settings, tools, prefer=_PREFER)
        self.path = f"users/{quote(settings.user, safe='@')}" if settings.user else "me"

    def address(self, tail: str) -> str:
        """The address of a part of the mailbox."""
        return self.graph.address(f"{self.path}/{tail}")

    def messages_link(self, folder: str, what: str, filtered: str | None = None) -> str:
        """Where a folder's messages, or their delta, begin."""
        query = {"$select": SELECTED} | ({"$filter": filtered} if filtered else {})
        address = self.address(f"mailFolders/{quote(folder, safe='')}/{what}")
        return f"{address}?{urlencode(query, safe='$,', quote_via=quote)}"

    def delta_link(self, folder: str) -> str:
        """Where the delta of a folder begins."""
        since = self.settings.since
        start = format_time(datetime(since.year, since.month, since.day, tzinfo=UTC)) if since else None
        return self.messages_link(folder, "messages/delta", f"receivedDateTime ge {start}" if start else None)

    def received(self, mail: Mail, folder: str, role: str) -> Delivery | None:
        """A mail as it was sent; None if it has gone meanwhile. Of one that is too large only the headers."""
        raw, whole = self._raw(mail)
        if raw is None:
            return None
        kept = whole and self.settings.keep_attachments
        for attachment in attachments_of(raw) if kept else ():
            if attachment.content:
                self.tools.blobs.put(self.account.product, attachment.content, attachment.media_type)
        headers = self._headers(mail, folder, role)
        headers |= {"whole": "yes" if whole else "no", "kept": "yes" if kept else "no"}
        if mail.received is not None:
            headers["received"] = mail.received
        if self.settings.trusted_server is not None:
            headers["trusted"] = self.settings.trusted_server
        return self.account.delivery(GRAPH_MESSAGE, raw, self.tools.clock(), **headers)

    def changed(self, mail: Mail, form: str, folder: str, role: str, again: str | None) -> Delivery:
        """What became of a mail; when a deletion is seen is when it is dated."""
        now = self.tools.clock()
        seen = form == GRAPH_DELETED or mail.modified is None
        at = format_time(now) if seen else mail.modified
        body = orjson.dumps({"at": at, "seen": seen, "again": again})
        return self.account.delivery(form, body, now, **self._headers(mail, folder, role))

    def _headers(self, mail: Mail, folder: str, role: str) -> dict[str, str]:
        return {
            "user": self.settings.user or "me",
            "message": mail.id,
            "version": mail.version or "none",
            "folder": folder,
            "role": role,
            "flags": " ".join(mail.flags),
        }

    def _raw(self, mail: Mail) -> tuple[bytes | None, bool]:
        """The MIME of a mail, and whether it is all of it; its headers where Graph cannot make MIME of it."""
        url = self.address(f"messages/{quote(mail.id, safe='')}")
        try:
            return _up_to(self.graph.stream(f"{url}/$value"), self.settings.max_message_bytes)
        except (RateLimited, OutOfTime, Unauthorized):
            raise
        except SourceFailed:
            asked = self.graph.ask("GET", f"{url}?$select=id,{_HEADERS}", expect=(200, 404))
            if asked.status == 404:
                return None, False
            # Such a mail would hold up its folder for ever; what only fails just now is asked for again.
            if not self._never_given(url):
                raise
            return _headers_of(document(asked)), False

    def _never_given(self, url: str) -> bool:
        """Whether Graph says that it cannot give a mail, rather than that it cannot do so now."""
        limit = self.settings.max_message_bytes
        answer = self.graph.ask("GET", f"{url}/$value", expect=(200, *_NOT_GIVEN), max_bytes=limit)
        return answer.status in _NOT_GIVEN and (
            answer.status < 500 or any(word in error_code(answer) for word in _BROKEN)
        )


def _headers_of(message: JsonObject) -> bytes:
    """The header of a mail as Graph lists it, without line breaks within a field; empty where it has none."""
    listed = message.get(_HEADERS)
    fields = [field for field in listed if isinstance(field, dict)] if isinstance(listed, list) else []
    lines = [
        f"{text_at(field, 'name')}: {' '.join((text_at(field, 'value') or '').split())}" for field in fields
    ]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace")


def _up_to(chunks: Iterator[bytes], limit: int) -> tuple[bytes, bool]:
    """All of a message, or of one that is too large its headers."""
    raw = bytearray()
    for chunk in chunks:
        raw += chunk
        if len(raw) > limit:
            return bytes(raw).partition(b"\r\n\r\n")[0] + b"\r\n\r\n", False
    return bytes(raw), True


def changed_form(before: Mail, now: Mail) -> str | None:
    """What became of a mail that is known; None if nothing that counts."""
    if before.gone or before.folder != now.folder:
        return GRAPH_PLACED
    return GRAPH_FLAGS if before.flags != now.flags else None
