"""What passes through landing: a vendor's delivery, a connector's reading of it, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from batuta.errors import BatutaError
from batuta.events.event import Event

Way: TypeAlias = Literal["webhook", "poll", "backfill", "replay", "post", "file"]
HashedAttribute: TypeAlias = Literal["id", "subject", "source"]
State: TypeAlias = Literal["landed", "duplicate", "quarantined", "filtered"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a vendor sent, untouched. Header names are lower case; the body is the raw bytes that were signed."""

    product: str
    connector: str
    account: str | None
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


class Candidate(NamedTuple):
    """One event a connector read from a delivery, not yet checked against its contract.

    `entity` and `version` are the second key: what is pulled is a duplicate where they have landed before.
    `hashed` names the attributes that would tell who a person is; landing keeps keyed hashes of them, so that equal
    values stay equal: all of `id` and `subject`, of `source` what stands behind the host.
    """

    event: Event
    dataset: str
    connector: str
    entity: str | None = None
    version: str | None = None
    hashed: frozenset[HashedAttribute] = frozenset()


class Parsed(NamedTuple):
    """A connector's reading of one delivery.

    `filtered` counts what the connector knows and leaves out on purpose (a ping); `note` says why. `wakes` says that
    the delivery is a signal: its account has news to be pulled. `refused` are parts of a batch that cannot be read: for
    them the delivery is held in quarantine, whatever else in it lands.
    """

    candidates: tuple[Candidate, ...]
    dataset: str
    filtered: int = 0
    note: str | None = None
    wakes: bool = False
    refused: tuple[Rejected, ...] = ()


Parse: TypeAlias = Callable[[Delivery], Parsed]


class Rejected(BatutaError):
    """A delivery that cannot be accepted as it is; it goes to quarantine with this code and reason.

    `code` is a short snake-case word (`json`, `signature`, `headers`, `contract`); the message never holds a value.
    """

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


@dataclass(frozen=True, slots=True)
class CursorMove:
    """A poll's or reader's new position, committed together with the events it covers."""

    consumer: str
    product: str
    position: Any


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item of a state feed, as it was seen last; everything of it is sealed before it is written.

    `parent` is the id of the folder it lies in, `state` JSON, `mark` the full scan that saw it last.
    """

    id: str
    parent: str | None
    state: Mapping[str, Any]
    mark: str | None


@dataclass(frozen=True, slots=True)
class ItemMoves:
    """What changes in the known items of one account: what is forgotten, then what is kept from now on.

    `account` is the account's name in the manifest, "" for the one without a name, as everywhere in the database.
    """

    product: str
    connector: str
    account: str
    keep: tuple[KnownItem, ...]
    forget: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceCount:
    """What the source says it handed over on a page, and its own count of the whole poll or window, if it has one."""

    product: str
    connector: str
    account: str
    window_start: datetime | None
    window_end: datetime | None
    counted: int
    total: int | None


@dataclass(frozen=True, slots=True)
class BusMove:
    """How far one partition of the bus is landed: from `start` (None: from its beginning) up to, without, `next`."""

    topic: str
    partition: int
    start: int | None
    next: int


@dataclass(frozen=True, slots=True)
class PageSides:
    """What is committed with the rows of a page, in the same transaction: position, known items, completeness."""

    cursor: CursorMove | None
    items: ItemMoves | None
    count: SourceCount | None
    bus: tuple[BusMove, ...] = ()


@dataclass(frozen=True, slots=True)
class LandingCounts:
    """What came, by what became of it."""

    landed: int = 0
    duplicate: int = 0
    quarantined: int = 0
    filtered: int = 0

    def __add__(self, other: LandingCounts) -> LandingCounts:
        return LandingCounts(
            self.landed + other.landed,
            self.duplicate + other.duplicate,
            self.quarantined + other.quarantined,
            self.filtered + other.filtered,
        )

    @property
    def total(self) -> int:
        """Everything the source sent."""
        return self.landed + self.duplicate + self.quarantined + self.filtered


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one delivery.

    A delivery of several events is `quarantined` if any of them is, else `landed` if any of them is; `counts` has all.
    """

    state: State
    event_id: str | None
    reason: str | None = None
    quarantine_id: str | None = None
    counts: LandingCounts = LandingCounts()
