"""A vault as a folder, for `batuta ingest obsidian`: read as a poll reads it, against what is known of its notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sensors.connectors.pulling import Account, Calls, SourceFailed


def as_poll(path: Path, account: Account) -> tuple[Account, Calls | None]:
    """The account with its vault at this folder; see `StateFiles.as_poll`."""
    if not path.is_dir():
        raise SourceFailed(f"{path} is no folder", hint="Name the folder of the vault.")
    settings = account.settings.model_copy(update={"path": str(path.resolve())})
    return replace(account, settings=settings), None
