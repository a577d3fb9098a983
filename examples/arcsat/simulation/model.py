"""What exists in the example company. Money is whole cents (`*_cents`); times are aware, UTC.

An order keeps every version it went through: deliveries come from the versions, KPI truth from the last one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/Sao_Paulo")
FIRST_DAY = date(2025, 8, 15)
LAST_DAY = date(2025, 11, 12)
DAYS = (LAST_DAY - FIRST_DAY).days + 1
END = datetime(2025, 11, 13, 2, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Shop:
    """One product of the company with its shop, its repository and its size."""

    product: str
    domain: str
    name: str
    repository: str
    repository_id: int
    sku_prefix: str
    customers: int
    orders: int
    surveys: int
    pull_requests: int
    releases: int
    monthly_media_cents: int
    paid_topic: bool
    """Whether the shop subscribed to `orders/paid` besides `orders/updated`."""

    @property
    def number(self) -> int:
        """A small number that keeps the identifiers of two shops apart."""
        return self.repository_id % 10


@dataclass(frozen=True, slots=True)
class Variant:
    """One sellable form of a catalogue item."""

    id: int
    title: str
    sku: str
    price_cents: int
    grams: int


@dataclass(frozen=True, slots=True)
class Item:
    """One catalogue item (a Shopify product)."""

    id: int
    title: str
    body: str
    kind: str
    handle: str
    variants: tuple[Variant, ...]
    gift_card: bool
    created_at: datetime
    updates: tuple[datetime, ...]
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Address:
    """A made-up Brazilian address."""

    street: str
    district: str
    city: str
    state: str
    state_name: str
    postcode: str


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who buys. `customer_id` is None for guests, who are known by e-mail only (or not at all)."""

    key: int
    customer_id: int | None
    first_name: str
    last_name: str
    email: str
    phone: str
    cpf: str
    address: Address
    ip: str
    browser: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order."""

    id: int
    item: Item
    variant: Variant
    quantity: int
    price_cents: int
    discount_cents: int
    """Sum of the line's discount allocations."""

    @property
    def total_cents(self) -> int:
        """What the line costs after its discount."""
        return self.price_cents * self.quantity - self.discount_cents


@dataclass(frozen=True, slots=True)
class Transaction:
    """One movement of money, or one attempt at it."""

    id: int
    order_id: int
    parent_id: int | None
    kind: Literal["sale", "authorization", "capture", "void", "refund"]
    status: Literal["success", "failure", "error", "pending"]
    gateway: str
    amount_cents: int
    at: datetime
    test: bool


@dataclass(frozen=True, slots=True)
class RefundLine:
    """Goods that came back, or were taken off the order."""

    id: int
    line: Line
    quantity: int
    subtotal_cents: int


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A correction Shopify books with a refund; the sign is Shopify's."""

    id: int
    kind: Literal["refund_discrepancy", "shipping_refund"]
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund with its goods, corrections and transactions."""

    id: int
    order_id: int
    created_at: datetime
    processed_at: datetime | None
    note: str | None
    lines: tuple[RefundLine, ...]
    adjustments: tuple[Adjustment, ...]
    transactions: tuple[Transaction, ...]
    announced: bool
    """False where no `refunds/create` came and the refund is known from the order alone."""


@dataclass(frozen=True, slots=True)
class OrderVersion:
    """An order as it stood after one change."""

    at: datetime
    topic: str
    lines: tuple[Line, ...]
    financial_status: str
    fulfilled: bool
    cancelled_at: datetime | None
    cancel_reason: str | None
    refunds: tuple[Refund, ...]
    total_cents: int


@dataclass(frozen=True, slots=True)
class Order:
    """One order with all its versions, its transactions and its refunds."""

    id: int
    number: int
    person: Person
    named: bool
    """False for a sale at the counter: neither customer nor e-mail on the order."""
    email: str | None
    """The e-mail as typed on this order."""
    created_at: datetime
    processed_at: datetime
    test: bool
    shipping_cents: int
    discount_code: str | None
    channel: str
    gateways: tuple[str, ...]
    note: str | None
    presentment: bool
    """Shown to the buyer in dollars."""
    versions: tuple[OrderVersion, ...]
    transactions: tuple[Transaction, ...]
    deleted_at: datetime | None

    @property
    def state(self) -> OrderVersion:
        """The order as it stands at the end."""
        return self.versions[-1]

    @property
    def refunds(self) -> tuple[Refund, ...]:
        """All refunds of the order."""
        return self.versions[-1].refunds


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A deliberate disagreement between what was sold and what was paid."""

    kind: Literal["paid_amount_differs", "refund_exceeds_captured", "paid_without_transaction"]
    order_id: int
    expected_cents: int
    actual_cents: int


@dataclass(frozen=True, slots=True)
class Spend:
    """What acquiring customers cost in a period, both days included."""

    id: UUID
    period_start: date
    period_end: date
    channel: str
    kind: Literal["media", "salary", "tool", "agency"]
    amount_cents: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to the question of how likely a customer is to recommend the shop."""

    id: UUID
    survey: str
    respondent: str
    score: int
    answered_at: datetime
    channel: str
    comment: str | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """A survey sent to a customer, whether it was answered or not."""

    id: UUID
    survey: str
    respondent: str
    sent_at: datetime
    channel: str


@dataclass(frozen=True, slots=True)
class Rate:
    """What a unit of one currency cost in another, from a day on; `told_at` tells corrections apart."""

    id: UUID
    pair: str
    day: date
    rate: Decimal
    told_at: datetime


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One pull request as it stood at the end."""

    id: int
    number: int
    title: str
    body: str
    author: str
    bot: bool
    base: str
    head: str
    opened_at: datetime
    pushes: tuple[datetime, ...]
    closed_at: datetime | None
    merged: bool
    additions: int
    deletions: int
    files: int


@dataclass(frozen=True, slots=True)
class Release:
    """One release as it stood at the end; a draft has no publication time."""

    id: int
    tag: str
    body: str
    author: str
    created_at: datetime
    published_at: datetime | None
    prerelease: bool
    promoted_at: datetime | None
    """When a pre-release was made a release; `prerelease` is then False."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of the repository."""

    id: int
    number: int
    title: str
    body: str
    author: str
    opened_at: datetime
    closed_at: datetime | None
    labels: tuple[str, ...] = ()
    labelled_at: datetime | None = None
    """When the labels were given, if not at the opening."""


@dataclass(frozen=True, slots=True)
class Review:
    """One review of a pull request as it stood at the end."""

    id: int
    pull: PullRequest
    author: str
    state: Literal["approved", "changes_requested", "commented"]
    submitted_at: datetime
    dismissed_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """One step of a deployment."""

    id: int
    state: Literal["in_progress", "success", "failure", "inactive"]
    at: datetime


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment with its statuses in order of time."""

    id: int
    environment: Literal["staging", "production"]
    ref: str
    sha: str
    author: str
    created_at: datetime
    statuses: tuple[DeploymentStatus, ...]


@dataclass(frozen=True, slots=True)
class ShopSimulation:
    """Everything that happened to one product."""

    shop: Shop
    items: tuple[Item, ...]
    people: tuple[Person, ...]
    orders: tuple[Order, ...]
    mismatches: tuple[Mismatch, ...]
    spend: tuple[Spend, ...]
    answers: tuple[Answer, ...]
    pull_requests: tuple[PullRequest, ...]
    releases: tuple[Release, ...]
    issues: tuple[Issue, ...]
    incidents: tuple[Issue, ...]
    """Issues of their own, by their labels."""
    reviews: tuple[Review, ...]
    deployments: tuple[Deployment, ...]
    invitations: tuple[Invitation, ...]
    rates: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class Simulation:
    """The whole company over the period."""

    seed: int
    scale: str
    products: Mapping[str, ShopSimulation]


def stream(seed: int, *names: object) -> Random:
    """A random stream of its own for one part, so that a change in one part leaves the others alone."""
    return Random("/".join(str(part) for part in (seed, *names)))


def uuid_from(rng: Random) -> UUID:
    """A version 4 UUID from the stream."""
    return UUID(int=rng.getrandbits(128), version=4)


def local(day: date, seconds: int) -> datetime:
    """The moment `seconds` after local midnight, in UTC."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZONE)
    return (midnight + timedelta(seconds=seconds)).astimezone(UTC)


def business_date(at: datetime) -> date:
    """The day of a moment in the company's zone."""
    return at.astimezone(ZONE).date()
