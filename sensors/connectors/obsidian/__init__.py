"""Obsidian: files of a vault as a scan found them, told as events. Nothing is sent to us; a watcher wakes the scan.

Names of notes are what people call things: a path is data that is searched for personal data, elsewhere a keyed hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final, Literal

from pydantic import Field

from batuta.landing.model import Candidate, Delivery, Parsed, Rejected
from batuta.privacy.text import find
from sensors.connectors.protocol import NoSecret
from sensors.connectors.pulling import FORM, ConnectorSettings
from sensors.connectors.reading import (
    JsonObject,
    build,
    json_object,
    moment_at,
    number_at,
    object_at,
    text_at,
)

NAME: Final = "obsidian"
PUSH: Final = False
BACKFILL: Final[Literal["window", "scan"]] = "scan"
MEDIA_TYPES: Final = frozenset[str]()
REQUIRED_HEADERS: Final = ()
CREDENTIALS: Final[Mapping[str, str]] = MappingProxyType({})
DATASET: Final = "notes"
CHANGE: Final = "change"
"""Form of a pulled delivery: what became of a file."""
CHANGES: Final = frozenset({"created", "updated", "renamed", "deleted"})


class Settings(ConnectorSettings):
    """What may be set for an account, which is a vault under a name of one's own."""

    path: str = Field(
        default="", description="Folder of the vault, on this machine; the one that has .obsidian."
    )
    ignore: tuple[str, ...] = Field(
        default=(), description="Files to leave alone, as patterns over the path in the vault: Private/**"
    )
    attachments: bool = Field(default=True, description="Also tell of files that are no notes.")
    reports_folder: str | None = Field(
        default=None, description="Folder in the vault where daily reviews are put; not told of again."
    )
    force_polling: bool = Field(
        default=False, description="Watch by looking: for network drives, WSL and container mounts."
    )
    poll_seconds: int = Field(default=300, ge=5, description="Seconds between two scans.")

    def lacking(self, credentials: frozenset[str]) -> str | None:
        """A vault is a folder."""
        return None if self.path else "which folder is the vault? add settings: {path: /home/me/Vault}"


SETTINGS: Final = Settings


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:  # noqa: ARG001 - nothing is ever sent
    """Refuse: a vault sends nothing.

    Raises:
        NoSecret: always.
    """
    raise NoSecret(
        "a vault sends no deliveries", hint="it is read by `batuta connectors poll` and the sensor"
    )


def parse(delivery: Delivery) -> Parsed:
    """Read what became of a file.

    Raises:
        Rejected: it is not of the form.
    """
    if delivery.headers.get(FORM) != CHANGE:
        raise Rejected("headers", "is no form of this connector", field=FORM)
    document = json_object(delivery.body)
    change = text_at(document, "change")
    if change not in CHANGES:
        raise Rejected("shape", f"must be one of {', '.join(sorted(CHANGES))}", field="change")
    path = text_at(document, "path")
    if path is None:
        raise Rejected("identity", "the path is missing", field="path")
    digest, revision = text_at(document, "hash"), number_at(document, "revision")
    at = moment_at(document, "at" if change in ("renamed", "deleted") else "modifiedAt", "at")
    event = build(
        id=f"{path}:{digest or change}:{revision or 0}",
        source=f"urn:obsidian:vault:{_urn(delivery.account or 'vault')}",
        type=f"com.avila.file.{change}",
        time=at or delivery.received_at,
        subject=path,
        data=_data(document, path, digest),
    )
    candidate = Candidate(event=event, dataset=DATASET, connector=NAME, hashed=frozenset({"id", "subject"}))
    return Parsed((candidate,), DATASET)


def same_account(configured: str, named: str) -> bool:
    """Whether both name one vault; the names are the manifest's."""
    return configured == named


def _data(document: JsonObject, path: str, digest: str | None) -> JsonObject:
    note = object_at(document, "note")
    tags = note.get("tags")
    said = object_at(note, "frontmatter").get("pii") == ["true"]
    names = [path, text_at(document, "previousPath") or ""]
    return {
        "path": path,
        "previousPath": text_at(document, "previousPath"),
        "hash": digest,
        "labels": tags if isinstance(tags, list) else [],
        "pii": said or any(True for name in names for _ in find(name)),
        "size": number_at(document, "size"),
        "mime": text_at(document, "mime"),
        "modifiedAt": text_at(document, "modifiedAt"),
        "revision": number_at(document, "revision"),
        "note": note or None,
    }


def _urn(name: str) -> str:
    """A name as part of a URN."""
    from urllib.parse import quote

    return quote(PurePosixPath(name).name or "vault", safe="")
