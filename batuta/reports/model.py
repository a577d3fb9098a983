"""What a daily review is made from, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from batuta.facts import Fact, format_fact
from batuta.skill_records import Analysis

Direction: TypeAlias = Literal["up", "down"]
Health: TypeAlias = Literal["good", "attention"]

RECONCILE: Final = "sigma.finance.reconcile"
KPI_REVIEW: Final = "sigma.kpi.review"
PLAYBOOK: Final = "vox.crm.playbook"
CAMPAIGN: Final = "vox.campaign.draft"
SKILLS: Final = (RECONCILE, KPI_REVIEW, PLAYBOOK, CAMPAIGN)
"""Skills whose analyses have a section of their own."""


@dataclass(frozen=True, slots=True)
class KpiPoint:
    """One KPI on one day; `value` is None where there is none, for the `reason`."""

    day: date
    value: Decimal | None
    sample_size: int | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class KpiSeries:
    """One KPI with what the catalogue says of it, and its days up to the business date, oldest first."""

    kpi: str
    title: str
    definition: str
    unit: str
    """As in `batuta.facts`: `money:BRL`, `points`, `hours`, `count`, `percent`."""
    direction: Direction
    window: str
    owner: str
    headline: bool
    points: tuple[KpiPoint, ...]

    def on(self, day: date) -> KpiPoint | None:
        """The KPI on a day, if the series reaches it."""
        return next((point for point in reversed(self.points) if point.day == day), None)


@dataclass(frozen=True, slots=True)
class Intake:
    """What came in through one connector since the beginning."""

    connector: str
    landed: int
    duplicate: int
    quarantined: int
    filtered: int


@dataclass(frozen=True, slots=True)
class HeldDeliveries:
    """Deliveries waiting in quarantine for one reason."""

    connector: str
    reason_code: str
    count: int


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the data reaches: the newest event of the product, and the batch the numbers include."""

    batch: int | None
    newest_event_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProductInfo:
    """How a product's numbers are written."""

    name: str
    locale: str
    currency: str
    timezone: str
    kpis: tuple[str, ...] = ()
    """KPIs the product is led by, in order; none: those the catalogue calls headline."""


@dataclass(frozen=True, slots=True)
class ReviewInputs:
    """Everything a daily review is made from."""

    product: ProductInfo
    pipeline: str
    family: str
    business_date: date
    series: tuple[KpiSeries, ...]
    analyses: Mapping[str, Analysis]
    intake: tuple[Intake, ...]
    held: tuple[HeldDeliveries, ...]
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart for a mail: its content id, its file, and what it shows in words."""

    name: str
    png: bytes
    description: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to look at, with the section that says more and the facts it speaks of."""

    text: str
    """With a `{name}` for each fact."""
    anchor: str
    facts: Mapping[str, tuple[str, Fact]]
    """By name: (origin, fact)."""

    def plain(self, locale: str) -> str:
        """The notice in words."""
        return self.text.format(**{name: format_fact(fact, locale) for name, (_, fact) in self.facts.items()})


@dataclass(frozen=True, slots=True)
class Review:
    """A finished review: the page, and the words of its mail."""

    title: str
    subject: str
    html: str
    health: Health
    notices: tuple[Notice, ...]
    facts: tuple[Fact, ...]
    """The facts the page links to."""
