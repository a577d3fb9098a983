"""Mail in files: one message (`.eml`), mbox, Maildir, and folders of any of these, for `batuta ingest email`.

One message is held in memory at a time. Names of files tell of people and go no further.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from batuta.landing.capture import BadLine
from batuta.landing.model import Delivery
from sensors.connectors.email import FILE
from sensors.connectors.pulling import Account

LARGEST: Final = 100 * 1024 * 1024
_SUFFIXES: Final = frozenset({".eml", ".mbox", ".mbx"})
_MAILDIR: Final = ("cur", "new")
_FLAGS: Final = {
    "S": "seen",
    "R": "answered",
    "F": "flagged",
    "D": "draft",
    "T": "deleted",
    "P": "forwarded",
}
_OUTLOOK: Final = bytes.fromhex("d0cf11e0a1b11ae1")
_MBOX: Final = b"From "
# Between messages: a time of day and a year, which a sentence that begins with From has not.
_SEPARATOR: Final = re.compile(rb"From .*\b[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?\b.*\b[0-9]{4}\b")
_QUOTED: Final = re.compile(rb">+From ")


def read(path: Path, account: Account, received_at: datetime) -> Iterator[Delivery | BadLine]:
    """The mails in a file, a Maildir, or all files below a folder; see `MessageFiles.read`."""
    if not path.is_dir():
        yield from _file(path, account, received_at)
        return
    found = False
    for file, headers in _below(path):
        found = True
        yield from _file(file, account, received_at, **headers)
    if not found:
        yield BadLine(0, "holds no mail: no Maildir (cur, new), no .eml, no .mbox")


def read_stream(
    file: BinaryIO, account: Account, received_at: datetime, **headers: str
) -> Iterator[Delivery | BadLine]:
    """The mail, or the mbox, that comes in; see `MessageFiles.read_stream`."""
    trusted = getattr(account.settings, "trusted_server", None)
    if trusted is not None:
        headers["trusted"] = trusted
    for number, raw in _messages(file):
        if raw is None:
            yield BadLine(number, f"a mail is larger than {LARGEST} bytes")
        elif raw.startswith(_OUTLOOK):
            yield BadLine(number, "is an Outlook file (.msg); export the mail as .eml")
        elif not raw.strip():
            yield BadLine(number, "is empty, so it is no mail")
        else:
            yield account.delivery(FILE, raw, received_at, **headers)


def _below(root: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Every file of mail below a folder, with what its place says; in the same order every time."""
    for name, folders, files in os.walk(root):
        here = Path(name)
        maildir = all(part in folders for part in _MAILDIR)
        folders[:] = sorted(set(folders) - ({*_MAILDIR, "tmp"} if maildir else set()))
        if maildir:
            folder = "INBOX" if here == root else here.name.lstrip(".")
            for part in _MAILDIR:
                for file in sorted(entry for entry in (here / part).iterdir() if entry.is_file()):
                    yield file, {"folder": folder, "flags": _maildir_flags(file.name)}
        else:
            for file in sorted(files):
                if Path(file).suffix.lower() in _SUFFIXES:
                    yield here / file, {}


def _maildir_flags(name: str) -> str:
    _, _, letters = name.rpartition(":2,")
    return (
        " ".join(sorted({_FLAGS[letter] for letter in letters if letter in _FLAGS})) if ":2," in name else ""
    )


def _file(
    path: Path, account: Account, received_at: datetime, **headers: str
) -> Iterator[Delivery | BadLine]:
    try:
        with path.open("rb") as file:
            yield from read_stream(file, account, received_at, **headers)
    except OSError as error:
        yield BadLine(0, f"a file cannot be read: {error.strerror}")


def _messages(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The messages of a file with the numbers of their first lines; None for one that is too large."""
    first = file.readline(LARGEST)
    if not first.startswith(_MBOX):
        rest = file.read(LARGEST + 1)
        yield 1, (first + rest if len(first) + len(rest) <= LARGEST else None)
        return
    yield from _mbox(file)


def _mbox(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The messages behind the first separator."""
    lines: list[bytes] = []
    number, size, blank, start = 1, 0, False, 2
    while line := file.readline(LARGEST):
        number += 1
        if blank and line.startswith(_MBOX) and _SEPARATOR.match(line):
            yield start, _joined(lines, size)
            lines, size, blank, start = [], 0, False, number + 1
            continue
        blank = not line.strip(b"\r\n")
        size += len(line)
        if size <= LARGEST:
            lines.append(line[1:] if _QUOTED.match(line) else line)
        else:
            lines.clear()
    yield start, _joined(lines, size)


def _joined(lines: list[bytes], size: int) -> bytes | None:
    """A message without the blank line that mbox puts behind it."""
    if size > LARGEST:
        return None
    if len(lines) > 1 and not lines[-1].strip(b"\r\n"):
        lines.pop()
    return b"".join(lines)
