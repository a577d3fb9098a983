"""Notes that BATUTA writes into a vault, and how a scan knows them again.

A note of ours carries the digest of its own text in its frontmatter. While both agree it is ours and no news; as soon
as somebody writes into it, it is that person's note and is told of.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from batuta.errors import BatutaError
from sensors.connectors.obsidian.vault import MARK

DIGEST: Final = "batuta"
_FORBIDDEN: Final = re.compile(r'[*"\\/<>:|?#^\[\]\x00-\x1f]')
_OURS: Final = re.compile(rb"\A---\n(?:[^\n]*\n)*?batuta: ([0-9a-f]{64})\n---\n(.*)\Z", re.DOTALL)
_MOST_NAME: Final = 120


class VaultUnwritable(BatutaError):
    """A note cannot be written into the vault."""


def is_ours(raw: bytes) -> bool:
    """Whether a note is as we wrote it."""
    found = _OURS.match(raw)
    return found is not None and hashlib.sha256(found[2]).hexdigest() == found[1].decode()


def write_note(vault: Path, folder: str, name: str, body: str, properties: Mapping[str, str]) -> Path:
    """Write a note, in place of what we wrote there before; a note somebody has changed is left alone.

    Args:
        vault: Folder of the vault.
        folder: Folder in it, made if need be.
        name: Title of the note; what may not stand in a file's name is left out.
        body: Markdown.
        properties: Frontmatter; plain texts.

    Raises:
        VaultUnwritable: there is no vault, the folder lies outside of it, or nothing can be written there.
    """
    try:
        there = (vault / MARK).is_dir()
        place = (vault / folder).resolve()
    except OSError as error:
        raise VaultUnwritable(
            f"the vault cannot be read: {error.strerror}", hint="check settings.path, and the folder's rights"
        ) from error
    if not there:
        raise VaultUnwritable(f"{vault} is no vault: it has no {MARK}", hint="check settings.path")
    if not place.is_relative_to(vault.resolve()) or place.is_relative_to(vault.resolve() / MARK):
        raise VaultUnwritable(
            "reportsFolder lies outside of the vault", hint="name a folder in the vault, as in BATUTA"
        )
    path = place / f"{file_name(name)}.md"
    content = _with_frontmatter(body, properties)
    try:
        if path.exists() and not is_ours(path.read_bytes()):
            return path
        place.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=place, prefix=".", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except OSError as error:
        raise VaultUnwritable(
            f"the note cannot be written into the vault: {error.strerror}", hint="check the folder's rights"
        ) from error
    return path


def file_name(title: str) -> str:
    """A title as the name of a note."""
    plain = " ".join(_FORBIDDEN.sub(" ", title).split()).strip(". ")
    return plain[:_MOST_NAME].strip() or "note"


def _with_frontmatter(body: str, properties: Mapping[str, str]) -> bytes:
    text = body.rstrip("\n").encode() + b"\n"
    lines = [f"{name}: {_quoted(value)}" for name, value in properties.items()]
    lines.append(f"{DIGEST}: {hashlib.sha256(text).hexdigest()}")
    return "\n".join(["---", *lines, "---", ""]).encode() + text


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{" ".join(escaped.split())}"'
