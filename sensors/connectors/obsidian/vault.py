"""The files of a vault: which there are, what is in them. Reads, and writes nothing."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from sensors.connectors.obsidian import Settings
from sensors.connectors.pulling import SourceFailed

NOTE: Final = ".md"
MARK: Final = ".obsidian"
_OWN_TYPES: Final = {".md": "text/markdown", ".canvas": "application/json", ".base": "application/yaml"}
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stat:
    """What tells without reading that a file is another than before."""

    size: int
    mtime_ns: int

    @property
    def modified_at(self) -> datetime:
        """Aware, UTC."""
        return datetime.fromtimestamp(self.mtime_ns / 1e9, UTC)


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a file; the bytes of notes only."""

    stat: Stat
    hash: str
    note: bytes | None


class Vault:
    """A vault on this machine."""

    def __init__(self, settings: Settings) -> None:
        self.root = Path(settings.path).expanduser()
        self._settings = settings
        self._named: dict[str, str] = {}
        """Names on the disk of files whose names are no UTF-8, by what they are called here."""

    def files(self) -> dict[str, Stat]:
        """Every file that is told of, by its path in the vault with slashes.

        Raises:
            SourceFailed: there is no vault, or it cannot be read: better that than to tell that everything was deleted.
        """
        try:
            there = (self.root / MARK).is_dir()
        except OSError as error:
            raise _unreadable("the vault", error) from None
        if not there:
            raise SourceFailed(
                f"{self.root} is no vault: it has no {MARK}",
                hint="Is this the vault's folder, is its drive mounted, and may the user who runs BATUTA read it?",
            )
        found: dict[str, Stat] = {}
        for path, stat in self._below(self.root, ""):
            shown = shown_path(path)
            if shown != path:
                self._named[shown] = path
            found[shown] = stat
        return found

    def _below(self, folder: Path, prefix: str) -> Iterator[tuple[str, Stat]]:
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise _unreadable("a folder of the vault", error) from None
        for entry in listed:
            path = f"{prefix}{entry.name}"
            if entry.name.startswith(".") or self._ignored(path):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._below(Path(entry.path), f"{path}/")
                elif entry.is_file(follow_symlinks=False) and self._wanted(path):
                    found = entry.stat(follow_symlinks=False)
                    yield path, Stat(found.st_size, found.st_mtime_ns)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _unreadable("a file of the vault", error) from None

    def read(self, path: str) -> Content | None:
        """What is in a file; None if it is being written to, or is gone: the next scan sees it."""
        file = self._place(path)
        digest, note = hashlib.sha256(), bytearray()
        try:
            before = file.stat()
            with file.open("rb") as opened:
                while chunk := opened.read(_CHUNK):
                    digest.update(chunk)
                    if path.lower().endswith(NOTE):
                        note += chunk
            after = file.stat()
        except OSError:
            return None
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            return None
        read = bytes(note) if path.lower().endswith(NOTE) else None
        return Content(Stat(after.st_size, after.st_mtime_ns), f"sha256:{digest.hexdigest()}", read)

    def beginning(self, path: str, most: int) -> bytes:
        """The first bytes of a file; none if it cannot be read."""
        try:
            with self._place(path).open("rb") as opened:
                return opened.read(most)
        except OSError:
            return b""

    def _place(self, path: str) -> Path:
        return self.root / self._named.get(path, path)

    def _ignored(self, path: str) -> bool:
        return any(fnmatchcase(path, p) or fnmatchcase(path, f"{p}/*") for p in self._settings.ignore)

    def _wanted(self, path: str) -> bool:
        return self._settings.attachments or path.lower().endswith((NOTE, ".canvas", ".base"))


def shown_path(path: str) -> str:
    r"""A path as text; bytes in it that are no UTF-8 (of a name another system made) as `\xe9`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _unreadable(what: str, error: OSError) -> SourceFailed:
    return SourceFailed(
        f"{what} cannot be read: {error.strerror}",
        hint="Check the vault's folder, and the rights of the user who runs BATUTA.",
    )


def media_type(path: str) -> str | None:
    """By the name's ending."""
    ending = os.path.splitext(path)[1].lower()  # noqa: PTH122 - a path in a vault is no path of this machine
    return _OWN_TYPES.get(ending) or mimetypes.guess_type(path)[0]
