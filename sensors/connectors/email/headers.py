"""Header fields of a mail, read as they come: broken words, unknown charsets, bytes where there should be none.

Nothing here raises for what a mail holds. Texts that come out hold neither NUL nor half a surrogate pair.
"""

from __future__ import annotations

import codecs
import re
from binascii import Error as BadBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any, Final

STDLIB_FAULTS: Final = (
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    RecursionError,
    BadBase64,
    HeaderParseError,
)
"""What the standard library's mail code is known to raise for mails that are merely broken."""

MOST_ADDRESSES: Final = 500
MOST_REFERENCES: Final = 100
_MOST_HEADER: Final = 65_536
_MOST_LISTED: Final = 10
# Text encodings of Python's own, some of which take quadratic time; no mail is written in them.
_NO_CHARSETS: Final = frozenset(
    {
        "idna",
        "punycode",
        "undefined",
        "unicode_escape",
        "raw_unicode_escape",
        "unicode-escape",
        "raw-unicode-escape",
    }
)
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
_FOLD: Final = re.compile(r"\r?\n(?=[ \t])|[\r\n]+")
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]+")
_ADDRESS: Final = re.compile(r"[^\s<>,;:\"()\[\]\\]{1,64}@[^\s<>,;:\"()\[\]\\@]{1,255}")
_ID: Final = re.compile(r"<([^<>\s]{1,998})>")
_COMMENT: Final = re.compile(r"\([^()]{0,2000}\)")
_RESULT: Final = re.compile(r"(?:^|;)\s*(spf|dkim|dmarc|arc|compauth)\s*=\s*([a-z]{2,20})\b", re.IGNORECASE)
_DOMAIN: Final = re.compile(r"(?:^|;)\s*d\s*=\s*([A-Za-z0-9_.-]{1,253})\s*(?=;|$)")
_SERVER: Final = re.compile(r"\s*([A-Za-z0-9._-]{1,253})(?:\s+[0-9]+)?\s*(?=;|$)")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z-]{0,39}")


@dataclass(frozen=True, slots=True)
class Headers:
    """The header fields of a mail, in their order, repeated ones kept; names are lower case."""

    fields: Sequence[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        """Every field of a name, unfolded, bytes beyond ASCII read as UTF-8 or else Windows-1252; not decoded."""
        return [unfolded(value) for found, value in self.fields if found == name]

    def first(self, name: str) -> str | None:
        """The first field of a name; where one is repeated that must not be, it is the one that programs show."""
        return next((unfolded(value) for found, value in self.fields if found == name), None)

    def text(self, name: str) -> str | None:
        """The first field of a name with its encoded words decoded (RFC 2047)."""
        value = self.first(name)
        return None if value is None else decoded_words(value)


def unfolded(value: str) -> str:
    """A field as one line; what the parser kept as surrogates becomes text."""
    return bytes_text(_FOLD.sub("", value[:_MOST_HEADER]))


def bytes_text(value: str) -> str:
    """A text in which bytes may stand as surrogates, as text that can be written."""
    if value.isascii():
        return value.replace("\x00", "")
    return clean(decoded(value.encode("utf-8", "surrogateescape" if _escaped(value) else "replace"), "utf-8"))


def _escaped(value: str) -> bool:
    return all(not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" for c in value)


def clean(text: str) -> str:
    """A text without NUL and without halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def decoded(content: bytes, charset: str | None) -> str:
    """Text of bytes in a charset that may be wrong, unknown or none: then UTF-8, then Windows-1252."""
    declared = _codec(charset) if charset else None
    for codec in (declared, "utf-8"):
        if codec is not None:
            try:
                return content.decode(codec)
            except STDLIB_FAULTS:
                continue
    if declared is not None and declared not in ("ascii", "utf-8"):
        try:
            return content.decode(declared, "replace")
        except STDLIB_FAULTS:
            pass
    damaged = content.decode("utf-8", "replace")
    # A few bad bytes are damage; where most that is not ASCII is bad, it was never UTF-8.
    bad = damaged.count(_REPLACED)
    if bad * 3 < sum(not c.isascii() for c in damaged):
        return damaged
    return content.decode("cp1252", "replace")


def _codec(charset: str) -> str | None:
    try:
        name = codecs.lookup(charset.strip().strip("\"'")).name
    except STDLIB_FAULTS:
        return None
    return None if name in _NO_CHARSETS else name


def decoded_words(value: str) -> str:
    """A field with its encoded words decoded; words that are broken stay as they are."""
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
    except STDLIB_FAULTS:
        return value
    words = [piece if isinstance(piece, str) else decoded(piece, charset) for piece, charset in pieces]
    return clean("".join(words))


def addresses(values: Sequence[str]) -> list[str]:
    """The addresses in address fields, without display names; each once, in order."""
    text = ", ".join(values)[:_MOST_HEADER]
    try:
        pairs = [address for _, address in getaddresses([text])]
    except STDLIB_FAULTS:
        pairs = []
    found = [address for address in map(_address, pairs) if address is not None]
    if not found:
        found = [match[0] for match in _ADDRESS.finditer(text)]
    return list(dict.fromkeys(found))[:MOST_ADDRESSES]


def _address(text: str) -> str | None:
    match = _ADDRESS.search(text)
    return match[0] if match is not None else None


def domains(found: Sequence[str]) -> list[str]:
    """The domains of addresses, lower case, each once."""
    names = (address.rpartition("@")[2].strip(".").lower() for address in found)
    return list(dict.fromkeys(name for name in names if name))


def message_ids(value: str | None) -> list[str]:
    """The message ids in a field, without their angle brackets; of a field without any, its words."""
    if not value:
        return []
    bracketed = [match[1] for match in _ID.finditer(value)]
    found = bracketed or [word.strip("<>") for word in value.split() if "@" in word]
    return list(dict.fromkeys(found))[-MOST_REFERENCES:]


def moment(value: str | None) -> datetime | None:
    """The time in a date field, UTC; None where there is none that exists."""
    if not value:
        return None
    try:
        found = parsedate_to_datetime(_CONTROLS.sub(" ", value))
        aware = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (*STDLIB_FAULTS, IndexError):
        return None


def word(value: str | None) -> str | None:
    """The first word of a field, lower case."""
    match = _WORD.match(value.strip()) if value else None
    return match[0].lower() if match is not None else None


def authentication(
    headers: Headers, trusted: str | None
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Results of SPF, DKIM, DMARC and ARC: those of the server one trusts, and what others claim.

    Anybody can write such a field into a mail; only the one's own server has put there, which takes out false ones
    of its name (RFC 8601, 5), is worth anything.

    Args:
        headers: Of the mail.
        trusted: The authserv-id of one's own server, None: nobody is trusted.
    """
    own: dict[str, Any] | None = None
    others: list[dict[str, Any]] = []
    for value in headers.all("authentication-results"):
        server, results = _results(value)
        if not results:
            continue
        if trusted is not None and server == trusted.strip().lower():
            own = {"server": server, **results, **_said(own)}
        elif len(others) < _MOST_LISTED:
            others.append({"server": server, **results})
    return own, others


def _said(own: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What a field further up has said already: the uppermost was written last."""
    return own or {}


def _results(value: str) -> tuple[str | None, dict[str, str]]:
    text = value[:8192]
    for _ in range(3):
        text = _COMMENT.sub(" ", text)
    server = _SERVER.match(text)
    results: dict[str, str] = {}
    for match in _RESULT.finditer(text):
        results.setdefault(match[1].lower(), match[2].lower())
    return (server[1].lower() if server is not None else None), results


def signing_domains(headers: Headers, name: str) -> list[str]:
    """The `d=` of signature fields, lower case, each once."""
    found = (_DOMAIN.search(value[:8192]) for value in headers.all(name))
    return list(dict.fromkeys(match[1].lower() for match in found if match is not None))[:_MOST_LISTED]
