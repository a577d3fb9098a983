"""The parts of a mail: which of them are its text, which are attachments.

Bounded in depth and number, so that no mail can be built that is never read to its end; the standard library does the
reading. A message within a message is an attachment, and what it holds is its own affair.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.feedparser import BytesFeedParser
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any, Final

from sensors.connectors.email.headers import (
    STDLIB_FAULTS,
    Headers,
    bytes_text,
    clean,
    decoded,
    decoded_words,
)
from sensors.connectors.email.html_text import html_text

DEEPEST: Final = 30
MOST_PARTS: Final = 1000
MOST_HTML: Final = 1_000_000
_LONGEST_PARAMETERS: Final = 16_384
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
_HTML: Final = re.compile(r"<(html|body|!doctype html)\b", re.IGNORECASE)
_SNIFFED: Final = 20_000
_TEXTS: Final = frozenset({"text/plain", "text/html"})


class _TooMuch(Exception):
    """The mail is nested deeper, or has more parts, than is read."""


class _BoundedMessage(Message):
    """A message whose parameters are read only where that takes no quadratic time."""

    def _get_params_preserve(self, failobj: Any, header: str) -> Any:
        if len(str(self.get(header, ""))) > _LONGEST_PARAMETERS:
            return failobj
        return super()._get_params_preserve(failobj, header)  # pyright: ignore[reportAttributeAccessIssue]


class _BoundedParser(BytesFeedParser):
    """The standard library's parser, which stops at our bounds."""

    def __init__(self) -> None:
        super().__init__(_BoundedMessage)
        self._parts = 0

    def _new_message(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS or len(self._msgstack) > DEEPEST:  # pyright: ignore[reportAttributeAccessIssue]
            raise _TooMuch
        super()._new_message()  # pyright: ignore[reportAttributeAccessIssue]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is no text of the mail itself."""

    filename: str | None
    media_type: str
    inline: bool
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Hexadecimal, of the decoded content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that has been taken apart.

    Attributes:
        headers: Its fields.
        text: What it says, None if it says nothing.
        text_from: `plain` or `html`.
        attachments: The other parts, in their order.
        defects: What is wrong with it, as the standard library's names; `TooDeep` if only the headers could be read.
    """

    headers: Headers
    text: str | None
    text_from: str | None
    attachments: tuple[Attachment, ...]
    defects: tuple[str, ...]


def on_the_wire(raw: bytes) -> bytes:
    """A message with the line ends it has on the wire: a file of it may have others."""
    if raw.count(b"\n") == raw.count(b"\r\n"):
        return raw
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def take_apart(raw: bytes, *, whole: bool = True) -> Mail:
    """Read a message (RFC 5322); whatever it holds, something comes out.

    Args:
        raw: The message.
        whole: False: these are its headers only.
    """
    message, problem = _parsed(raw) if whole else (_headers_only(raw), None)
    headers = Headers(tuple((name.lower(), str(value)) for name, value in message.raw_items()))
    if problem is not None or not whole:
        return Mail(headers, None, None, (), (problem,) if problem else ())
    leaves = tuple(_leaves(message))
    texts = {leaf: _text(leaf) for leaf in leaves if _is_text(leaf)}
    text, text_from = _body(texts)
    attachments = tuple(_attachment(leaf) for leaf in leaves if leaf not in texts)
    defects = [type(defect).__name__ for part in (message, *leaves) for defect in part.defects]
    return Mail(headers, text, text_from, attachments, tuple(dict.fromkeys(defects)))


def _parsed(raw: bytes) -> tuple[Message, str | None]:
    parser = _BoundedParser()
    try:
        parser.feed(raw)
        return parser.close(), None
    except _TooMuch:
        return _headers_only(raw), "TooDeep"
    except STDLIB_FAULTS as error:
        return _headers_only(raw), type(error).__name__


def _headers_only(raw: bytes) -> Message:
    head = raw[: _end_of_headers(raw)]
    try:
        return BytesHeaderParser(_BoundedMessage).parsebytes(head)
    except STDLIB_FAULTS:
        return _BoundedMessage()


def _end_of_headers(raw: bytes) -> int:
    found = [end for end in (raw.find(b"\r\n\r\n"), raw.find(b"\n\n")) if end >= 0]
    return min(found) + 4 if found else len(raw)


def _leaves(message: Message) -> Iterator[Message]:
    """The parts that are not made of parts, in their order; a message within counts as one."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting.extend(reversed(_inner(part)))
        else:
            yield part


def _inner(part: Message) -> list[Message]:
    payload: Any = part.get_payload()
    return [inner for inner in payload if isinstance(inner, Message)]


def _is_text(part: Message) -> bool:
    if part.is_multipart() or _text_type(part) is None:
        return False
    return _disposition(part) != "attachment" and _filename(part) is None


def _text_type(part: Message) -> str | None:
    """What kind of text a part is; parts that promise a boundary which is not there are read as they stand."""
    found = part.get_content_type()
    if found in _TEXTS:
        return found
    if part.get_content_maintype() != "multipart":
        return None
    return "text/html" if _HTML.search(str(part.get_payload())[:_SNIFFED]) else "text/plain"


def _body(texts: dict[Message, str]) -> tuple[str | None, str | None]:
    """What the mail says: its plain text, or where that is blank its HTML."""
    for media_type, name in (("text/plain", "plain"), ("text/html", "html")):
        found = [text for part, text in texts.items() if _text_type(part) == media_type]
        whole = "\n".join(text for text in found if text.strip())
        if name == "html":
            whole = html_text(whole[:MOST_HTML])
        if whole.strip():
            return whole.replace("\r\n", "\n").strip(), name
    return None, None


def _text(part: Message) -> str:
    return clean(decoded(_content(part), _parameter(part, "charset")))


def _content(part: Message) -> bytes:
    """The decoded content of a part; one whose encoding is broken as it stands."""
    if part.is_multipart():
        return b"".join(_source(message) for message in _inner(part))
    try:
        payload: Any = part.get_payload(decode=True)
    except STDLIB_FAULTS:
        del part["content-transfer-encoding"]
        payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _source(message: Message) -> bytes:
    try:
        return message.as_bytes()
    except STDLIB_FAULTS:
        return b""


def _attachment(part: Message) -> Attachment:
    return Attachment(
        filename=_filename(part),
        media_type=_media_type(part),
        inline=_disposition(part) == "inline",
        content=_content(part),
    )


def _media_type(part: Message) -> str:
    try:
        found = part.get_content_type()
    except STDLIB_FAULTS:
        found = ""
    return found if _MEDIA_TYPE.fullmatch(found) else "application/octet-stream"


def _disposition(part: Message) -> str | None:
    try:
        return part.get_content_disposition()
    except STDLIB_FAULTS:
        return None


def _filename(part: Message) -> str | None:
    try:
        found = part.get_filename()
    except STDLIB_FAULTS:
        return None
    if not found:
        return None
    return decoded_words(bytes_text(str(found))).strip()[:255] or None


def _parameter(part: Message, name: str) -> str | None:
    try:
        found = part.get_param(name)
    except STDLIB_FAULTS:
        return None
    value = found[2] if isinstance(found, tuple) else found
    return value if isinstance(value, str) else None
