"""Captured deliveries in files: JSON lines of `{"headers": {...}, "body": "raw text"}`, or CloudEvents JSON lines.

`body` is the text that was signed, byte for byte; `body_base64` carries bytes that are no UTF-8. A body given as an
object has lost the bytes that were signed and is only read where the caller trusts the file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final

import orjson

from batuta.landing.model import Delivery

# A captured body is escaped or encoded; this is what the largest one may grow to.
GROWTH: Final = 6
_HEADER_ROOM: Final = 65_536


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no captured delivery: which, and why."""

    number: int
    message: str


@dataclass(frozen=True, slots=True)
class CaptureForm:
    """How the lines of a file are to be read."""

    product: str
    connector: str
    account: str | None
    events: bool
    trusted: bool
    max_body_bytes: int


def read_captures(
    file: BinaryIO, form: CaptureForm, received_at: datetime
) -> Iterator[tuple[int, Delivery | BadLine]]:
    """Read a file line by line; yields the bytes a line took, with what it holds. Blank lines are skipped."""
    longest = form.max_body_bytes * GROWTH + _HEADER_ROOM
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        size = len(line)
        if size > longest:
            while line and not line.endswith(b"\n"):
                line = file.readline(longest + 1)
                size += len(line)
            yield (
                size,
                BadLine(number, f"is longer than the largest body allows ({form.max_body_bytes} bytes)"),
            )
            continue
        text = line.strip()
        if number == 1:
            text = text.removeprefix(b"\xef\xbb\xbf")
        if not text:
            continue
        if form.events:
            yield size, Delivery(form.product, form.connector, form.account, {}, text, received_at)
        else:
            yield size, _captured(text, number, form, received_at)


def _captured(line: bytes, number: int, form: CaptureForm, received_at: datetime) -> Delivery | BadLine:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return BadLine(number, f"is not valid JSON (column {error.colno})")
    if not isinstance(document, dict):
        return BadLine(number, 'must be an object, as {"headers": {...}, "body": "..."}')
    headers = document.get("headers")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        return BadLine(number, "headers must be an object of texts")
    body = _body(document, trusted=form.trusted)
    if isinstance(body, str):
        return BadLine(number, body)
    if len(body) > form.max_body_bytes:
        return BadLine(number, f"the body is larger than {form.max_body_bytes} bytes")
    lowered = {name.lower(): value for name, value in headers.items()}
    return Delivery(form.product, form.connector, form.account, lowered, body, received_at)


def _body(document: dict[str, Any], *, trusted: bool) -> bytes | str:
    """The body's bytes, or what is wrong with it."""
    if ("body" in document) == ("body_base64" in document):
        return "needs a body or a body_base64, and not both"
    if "body_base64" in document:
        try:
            return base64.b64decode(document["body_base64"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            return "body_base64 must be base64"
    body = document["body"]
    if isinstance(body, str):
        return body.encode()
    if not isinstance(body, dict):
        return "body must be the raw text"
    if not trusted:
        return (
            "the body is an object, so its signature cannot be checked; pass --trusted for files of your own"
        )
    return orjson.dumps(body)
