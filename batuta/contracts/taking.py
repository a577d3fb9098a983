"""A project's files taken over into BATUTA_HOME: what is in force does not depend on where a process started."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

Taken: TypeAlias = Literal["created", "updated", "unchanged"]


def take(source: Path, target: Path) -> Taken:
    """Copy a file whole, so that a reader sees the old or the new one; what that changed."""
    content = source.read_bytes()
    before = target.read_bytes() if target.is_file() else None
    if before == content:
        return "unchanged"
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    fresh.write_bytes(content)
    fresh.replace(target)
    return "created" if before is None else "updated"
