"""A vault as a folder, for `batuta ingest obsidian`: read as a poll reads it, against what is known of its notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sensors.connectors.pulling import Account, Calls, SourceFailed


def as_poll(path: Path, account: Account) -> tuple[Account, Calls | None]:
    """The account with its vault at this folder; see `StateFiles.as_poll`.

    A copy is read in place of a vault that is not on this machine, never in place of one that is: what a scan does not
    find is deleted.

    Raises:
        SourceFailed: it is no folder, or that of another vault than the account's.
    """
    if not path.is_dir():
        raise SourceFailed(f"{path} is no folder", hint="Name the folder of the vault.")
    configured = getattr(account.settings, "path", "")
    own = Path(configured).expanduser()
    if configured and own.is_dir() and not own.samefile(path):
        raise SourceFailed(
            f"{path} is not the vault of this account, {own}: notes that are not in it would be told as deleted",
            hint=f"Name {own}, or bind the other vault as an account of its own under spec.connectors.",
        )
    settings = account.settings.model_copy(update={"path": str(path.resolve())})
    return replace(account, settings=settings), None
