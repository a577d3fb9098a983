"""Reading foreign JSON and headers without surprises: wrong input is `Rejected` and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

import orjson

from batuta.events.event import Event, Extension, InvalidEvent, parse_time
from batuta.landing.model import Delivery, Rejected

JsonObject: TypeAlias = dict[str, Any]

_MAX_HEADER: Final = 255


def json_value(body: bytes) -> Any:
    """The JSON document in a body.

    Raises:
        Rejected: code `json`; says where, never what.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not body.strip():
            raise Rejected("json", "the body is empty; it must be a JSON document") from None
        where = f"line {error.lineno} column {error.colno}"
        raise Rejected("json", f"the body is not valid JSON in UTF-8 ({where})") from None


def json_object(body: bytes) -> JsonObject:
    """The JSON object in a body.

    Raises:
        Rejected: code `json` or `shape`.
    """
    document = json_value(body)
    if not isinstance(document, dict):
        raise Rejected("shape", "the body must be a JSON object")
    return document


def required_header(delivery: Delivery, name: str) -> str:
    """A header that must be there, without surrounding space, in printable ASCII.

    Raises:
        Rejected: code `headers`.
    """
    return checked_header(name, delivery.headers.get(name))


def checked_header(name: str, value: str | None) -> str:
    """The value of a header that must be there, without surrounding space, in printable ASCII.

    Raises:
        Rejected: code `headers`.
    """
    value = (value or "").strip()
    if not value:
        raise Rejected("headers", f"the header {name} is missing or empty", field=name)
    if len(value) > _MAX_HEADER or not (value.isascii() and value.isprintable()):
        raise Rejected(
            "headers",
            f"the header {name} must be at most {_MAX_HEADER} printable ASCII characters",
            field=name,
        )
    return value


def object_at(document: Mapping[str, Any], name: str) -> JsonObject:
    """A member that is an object; an empty one if it is missing or something else."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def text_at(document: Mapping[str, Any], name: str) -> str | None:
    """A member that is a non-empty text, else None."""
    value = document.get(name)
    return value if isinstance(value, str) and value else None


def number_at(document: Mapping[str, Any], name: str) -> int | None:
    """A member that is a whole number, else None."""
    value = document.get(name)
    return value if value.__class__ is int else None


def moment_at(document: Mapping[str, Any], *names: str) -> datetime | None:
    """The first of these members that is an RFC 3339 time, else None."""
    for name in names:
        value = document.get(name)
        if isinstance(value, str):
            try:
                return parse_time(value)
            except InvalidEvent:
                continue
    return None


def build(
    *,
    id: str,
    source: str,
    type: str,
    time: datetime | str,
    data: JsonObject,
    subject: str | None = None,
    extensions: Mapping[str, Extension] | None = None,
) -> Event:
    """`Event.create` on data that comes from a JSON parser, with its refusal as `Rejected`."""
    try:
        return Event.create(
            id=id,
            source=source,
            type=type,
            time=time,
            data=data,
            subject=subject,
            extensions=extensions,
            parsed=True,
        )
    except InvalidEvent as error:
        raise Rejected("event", error.message, field=error.field) from None
