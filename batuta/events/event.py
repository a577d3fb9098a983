"""The event: a CloudEvents 1.0 event, built strictly.

Nothing is invented: an event without id or time is refused, never completed. Context attributes carry no
control characters, extension names and values are those of the specification, data is a JSON object without NaN.
The value is frozen; its data is a plain dict for speed and must not be changed by whoever holds it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from batuta.errors import BatutaError

Extension: TypeAlias = str | int | bool

SPEC_VERSION: Final = "1.0"
DIGEST_BYTES: Final = 16
NO_EXTENSIONS: Final[Mapping[str, Extension]] = MappingProxyType({})

_ATTRIBUTES: Final = frozenset(
    {
        "id",
        "source",
        "type",
        "time",
        "subject",
        "dataschema",
        "specversion",
        "datacontenttype",
        "data",
        "data_base64",
    }
)
# C0 and C1 controls, surrogates and noncharacters: what the specification keeps out of String attributes.
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# RFC 3986: characters of a URI-reference, percent signs only as escapes; no colon in a first segment but a scheme's.
_URI_CHARACTERS: Final = re.compile(
    r"(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*"
    r"(?:#(?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)?"
)
_SCHEME_OR_RELATIVE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:|[^:]*(?:[/?#]|$)")
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
# Digit by digit: a counted repeat takes twice as long, and every event has times.
_COMMON_TIME: Final = re.compile(
    "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
    r"(?:Z|[+-][0-9][0-9]:[0-9][0-9]|\.[0-9]+(?:Z|[+-][0-9][0-9]:[0-9][0-9]))"
).fullmatch
_EXTENSION_NAME: Final = re.compile(r"[a-z0-9]{1,20}")
_JSON_CONTENT: Final = re.compile(r"\s*(?:application|text)/(?:[\w.\-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_INT32: Final = range(-(2**31), 2**31)
_MAX_ATTRIBUTE: Final = 2048
_REMEMBERED_SOURCES: Final = 1024


class InvalidEvent(BatutaError):
    """An event that CloudEvents 1.0, or our stricter reading of it, does not allow; the value is not named."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class Event(NamedTuple):
    """One event. Build it with `create` or `from_json`; the bare constructor checks nothing.

    A named tuple, because one is made for every event: a frozen dataclass takes twice as long.
    """

    id: str
    source: str
    type: str
    time: datetime
    data: dict[str, Any]
    subject: str | None = None
    dataschema: str | None = None
    extensions: Mapping[str, Extension] = NO_EXTENSIONS

    @classmethod
    def create(
        cls,
        *,
        id: str,
        source: str,
        type: str,
        time: datetime | str,
        data: dict[str, Any],
        subject: str | None = None,
        dataschema: str | None = None,
        extensions: Mapping[str, Extension] | None = None,
        parsed: bool = False,
    ) -> Event:
        """Check every attribute and build the event.

        Args:
            id: What, together with `source`, is unique for ever.
            source: A URI-reference.
            type: The type, as in `batuta.events.types`.
            time: When it happened: an aware datetime or an RFC 3339 text.
            data: A JSON object.
            subject: What it is about, within the source.
            dataschema: A URI, if the producer names one.
            extensions: Names of [a-z0-9], at most 20 long; values text, 32-bit integers or booleans.
            parsed: `data` comes out of a JSON parser, which lets no NaN through: spare the walk.

        Raises:
            InvalidEvent: with the attribute's name.
        """
        _check_text("id", id)
        _check_text("type", type)
        _check_uri("source", source)
        if subject is not None:
            _check_text("subject", subject)
        if dataschema is not None:
            _check_uri("dataschema", dataschema)
            if ":" not in dataschema:
                raise InvalidEvent("dataschema", "must be an absolute URI")
        if data.__class__ is not dict:
            raise InvalidEvent("data", "must be a JSON object")
        if not parsed:
            _check_json("data", data)
        moment = parse_time(time) if isinstance(time, str) else _utc(time)
        checked = _check_extensions(extensions) if extensions else NO_EXTENSIONS
        return cls(id, source, type, moment, data, subject, dataschema, checked)

    @classmethod
    def from_json(cls, document: Any, *, parsed: bool = True) -> Event:
        """Read the structured JSON form, as a parser gave it.

        Raises:
            InvalidEvent: an attribute is missing or wrong, or the data is not a JSON object.
        """
        if not isinstance(document, dict):
            raise InvalidEvent("event", "must be a JSON object")
        if document.get("specversion") != SPEC_VERSION:
            raise InvalidEvent("specversion", 'must be "1.0"')
        content = document.get("datacontenttype")
        if content is not None and not (isinstance(content, str) and _JSON_CONTENT.fullmatch(content)):
            raise InvalidEvent("datacontenttype", "must be a JSON media type such as application/json")
        if document.get("data_base64") is not None:
            raise InvalidEvent("data_base64", "binary data is not accepted: send a JSON object as data")
        for name in ("id", "source", "type", "time", "data"):
            if document.get(name) is None:
                raise InvalidEvent(name, "is required")
        extensions = {
            name: value for name, value in document.items() if name not in _ATTRIBUTES and value is not None
        }
        return cls.create(
            id=document["id"],
            source=document["source"],
            type=document["type"],
            time=document["time"],
            data=document["data"],
            subject=document.get("subject"),
            dataschema=document.get("dataschema"),
            extensions=extensions,
            parsed=parsed,
        )

    def to_json(self) -> dict[str, Any]:
        """The structured JSON form."""
        document: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": format_time(self.time),
            "datacontenttype": "application/json",
        }
        if self.subject is not None:
            document["subject"] = self.subject
        if self.dataschema is not None:
            document["dataschema"] = self.dataschema
        return document | dict(self.extensions) | {"data": self.data}


def parse_time(text: object) -> datetime:
    """RFC 3339 to an aware UTC datetime; digits beyond the microsecond are cut, a leap second is the next one.

    Raises:
        InvalidEvent: field `time`.
    """
    if not isinstance(text, str):
        raise InvalidEvent("time", "must be a text")
    if _COMMON_TIME(text):
        try:
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise InvalidEvent(
            "time", "must be an RFC 3339 date and time with an offset, such as 2025-11-12T11:00:00Z"
        )
    return _parse_odd_time(match)


def _parse_odd_time(match: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second = (int(match[n]) for n in range(1, 7))
    offset_hours, offset_minutes = int(match[9] or 0), int(match[10] or 0)
    try:
        if offset_hours > 23 or offset_minutes > 59:
            raise InvalidEvent("time", "has no offset that exists")
        offset = timedelta(hours=offset_hours, minutes=offset_minutes) * (-1 if match[8] == "-" else 1)
        leap = second == 60 and minute == 59
        moment = datetime(
            year,
            month,
            day,
            hour,
            minute,
            59 if leap else second,
            0 if leap else int((match[7] or "0").ljust(6, "0")[:6]),
            tzinfo=timezone(offset),
        ).astimezone(UTC)
        return moment + timedelta(seconds=1) if leap else moment
    except (ValueError, OverflowError):
        raise InvalidEvent("time", "is no date and time that exists") from None


def event_key(product: str, source: str, id: str) -> bytes:
    """What an event is known by in the warehouse: (product, source, id) lands once, ever."""
    return short_digest(product, source, id)


def short_digest(*parts: str) -> bytes:
    """Sixteen bytes that stand for these texts in this order; none of them may contain NUL."""
    return hashlib.blake2b("\x00".join(parts).encode(), digest_size=DIGEST_BYTES).digest()


def begin_digest(*parts: str) -> hashlib.blake2b:
    """A `short_digest` whose first parts are known; a copy of it is to be fed the others, joined by NUL."""
    return hashlib.blake2b("".join(f"{part}\x00" for part in parts).encode(), digest_size=DIGEST_BYTES)


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC, with as many digits as the moment has."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    # As `isoformat` writes it, in half the time; every version of an entity is such a text.
    return orjson.dumps(utc, option=orjson.OPT_UTC_Z)[1:-1].decode()


def _utc(moment: datetime) -> datetime:
    if not isinstance(moment, datetime):
        raise InvalidEvent("time", "must be a date and time")
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise InvalidEvent("time", "must have a time zone")
    return moment.astimezone(UTC)


def _check_text(field: str, value: Any) -> None:
    if value.__class__ is not str:
        raise InvalidEvent(field, "must be a text")
    if not value:
        raise InvalidEvent(field, "must not be empty")
    if len(value) > _MAX_ATTRIBUTE:
        raise InvalidEvent(field, f"must not be longer than {_MAX_ATTRIBUTE} characters")
    if not value.isprintable() and _FORBIDDEN.search(value):
        raise InvalidEvent(field, "must not contain control characters")


def _check_uri(field: str, value: Any) -> None:
    if value.__class__ is str and _is_uri_reference(value):
        return
    _check_text(field, value)
    raise InvalidEvent(field, "must be a URI-reference (RFC 3986)")


# Sources are few and come again with every event.
@lru_cache(maxsize=_REMEMBERED_SOURCES)
def _is_uri_reference(text: str) -> bool:
    return bool(
        0 < len(text) <= _MAX_ATTRIBUTE
        and _URI_CHARACTERS.fullmatch(text)
        and _SCHEME_OR_RELATIVE.match(text)
    )


def _check_extensions(extensions: Mapping[str, Extension]) -> Mapping[str, Extension]:
    for name, value in extensions.items():
        if not isinstance(name, str) or not _EXTENSION_NAME.fullmatch(name):
            raise InvalidEvent("extensions", "names must be 1 to 20 of a-z and 0-9")
        if name in _ATTRIBUTES:
            raise InvalidEvent(name, "is an attribute of the event, not an extension")
        if value.__class__ is str:
            _check_text(name, value)
        elif value.__class__ is int:
            if value not in _INT32:
                raise InvalidEvent(name, "must be a 32-bit integer")
        elif value.__class__ is not bool:
            raise InvalidEvent(name, "must be a text, an integer or a boolean")
    return MappingProxyType(dict(extensions))


def _check_json(path: str, value: object) -> None:
    """Refuse what JSON cannot say; the walk keeps its own stack, so depth costs no recursion."""
    stack: list[tuple[str, object]] = [(path, value)]
    while stack:
        where, item = stack.pop()
        if item is None or isinstance(item, str | bool | int):
            continue
        if isinstance(item, float):
            if not math.isfinite(item):
                raise InvalidEvent(where, "must be a finite number")
        elif isinstance(item, dict):
            for name, inner in item.items():
                if not isinstance(name, str):
                    raise InvalidEvent(where, "must have texts as names")
                stack.append((f"{where}.{name}", inner))
        elif isinstance(item, list | tuple):
            stack.extend((f"{where}[]", inner) for inner in item)
        else:
            raise InvalidEvent(where, f"cannot be written as JSON ({item.__class__.__name__})")
