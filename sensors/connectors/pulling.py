"""What a connector that fetches offers, and what it is given to fetch with.

A puller turns a vendor's answers into pages of deliveries, in the vendor's own form, which then go the way of every
delivery: `parse`, contract, masks, commit. It keeps no state: where it stands is a position that is committed with the
rows of a page; what it knows of a state feed are items, sealed by landing. No Dagster, no database, no wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from batuta.errors import BatutaError
from batuta.landing.capture import BadLine
from batuta.landing.model import Delivery

if TYPE_CHECKING:
    from batuta.landing.reader import LoggedEvent

FORM: Final = "x-batuta-form"
"""Header that says which form a pulled delivery has. The gateway takes no header of this name from outside."""


class SourceFailed(BatutaError):
    """The vendor did not give what was asked for; the message says what to do, and holds no personal data."""


class Permanent(SourceFailed):
    """A fault that stays until a person mends the manifest, the credentials or the account; trying again is no use."""


class Unauthorized(Permanent):
    """The vendor refuses the account's credentials."""


class Gone(Permanent):
    """The account is no more (app uninstalled, repository deleted); polling it stops until it is applied anew."""


class OutOfTime(SourceFailed):
    """The deadline came in the middle of a page; nothing is wrong, the next call goes on from the last position."""


class RateLimited(SourceFailed):
    """The vendor asks to be left alone until `until`, aware, UTC."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class ConnectorSettings(BaseModel):
    """Settings of an account, as `spec.connectors[].settings` has them: camelCase, no unknown ones."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, defer_build=True
    )

    fresh_within: timedelta | None = Field(
        default=None,
        gt=timedelta(0),
        description="After how long without news the data is not fresh, as in P1D or PT6H; shown in Dagster.",
    )

    def pushed(self) -> bool:
        """Whether the vendor sends deliveries for an account with these settings, where the connector takes any."""
        return True

    def lacking(self, credentials: frozenset[str]) -> str | None:
        """A sentence to the manifest's author, if these settings cannot work with the credentials that are named."""
        return None

    def misnamed(self, account: str | None, *, fetched: bool) -> str | None:
        """A sentence to the manifest's author, if no account of the vendor can have this name.

        Args:
            account: The name in the manifest, None without one.
            fetched: Whether credentials are named to fetch with.
        """
        return None


@dataclass(frozen=True, slots=True)
class Account:
    """One account of a product at a vendor, with what is needed to speak for it.

    `public_url` is where vendors reach the gateway (`BATUTA_PUBLIC_URL`), None where they cannot. `lacks` says which of
    the secrets that deliveries are signed with is missing, None where all are there.
    """

    product: str
    connector: str
    name: str | None
    settings: ConnectorSettings
    credentials: Mapping[str, bytes] = field(repr=False)
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    public_url: str | None = None
    lacks: str | None = None

    def delivery(self, form: str, body: bytes, received_at: datetime, **headers: str) -> Delivery:
        """A delivery of this account in one of the connector's pulled forms."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Delivery(self.product, self.connector, self.name, {FORM: form} | named, body, received_at)

    def webhook_address(self) -> str | None:
        """Where the vendor is to send this account's deliveries."""
        if self.public_url is None:
            return None
        tail = f"/{self.name}" if self.name else ""
        return f"{self.public_url.rstrip('/')}/webhooks/{self.product}/{self.connector}{tail}"


@dataclass(frozen=True, slots=True)
class Item:
    """A known item of a state feed. Everything of it is sealed before it is written.

    Attributes:
        id: The vendor's id, or the path.
        parent: The id of the folder it lies in.
        state: What the next change is told from and described by; JSON.
        mark: The full scan that saw it last.
    """

    id: str
    state: Mapping[str, Any]
    parent: str | None = None
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A known item that is no more."""

    id: str


ItemChange: TypeAlias = Item | Forgotten


class Known(Protocol):
    """The known items of one account."""

    def get(self, ids: Collection[str]) -> Mapping[str, Item]:
        """Those of these items that are known, by id."""
        ...

    def children(self, parent: str) -> tuple[Item, ...]:
        """The known items that lie directly in a folder."""
        ...

    def all(self) -> Iterator[Item]:
        """Every known item."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, from `start` up to and without `end`; both aware, UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """What is committed in one transaction: deliveries, known items, and the position to go on from.

    Attributes:
        deliveries: One per record, in the order in which they are to land.
        position: JSON; given back at the next call.
        items: What is known from now on.
        counted: How many records the source says it handed over here; None: as many as there are deliveries.
        total: The source's own count for the whole poll or window, on its last page, where it has one.
        note: What a person should know of this page.
    """

    deliveries: tuple[Delivery, ...]
    position: Any
    items: tuple[ItemChange, ...] = ()
    counted: int | None = None
    total: int | None = None
    note: str | None = None


SubscriptionState: TypeAlias = Literal["active", "created", "renewed", "missing", "failing", "disabled"]


@dataclass(frozen=True, slots=True)
class Subscription:
    """How one push channel of an account stands after an audit; `detail` says what to do where it is not well."""

    name: str
    state: SubscriptionState
    detail: str | None = None
    expires_at: datetime | None = None
    reference: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def well(self) -> bool:
        """Whether nothing is left to be done by a person."""
        return self.state in {"active", "created", "renewed"}


class Calls(Protocol):
    """HTTP to a vendor: patient where the vendor asks for patience, and never beyond the deadline."""

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        expect: Collection[int] = (200,),
        max_bytes: int = 64 * 1024 * 1024,
        follow_redirects: bool = False,
    ) -> Answer:
        """Send a request and give the answer if its status is expected.

        Retries what is worth it (connection lost, 5xx, 429, 529 and 503 by Retry-After), whatever the method. 401 and
        403 are `Unauthorized` unless expected or a rate limit. A redirect is a status like any other unless followed;
        on the way to another host it loses its Authorization header.

        Raises:
            Unauthorized, RateLimited, OutOfTime, SourceFailed: a sentence with host and status, no path, no body.
        """
        ...

    def stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int,
        follow_redirects: bool = False,
    ) -> Iterator[bytes]:
        """The chunks of a large answer, through the same patience; a torn connection is `SourceFailed`."""
        ...

    def pause(self, seconds: float, why: str) -> None:
        """Wait because the vendor asks for it (a cost budget in the answer's body).

        Raises:
            RateLimited: the wait would go beyond the deadline.
        """
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = field(repr=False)


class Blobs(Protocol):
    """Contents by hash, encrypted at rest: attachments and media."""

    def put(self, product: str, content: bytes, media_type: str) -> str:
        """Keep a content; `sha256:<hex>` of it, clear of any name. Keeping it again changes nothing."""
        ...


class Landed(Protocol):
    """The event log, as a puller may read it."""

    def __call__(self, after_batch: int, types: Sequence[str], limit: int) -> Sequence[LoggedEvent]:
        """The connector's events of these types in the batches after one, in order, whole batches only."""
        ...


def _nothing_landed(*_: object, **__: object) -> Sequence[LoggedEvent]:
    return ()


@dataclass(frozen=True, slots=True)
class Tools:
    """What a puller works with.

    `deadline` is a monotonic time; a puller that has more to do then simply yields no further page: it is asked again,
    with the last page's position. A puller that ends while `time_left()` is above 0 says that there is no more; asked
    again with the position of its last page, it yields nothing or what is new.
    """

    calls: Calls
    known: Known
    blobs: Blobs
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    deadline: float
    keep_secret: Callable[[str, bytes], None]
    """Keeps a credential that the vendor has renewed (a refresh token), under its name."""
    landed: Landed = _nothing_landed
    """What of this product's events has landed, for a connector that fetches what its deliveries only point at."""

    def time_left(self) -> float:
        """Seconds up to the deadline, not below 0."""
        return max(0.0, self.deadline - self.monotonic())


class MessageFiles(Protocol):
    """Optional module `sensors.connectors.<name>.files`: files that hold what the vendor sends, one message each."""

    def read(self, path: Path, account: Account, received_at: datetime) -> Iterator[Delivery | BadLine]:
        """The deliveries in a file or folder, in one of the connector's pulled forms, as they are read.

        The settings of an account that no manifest binds are its form's defaults; required ones are not there.
        """
        ...

    def read_stream(
        self, file: BinaryIO, account: Account, received_at: datetime
    ) -> Iterator[Delivery | BadLine]:
        """The same of what comes in, as from a pipe."""
        ...


class StateFiles(Protocol):
    """Optional module `sensors.connectors.<name>.files`: a folder or saved pages that are read by a poll."""

    def as_poll(self, path: Path, account: Account) -> tuple[Account, Calls | None]:
        """The account, pointing at the path, and what answers its calls where that is not the vendor.

        It is polled from its start, against its known items; its position at the vendor stays as it is.

        Raises:
            SourceFailed: the path does not hold what can be read.
        """
        ...


class Puller(Protocol):
    """The part of a connector that fetches: a module `sensors.connectors.<name>.pull`."""

    def poll(self, account: Account, position: Any, tools: Tools) -> Iterator[Page]:
        """What is new since `position` (None: the account has never been polled), page by page.

        The runner commits each page before it asks for the next. A poll that finds nothing yields one page without
        deliveries if its position moves, else none.
        """
        ...

    def backfill(self, account: Account, window: Window, position: Any, tools: Tools) -> Iterator[Page]:
        """What the vendor has of a window, page by page; `position` is None at first, else the last page's.

        A connector whose vendor keeps states only (a drive, a vault) gives what was modified within the window.
        """
        ...

    def audit(self, account: Account, tools: Tools) -> tuple[Subscription, ...]:
        """Look at the account's push channels and make right what can be made right; nothing without any."""
        ...
