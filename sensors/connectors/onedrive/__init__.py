"""OneDrive and SharePoint drives over Microsoft Graph: what wakes the account, and what its delta tells of files.

Graph tells what is, not what happened: `pull` compares it with the table of known items and hands over changes, which
are read here. File names are personal data: they stand in `path` alone, never in an attribute of the event.
Protocol: learn.microsoft.com/graph/api/driveitem-delta; docs/connectors/onedrive.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from batuta.landing.model import Candidate, Delivery, Parsed, Rejected
from batuta.privacy.text import find
from sensors.connectors.graph import notifications
from sensors.connectors.graph.settings import CREDENTIALS as GRAPH_CREDENTIALS
from sensors.connectors.onedrive.settings import OneDriveSettings
from sensors.connectors.protocol import Asked, Reply
from sensors.connectors.pulling import FORM
from sensors.connectors.reading import (
    JsonObject,
    build,
    json_object,
    moment_at,
    number_at,
    object_at,
    text_at,
)

NAME: Final = "onedrive"
MEDIA_TYPES: Final = notifications.MEDIA_TYPES
REQUIRED_HEADERS: Final[tuple[str, ...]] = ()
PUSH: Final = True
BACKFILL: Final[Literal["window", "scan"]] = "window"
ACCEPTED: Final = notifications.ACCEPTED
SETTINGS: Final = OneDriveSettings
CREDENTIALS: Final[Mapping[str, str]] = GRAPH_CREDENTIALS

DATASET: Final = "files"
SOURCE: Final = "batuta.ingest.onedrive"
CHANGE: Final = "change"
UNCHANGED: Final = "unchanged"
KINDS: Final = frozenset({"created", "updated", "renamed", "deleted"})

_MAX_VERSION: Final = 256


def handshake(asked: Asked, credentials: Mapping[str, bytes]) -> Reply | None:  # noqa: ARG001
    """The answer to Graph's validation of the address."""
    return notifications.handshake(asked)


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:
    """Check the client state of every notification.

    Raises:
        Unsigned, BadSignature, NoSecret: see `Connector.verify`.
    """
    notifications.verify(delivery, secrets)


def parse(delivery: Delivery) -> Parsed:
    """Read a change of a file, or the notifications that wake the account.

    Raises:
        Rejected: it is neither.
    """
    form = delivery.headers.get(FORM)
    if form is None:
        return notifications.parse(delivery, DATASET)
    document = json_object(delivery.body)
    if form == UNCHANGED:
        return Parsed(candidates=(), dataset=DATASET, filtered=_counted(document), note="no change of a file")
    if form != CHANGE:
        raise Rejected("headers", "is no form of this connector", field=FORM)
    return Parsed(candidates=(_candidate(delivery, document),), dataset=DATASET)


def same_account(configured: str, named: str) -> bool:
    """Whether both name one account; accounts of drives are free words."""
    return configured == named


def _counted(document: JsonObject) -> int:
    counted = number_at(document, "filtered")
    if counted is None or counted < 0:
        raise Rejected("shape", "must be a whole number, 0 or more", field="filtered")
    return counted


def _candidate(delivery: Delivery, document: JsonObject) -> Candidate:
    kind = text_at(document, "change")
    if kind not in KINDS:
        raise Rejected("shape", f"must be one of {', '.join(sorted(KINDS))}", field="change")
    item = object_at(document, "item")
    drive, identity = _needed(document, "driveId"), _needed(item, "id")
    entity = f"{drive}:{identity}"
    version, again = _version(item), number_at(document, "again")
    moment = moment_at(document, "at")
    said_by_graph = moment is not None and document.get("seen") is not True
    suffix = "" if again is None else f":{again}"
    event = build(
        id=f"{entity}:{'deleted:' if kind == 'deleted' else ''}{version}{suffix}",
        source=SOURCE,
        type=f"com.avila.file.{kind}",
        time=moment or delivery.received_at,
        subject=identity,
        data=_data(document, item, drive),
        extensions=None if said_by_graph else {"timebasis": "received"},
    )
    first = again is None and kind != "deleted"
    return Candidate(
        event=event,
        dataset=DATASET,
        connector=NAME,
        entity=entity if first else None,
        version=version if first else None,
    )


def _data(document: JsonObject, item: JsonObject, drive: str) -> JsonObject:
    """The data of the event; whether the path itself is personal is seen here, before it is masked."""
    path = _needed(document, "path")
    labels = document.get("labels")
    data: JsonObject = {
        "path": path,
        "hash": text_at(item, "hash"),
        "labels": labels if isinstance(labels, list) else [],
        "pii": document.get("pii") is True or any(True for _ in find(path)),
        "itemId": text_at(item, "id"),
        "parentId": text_at(item, "parentId"),
        "driveId": drive,
    }
    optional = {
        "previousPath": text_at(document, "previousPath"),
        "size": number_at(item, "size"),
        "mime": text_at(item, "mime"),
        "createdAt": text_at(item, "createdAt"),
        "modifiedAt": text_at(item, "modifiedAt"),
        "revision": number_at(document, "revision"),
    }
    return data | {name: value for name, value in optional.items() if value is not None}


def _version(item: JsonObject) -> str:
    version = _needed(item, "version")
    if version.isprintable() and len(version) <= _MAX_VERSION:
        return version
    return hashlib.sha256(version.encode("utf-8", "surrogatepass")).hexdigest()


def _needed(document: JsonObject, name: str) -> str:
    value = text_at(document, name)
    if value is None:
        raise Rejected("identity", "is missing or no text", field=name)
    return value
