"""Notion: pages and rows as they are found, webhooks as signals that there is something to find.

A webhook says that something happened to a page and never what; it is aggregated, late and unordered. What has happened
is told from the page itself and from what was known of it.
Protocol: developers.notion.com/reference/webhooks; facts in reference/connectors.md 2.8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from batuta.landing.model import Candidate, Delivery, Parsed, Rejected
from sensors.connectors import signature
from sensors.connectors.addresses import ServiceAddress
from sensors.connectors.protocol import Asked, Reply
from sensors.connectors.pulling import FORM, ConnectorSettings
from sensors.connectors.reading import build, json_object, moment_at, object_at, text_at

NAME: Final = "notion"
PUSH: Final = True
LEARNS: Final = True
BACKFILL: Final[Literal["window", "scan"]] = "window"
MEDIA_TYPES: Final = frozenset({"application/json"})
SIGNATURE: Final = "x-notion-signature"
REQUIRED_HEADERS: Final = (SIGNATURE,)
DATASET: Final = "pages"
CHANGE: Final = "change"
"""Form of a pulled delivery: what became of a page, and the page."""
CHANGES: Final = frozenset({"created", "updated", "deleted", "unshared"})
_ID: Final = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE)
CREDENTIALS: Final[Mapping[str, str]] = MappingProxyType(
    {"token": "token of the integration the pages are shared with"}
)


def _data_source(value: str) -> str:
    if not _ID.fullmatch(value):
        raise PydanticCustomError(
            "id", "must be the id of a data source, such as 11111111-2222-3333-4444-555555555555"
        )
    return value


DataSource: TypeAlias = Annotated[str, AfterValidator(_data_source)]


class Settings(ConnectorSettings):
    """What may be set for an account, which is a workspace under a name of one's own."""

    api_url: ServiceAddress = Field(default="https://api.notion.com", description="Address of the API.")
    version: str = Field(default="2025-09-03", description="Version of the API that is asked for.")
    data_sources: tuple[DataSource, ...] = Field(
        default=(), description="Ids of data sources to read row by row; these are complete."
    )
    search: bool = Field(
        default=True,
        description="Also read what the search finds, which is neither complete nor up to date.",
    )
    poll_seconds: int = Field(default=300, ge=10, description="Seconds between two polls.")
    scan_minutes: int = Field(
        default=60, ge=1, description="Minutes between two looks for pages that are gone."
    )
    max_blocks: int = Field(default=2000, ge=1, description="Blocks that are read of one page.")

    def lacking(self, credentials: frozenset[str]) -> str | None:
        """Signals alone bring nothing."""
        if "token" not in credentials:
            return "pages are read with the credential token: add credentials: {token: {file: NAME}}"
        return (
            None if self.data_sources or self.search else "nothing to read: name dataSources, or allow search"
        )


SETTINGS: Final = Settings


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:
    """Check X-Notion-Signature: `sha256=` and the hex HMAC-SHA256 over the raw body, under the verification token.

    Raises:
        Unsigned, BadSignature, NoSecret: see `Connector.verify`.
    """
    signature.check_sha256(delivery.headers.get(SIGNATURE), "X-Notion-Signature", secrets, delivery.body)


def handshake(asked: Asked, credentials: Mapping[str, bytes]) -> Reply | None:  # noqa: ARG001 - none is needed
    """Take the verification token that Notion sends first, unsigned. It counts in a set-up window only."""
    if asked.method != "POST" or SIGNATURE in asked.headers:
        return None
    try:
        document = json_object(asked.body)
    except Rejected:
        return None
    token = text_at(document, "verification_token")
    if token is None or len(document) != 1 or not token.isascii() or len(token) > 500:
        return None
    return Reply(200, b"", learned=token.encode())


def parse(delivery: Delivery) -> Parsed:
    """Read a signal, or what a poll found.

    Raises:
        Rejected: the body is no JSON object, or not of the form.
    """
    document = json_object(delivery.body)
    if delivery.headers.get(FORM) == CHANGE:
        return _found(delivery, document)
    if text_at(document, "type") is None:
        raise Rejected("shape", "a signal has a type", field="type")
    return Parsed(candidates=(), dataset=DATASET, filtered=1, note="signal", wakes=True)


def same_account(configured: str, named: str) -> bool:
    """Whether both name one workspace; the names are the manifest's."""
    return configured == named


def _found(delivery: Delivery, document: dict[str, Any]) -> Parsed:
    change = text_at(document, "change")
    if change not in CHANGES:
        raise Rejected("shape", "must be created, updated, deleted or unshared", field="change")
    page = object_at(document, "page")
    page_id = text_at(page, "id")
    if page_id is None:
        raise Rejected("identity", "the page has no id", field="page.id")
    event = build(
        id=_identity(page_id, change, document),
        source=_source(page),
        type=f"com.notion.page.{change}",
        time=_time(change, page) or delivery.received_at,
        subject=page_id,
        data=document,
    )
    return Parsed((Candidate(event=event, dataset=DATASET, connector=NAME),), DATASET)


def _identity(page: str, change: str, document: Mapping[str, Any]) -> str:
    """The same for every look at one state; `times` tells apart a page that was gone and came back unchanged."""
    edited = text_at(object_at(document, "page"), "last_edited_time") or ""
    times = document.get("times")
    parts = [page, change] if change in ("deleted", "unshared") else [page]
    parts += [edited, text_at(document, "hash") or ""]
    if isinstance(times, int) and times:
        parts.append(str(times))
    return ":".join(part for part in parts if part)


def _source(page: Mapping[str, Any]) -> str:
    source = text_at(page, "data_source")
    return f"https://api.notion.com/v1/data_sources/{source}" if source else "https://api.notion.com/v1/pages"


def _time(change: str, page: Mapping[str, Any]) -> datetime | None:
    if change == "created":
        return moment_at(page, "created_time", "last_edited_time")
    return None if change == "unshared" else moment_at(page, "last_edited_time")
