"""E-mail, over IMAP or Microsoft Graph or from files: how a mail that was fetched becomes an event.

A mail is received once. Where the same content lies in several folders, or turns up under another number, that is an
update of its place; so a mail that is moved is one mail, and it is deleted where it was. Time is the server's, never
that of the Date field, which is missing or wrong in many mails. Protocol: RFC 9051, 5322, 2045 to 2047;
docs/connectors/email.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import quote

import orjson

from batuta.events.event import format_time
from batuta.landing.model import Candidate, Delivery, Parsed, Rejected
from sensors.connectors.email.graph_forms import GRAPH_FORMS
from sensors.connectors.email.message import Place, Read, read_message
from sensors.connectors.email.settings import CREDENTIALS as EMAIL_CREDENTIALS
from sensors.connectors.email.settings import EmailSettings
from sensors.connectors.graph import notifications
from sensors.connectors.protocol import Asked, Reply
from sensors.connectors.pulling import FORM
from sensors.connectors.reading import build, json_object, moment_at, text_at

NAME: Final = "email"
MEDIA_TYPES: Final = notifications.MEDIA_TYPES
REQUIRED_HEADERS: Final[tuple[str, ...]] = ()
PUSH: Final = True
BACKFILL: Final[Literal["window", "scan"]] = "window"
ACCEPTED: Final = notifications.ACCEPTED
SETTINGS: Final = EmailSettings
CREDENTIALS: Final[Mapping[str, str]] = EMAIL_CREDENTIALS

DATASET: Final = "messages"
MESSAGE: Final = "message"
PLACED: Final = "placed"
FLAGS: Final = "flags"
DELETED: Final = "deleted"
FILE: Final = "file"

_TYPE: Final = "com.avila.email."
_LONGEST: Final = 1500


def handshake(asked: Asked, credentials: Mapping[str, bytes]) -> Reply | None:  # noqa: ARG001
    """The answer to Graph's validation of the address."""
    return notifications.handshake(asked)


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:
    """Check the client state of every notification of Graph; IMAP servers send nothing.

    Raises:
        Unsigned, BadSignature, NoSecret: see `Connector.verify`.
    """
    notifications.verify(delivery, secrets)


def parse(delivery: Delivery) -> Parsed:
    """Read a mail, what became of one, or the notifications that wake the account.

    Raises:
        Rejected: it is none of these, or says not where the mail lies.
    """
    form = delivery.headers.get(FORM)
    if form is None:
        return notifications.parse(delivery, DATASET)
    read = _FORMS.get(form)
    if read is None:
        raise Rejected("headers", "is no form of this connector", field=FORM)
    return Parsed(candidates=(read(delivery),), dataset=DATASET)


def same_account(configured: str, named: str) -> bool:
    """Whether both name one mailbox; case does not count."""
    return configured.strip().lower() == named.strip().lower()


def entity_of(delivery: Delivery, digest: str) -> str:
    """What a mail is known by within its account, wherever it lies and however it came."""
    return f"{delivery.account or ''}:{digest}"


def _received(delivery: Delivery) -> Candidate:
    headers = delivery.headers
    place = _place(delivery)
    size = headers.get("size", "")
    read = read_message(
        delivery.body,
        trusted=headers.get("trusted"),
        whole=headers.get("whole") != "no",
        size=int(size) if size.isdecimal() else None,
        kept=headers.get("kept") == "yes",
    )
    moment = moment_at(headers, "internaldate")
    event = build(
        id=f"{place.message}:received",
        source=_source(delivery),
        type=f"{_TYPE}received",
        time=moment or delivery.received_at,
        subject=place.message,
        data=read.data | place.data() | {"received_at": format_time(moment) if moment else None},
        extensions=None if moment else {"timebasis": "received"},
    )
    return _candidate(delivery, event, read)


def _from_file(delivery: Delivery) -> Candidate:
    read = read_message(delivery.body, trusted=delivery.headers.get("trusted"))
    if not read.fields:
        raise Rejected("mime", "is no mail: it has not one header field")
    moment = read.received_at or read.sent_at
    place = Place(
        message=read.digest,
        folder=delivery.headers.get("folder"),
        flags=tuple(delivery.headers.get("flags", "").split()),
    )
    event = build(
        id=read.digest,
        source=f"file://mail/{_quoted(delivery.account)}" if delivery.account else "file://mail/",
        type=f"{_TYPE}received",
        time=moment or delivery.received_at,
        subject=read.digest,
        data=read.data | place.data() | {"received_at": format_time(moment) if moment else None},
        extensions=None if moment else {"timebasis": "received"},
    )
    return _candidate(delivery, event, read)


def _candidate(delivery: Delivery, event: Any, read: Read) -> Candidate:
    return Candidate(
        event=event,
        dataset=DATASET,
        connector=NAME,
        entity=entity_of(delivery, read.digest),
        version="received",
        hashed=frozenset({"source"}) if event.source.count("/") > 3 or delivery.account else frozenset(),
    )


def _changed(kind: str, change: str | None) -> Callable[[Delivery], Candidate]:
    """The reading of something that became of a mail: body `{"at", "again", "sha256"}`."""

    def read(delivery: Delivery) -> Candidate:
        document = json_object(delivery.body)
        place = _place(delivery)
        moment = moment_at(document, "at")
        again = text_at(document, "again")
        what = "deleted" if change is None else change
        members = {name: document[name] for name in ("sha256",) if name in document}
        event = build(
            id=f"{place.message}:{what}:{again}" if again else f"{place.message}:{what}",
            source=_source(delivery),
            type=_TYPE + kind,
            time=moment or delivery.received_at,
            subject=place.message,
            data=members | place.data() | ({"change": change} if change else {}),
            extensions={"timebasis": "received"},
        )
        return Candidate(event=event, dataset=DATASET, connector=NAME, hashed=frozenset({"source"}))

    return read


def _place(delivery: Delivery) -> Place:
    headers = delivery.headers
    validity, uid = headers.get("uidvalidity", ""), headers.get("uid", "")
    if not (validity.isascii() and validity.isdecimal() and uid.isascii() and uid.isdecimal()):
        raise Rejected("headers", "uidvalidity and uid must be whole numbers", field="uid")
    return Place(
        message=f"{validity}:{uid}",
        folder=headers.get("folder"),
        role=headers.get("role"),
        flags=tuple(headers.get("flags", "").split()),
    )


def _source(delivery: Delivery) -> str:
    """One source per folder of a mailbox; landing hashes what stands behind the host."""
    headers = delivery.headers
    host, user, folder = headers.get("host", ""), headers.get("user", ""), headers.get("folder", "")
    if not host or not user or not folder:
        raise Rejected("headers", "host, user and folder must be there", field="host")
    named = f"[{host}]" if ":" in host else host
    return f"imap://{named.lower()}/{_quoted(user)}/{_quoted(folder)}"


def _quoted(name: str) -> str:
    quoted = quote(name.encode("utf-8", "replace"), safe="")
    return quoted if len(quoted) <= _LONGEST else hashlib.sha256(quoted.encode()).hexdigest()


_FORMS: Final[Mapping[str, Callable[[Delivery], Candidate]]] = MappingProxyType(
    {
        MESSAGE: _received,
        FILE: _from_file,
        PLACED: _changed("updated", "place"),
        FLAGS: _changed("updated", "flags"),
        DELETED: _changed("deleted", None),
        **GRAPH_FORMS,
    }
)
"""How each form is read that a poll, a backfill or a file brings."""


def change_body(at: str, again: str | None = None, sha256: str | None = None) -> bytes:
    """The body of what became of a mail: when it was seen, which of several alike it is, what the mail holds."""
    members = {"at": at, "again": again, "sha256": sha256}
    return orjson.dumps({name: value for name, value in members.items() if value is not None})
