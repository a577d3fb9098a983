"""Answers of IMAP servers, read line by line: what a folder and a message are before they are opened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sensors.connectors.email.headers import moment
from sensors.connectors.email.message import flag_names
from sensors.connectors.email.uids import UidSet

_ROLES: Final = {
    "\\sent": "sent",
    "\\drafts": "drafts",
    "\\junk": "junk",
    "\\trash": "trash",
    "\\archive": "archive",
}
_UNSELECTABLE: Final = frozenset({"\\noselect", "\\nonexistent"})
_VIEWS: Final = frozenset({"\\all", "\\flagged", "\\important"})
_UID: Final = re.compile(rb"\bUID (\d+)")
_SIZE: Final = re.compile(rb"\bRFC822\.SIZE (\d+)")
_DATE: Final = re.compile(rb'\bINTERNALDATE "([^"]*)"')
_FLAGS: Final = re.compile(rb"\bFLAGS \(([^)]*)\)")
_MODSEQ: Final = re.compile(rb"\bMODSEQ \((\d+)\)")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that can be read."""

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A folder as EXAMINE found it; `modseq` is None where the server keeps none for it."""

    validity: int
    count: int
    modseq: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of a message before it is read."""

    uid: int
    size: int
    received_at: datetime | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since a modification sequence: flags and their own sequence by UID, and what vanished."""

    flags: Mapping[int, tuple[tuple[str, ...], int]]
    vanished: UidSet


def folder_of(name: str, flags: Sequence[str]) -> Folder | None:
    """A folder as LIST has it; None for one that cannot be opened, or is a view of others."""
    words = {flag.lower() for flag in flags}
    if words & _UNSELECTABLE or words & _VIEWS:
        return None
    if name.upper() == "INBOX":
        return Folder("INBOX", "inbox")
    return Folder(name, next((_ROLES[word] for word in sorted(words) if word in _ROLES), "other"))


def number_of(data: Any) -> int | None:
    """The last number of an answer that is nothing but numbers."""
    for item in reversed(data or ()):
        if isinstance(item, bytes) and item.strip().isdigit():
            return int(item)
    return None


def uid_of(line: Any) -> int | None:
    """The UID a line of FETCH names."""
    return _match(_UID, line) if isinstance(line, bytes) else None


def changes_of(lines: Iterable[bytes], vanished: Iterable[Any]) -> Changes:
    """What the lines of a FETCH with CHANGEDSINCE say, and those of VANISHED.

    Raises:
        ValueError: VANISHED names no set.
    """
    flags: dict[int, tuple[tuple[str, ...], int]] = {}
    for line in lines:
        uid, modseq = _match(_UID, line), _match(_MODSEQ, line)
        if uid is not None and modseq is not None:
            flags[uid] = (_flags(line), modseq)
    gone = UidSet()
    for line in vanished:
        if isinstance(line, bytes):
            gone |= UidSet.parse(line.decode("ascii", "replace").replace("(EARLIER)", "").strip())
    return Changes(flags, gone)


def summary_of(line: bytes) -> Summary | None:
    """What a line of FETCH says of a message; None where it is no such line."""
    uid, size = _match(_UID, line), _match(_SIZE, line)
    return None if uid is None or size is None else Summary(uid, size, _internal_date(line), _flags(line))


def _match(pattern: re.Pattern[bytes], line: bytes) -> int | None:
    match = pattern.search(line)
    return int(match[1]) if match is not None else None


def _flags(line: bytes) -> tuple[str, ...]:
    match = _FLAGS.search(line)
    return flag_names(match[1].decode("ascii", "replace").split()) if match is not None else ()


def _internal_date(line: bytes) -> datetime | None:
    """INTERNALDATE, as in `"02-Mar-2026 10:00:00 -0300"`."""
    match = _DATE.search(line)
    if match is None:
        return None
    return moment(match[1].decode("ascii", "replace").strip().replace("-", " ", 2))
