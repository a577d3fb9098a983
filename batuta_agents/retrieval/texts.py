"""What of an event is text worth finding: which entity it belongs to, which version, who may read it."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from html.parser import HTMLParser
from types import MappingProxyType
from typing import Any, Final

from batuta.landing.reader import LoggedEvent

ROLES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = MappingProxyType(
    {
        ("shopify", "products"): ("catalog.read", "crm.read", "orders.read"),
        ("github", "pull_requests"): ("engineering.read",),
        ("github", "releases"): ("engineering.read",),
        ("github", "issues"): ("engineering.read",),
        ("events", "surveys"): ("crm.read",),
    }
)
"""Datasets that hold texts, and the roles of which a reader needs one."""

_REMOVALS: Final = frozenset(
    {
        "com.shopify.products.deleted",
        "com.github.release.deleted",
        "com.github.issues.deleted",
        "com.github.issues.transferred",
    }
)
_GITHUB_BODIES: Final = {"pull_requests": "pull_request", "releases": "release", "issues": "issue"}
_SPACES: Final = re.compile(r"[^\S\n]+")
_LINES: Final = re.compile(r"\n\s*\n+")


@dataclass(frozen=True, slots=True)
class Document:
    """The text of one entity in one version; `removed` is the word that it is gone."""

    connector: str
    dataset: str
    source: str
    subject: str
    event_id: str
    version_at: datetime
    batch: int
    title: str
    body: str
    removed: bool

    @property
    def entity(self) -> tuple[str, str, str, str]:
        """What makes it one entity within a product."""
        return self.connector, self.dataset, self.source, self.subject

    @property
    def order(self) -> tuple[bool, datetime, bytes]:
        """Later versions are greater; a removal is final."""
        return self.removed, self.version_at, self.event_id.encode()

    @property
    def text(self) -> str:
        """Title and body."""
        return "\n".join(part for part in (self.title, self.body) if part)

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of which a reader needs one."""
        return ROLES[self.connector, self.dataset]


def document_of(event: LoggedEvent) -> Document:
    """The text of an event of one of the datasets in `ROLES`."""
    if event.connector == "github":
        title, body, version = _github(event)
    elif event.dataset == "products":
        title, body, version = _product(event.data)
    else:
        title, body, version = "", event.data.get("comment"), None
    # An answer is never another version of one before it.
    subject = event.id if event.dataset == "surveys" else event.subject or event.id
    return Document(
        connector=event.connector,
        dataset=event.dataset,
        source=event.source,
        subject=subject,
        event_id=event.id,
        version_at=_moment(version) or event.time,
        batch=event.batch,
        title=_clean(title),
        body=_clean(body),
        removed=event.type in _REMOVALS,
    )


def _github(event: LoggedEvent) -> tuple[Any, Any, Any]:
    thing: dict[str, Any] = event.data.get(_GITHUB_BODIES[event.dataset]) or {}
    title = thing.get("title") or thing.get("name") or thing.get("tag_name")
    return title, thing.get("body"), thing.get("updated_at") or thing.get("published_at")


def _product(data: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    described = "\n".join(
        str(part)
        for part in (data.get("product_type"), data.get("tags"), plain_text(data.get("body_html") or ""))
        if part
    )
    return data.get("title"), described, data.get("updated_at")


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _clean(text: Any) -> str:
    if not isinstance(text, str):
        return ""
    return _LINES.sub("\n", _SPACES.sub(" ", text.replace("\x00", ""))).strip()


class _Words(HTMLParser):
    """Collects what a reader sees; a block element begins a new line."""

    _BLOCKS: Final = frozenset({"p", "br", "div", "li", "ul", "ol", "h1", "h2", "h3", "h4", "tr", "td"})
    _HIDDEN: Final = frozenset({"script", "style"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in self._HIDDEN
        if tag in self._BLOCKS:
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in self._HIDDEN and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def plain_text(markup: str) -> str:
    """The words of an HTML text."""
    if "<" not in markup:
        return html.unescape(markup)
    reader = _Words()
    reader.feed(markup)
    reader.close()
    return "".join(reader.words)


def fold(text: str) -> str:
    """Without accents and case, so that `emissão` and `EMISSAO` are one word."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(mark for mark in decomposed if not unicodedata.combining(mark)).casefold()
