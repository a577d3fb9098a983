"""A mail as data of `com.avila.email.received`: contract `avila.email`.

Display names are left out. Addresses, message ids and names of folders become keyed hashes at landing, the addresses
and numbers within subject, text and names of attachments too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from batuta.events.event import format_time
from sensors.connectors.email.headers import (
    Headers,
    addresses,
    authentication,
    domains,
    message_ids,
    moment,
    signing_domains,
    word,
)
from sensors.connectors.email.mime import Attachment, on_the_wire, take_apart

MOST_TEXT: Final = 100_000
MOST_ATTACHMENTS: Final = 200
FLAGS: Final = {
    "\\seen": "seen",
    "\\answered": "answered",
    "\\flagged": "flagged",
    "\\deleted": "deleted",
    "\\draft": "draft",
    "$forwarded": "forwarded",
    "$junk": "junk",
    "$notjunk": "not_junk",
    "$phishing": "phishing",
}
"""Flags that are kept, as IMAP writes them and as the contract calls them; other keywords are people's own words."""

_LISTED: Final = ("list-id", "list-post", "list-unsubscribe")
_BULK: Final = frozenset({"bulk", "list", "junk"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mail lies.

    Attributes:
        message: What it is known by there.
        folder: The folder's name, None for a file.
        role: inbox, sent, drafts, junk, trash, archive or other.
        flags: Names out of the values of `FLAGS`.
    """

    message: str
    folder: str | None = None
    role: str | None = None
    flags: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """The members every event of a mail has."""
        named = {"message": self.message, "flags": sorted(self.flags)}
        if self.folder is not None:
            named["folder"] = self.folder
        if self.role is not None:
            named["folder_role"] = self.role
        return named


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a mail.

    Attributes:
        data: The members of the event.
        sent_at: By its Date field.
        received_at: By its newest Received field.
        fields: How many header fields it has.
        digest: SHA-256 of the mail as it is on the wire, of its headers and size where only those were fetched.
    """

    data: dict[str, Any] = field(repr=False)
    sent_at: datetime | None
    received_at: datetime | None
    fields: int
    digest: str


def flag_names(flags: Sequence[str]) -> tuple[str, ...]:
    """The flags that are kept, out of those an IMAP server names; sorted."""
    return tuple(sorted({FLAGS[flag.lower()] for flag in flags if flag.lower() in FLAGS}))


def content_digest(raw: bytes, *, whole: bool = True, size: int | None = None) -> str:
    """What a mail is known by wherever it lies; `size` tells apart those of which only the headers are there."""
    wire = on_the_wire(raw)
    digest = hashlib.sha256(wire)
    if not whole:
        digest.update(f"\x00{size}".encode())
    return digest.hexdigest()


def read_message(
    raw: bytes,
    *,
    trusted: str | None = None,
    whole: bool = True,
    size: int | None = None,
    kept: bool = False,
) -> Read:
    """Read a mail (RFC 5322); never fails, whatever it holds.

    Args:
        raw: The message, or its headers.
        trusted: The authserv-id of the server whose Authentication-Results count.
        whole: Whether `raw` is all of it.
        size: Bytes by the server's account, where that is known.
        kept: Whether its attachments are kept by their hash.
    """
    wire = on_the_wire(raw)
    mail = take_apart(wire, whole=whole)
    headers = mail.headers
    sent_at = moment(headers.first("date"))
    digest = content_digest(wire, whole=whole, size=size)
    data: dict[str, Any] = _people(headers) | _marks(headers, trusted)
    data |= {
        "sent_at": format_time(sent_at) if sent_at is not None else None,
        "subject": headers.text("subject"),
        "text": mail.text[:MOST_TEXT] if mail.text is not None else None,
        "text_from": mail.text_from,
        "text_cut": mail.text is not None and len(mail.text) > MOST_TEXT,
        "attachments": [_listed(attachment, kept) for attachment in mail.attachments[:MOST_ATTACHMENTS]],
        "attachment_count": len(mail.attachments),
        "size": size if size is not None else len(wire),
        "sha256": digest if whole else None,
        "complete": whole and "TooDeep" not in mail.defects,
        "defects": list(mail.defects),
    }
    return Read(data, sent_at, _passed_on(headers), len(headers.fields), digest)


def attachments_of(raw: bytes) -> tuple[Attachment, ...]:
    """The attachments of a mail with their contents, as many as an event lists."""
    return take_apart(on_the_wire(raw)).attachments[:MOST_ATTACHMENTS]


def _people(headers: Headers) -> dict[str, Any]:
    senders = addresses(headers.all("from"))
    return {
        "from": senders,
        "from_domains": domains(senders),
        "sender": _one(headers, "sender"),
        "return_path": _one(headers, "return-path"),
        "reply_to": addresses(headers.all("reply-to")),
        "to": addresses(headers.all("to")),
        "cc": addresses(headers.all("cc")),
        "bcc": addresses(headers.all("bcc")),
        "message_id": _id(headers, "message-id"),
        "in_reply_to": message_ids(headers.first("in-reply-to")),
        "references": message_ids(headers.first("references")),
    }


def _marks(headers: Headers, trusted: str | None) -> dict[str, Any]:
    own, others = authentication(headers, trusted)
    precedence = word(headers.first("precedence"))
    automatic = word(headers.first("auto-submitted"))
    return {
        "mailing_list": precedence == "list" or any(headers.first(name) for name in _LISTED),
        "bulk": precedence in _BULK,
        "auto_submitted": automatic if automatic != "no" else None,
        "received_hops": len(headers.all("received")),
        "authentication": own,
        "untrusted_authentication": others,
        "dkim_domains": signing_domains(headers, "dkim-signature"),
        "arc_domains": signing_domains(headers, "arc-seal"),
    }


def _one(headers: Headers, name: str) -> str | None:
    found = addresses(headers.all(name)[:1])
    return found[0] if found else None


def _id(headers: Headers, name: str) -> str | None:
    found = message_ids(headers.first(name))
    return found[-1] if found else None


def _passed_on(headers: Headers) -> datetime | None:
    """When the last server took it, by its Received field: the time stands behind the last semicolon."""
    value = headers.first("received")
    return moment(value.rpartition(";")[2]) if value else None


def _listed(attachment: Attachment, kept: bool) -> Mapping[str, Any]:
    digest = attachment.sha256
    return {
        "filename": attachment.filename,
        "media_type": attachment.media_type,
        "size": len(attachment.content),
        "sha256": digest,
        "inline": attachment.inline,
        "blob": f"sha256:{digest}" if kept and attachment.content else None,
    }
