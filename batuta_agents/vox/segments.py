"""Customers by what they bought: recency, frequency and value, in named segments with stated thresholds.

A customer is in exactly one segment; those whose order has no known customer are `unidentified`, so that the net
sales of all segments and of these add up to the product's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, Self, TypeAlias, cast, get_args

from pydantic import Field, model_validator

from batuta_agents.context import SkillContext
from batuta_agents.forms import SkillInput
from batuta_agents.lineage import FromFacts, FromRows
from batuta_agents.queries import RowSet

SegmentName: TypeAlias = Literal[
    "champions", "loyal", "promising", "new", "cooling", "at_risk", "hibernating", "lost", "cancelled_only"
]
SEGMENTS: Final[tuple[SegmentName, ...]] = get_args(SegmentName)
AT_STAKE: Final = frozenset({"cooling", "at_risk", "hibernating"})
"""Segments whose next order is in doubt and can still be won."""


class SegmentInput(SkillInput):
    """Where one segment ends and the next begins."""

    recent_days: int = Field(default=30, ge=1, le=3650, description="A last order this recent is fresh.")
    lapsing_days: int = Field(default=60, ge=1, le=3650, description="Beyond it a customer is slipping away.")
    lost_days: int = Field(default=180, ge=1, le=3650, description="Beyond it a customer is lost.")
    loyal_orders: int = Field(default=3, ge=2, le=1000, description="Orders that make a customer loyal.")
    champion_orders: int = Field(default=5, ge=2, le=1000, description="Orders that make a champion.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.recent_days < self.lapsing_days < self.lost_days:
            raise ValueError("recent_days, lapsing_days and lost_days must grow")
        if self.champion_orders < self.loyal_orders:
            raise ValueError("champion_orders must not be less than loyal_orders")
        return self

    def thresholds(self) -> dict[str, int]:
        """The thresholds by name."""
        return {name: getattr(self, name) for name in SegmentInput.model_fields}


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment's numbers; facts `segment.<name>.customers`, `.net_sales`, ..."""

    name: SegmentName
    label: str
    customers: int
    orders: int
    net_sales: Decimal
    share_of_customers: Decimal
    share_of_net_sales: Decimal | None
    average_order_value: Decimal | None
    median_days_since_order: Decimal | None
    next_order_value: Decimal
    sample: tuple[str, ...]

    @property
    def facts(self) -> str:
        """Prefix of the segment's facts."""
        return f"segment.{self.name}"


@dataclass(frozen=True, slots=True)
class Segmentation:
    """All customers of a product by segment."""

    segments: tuple[Segment, ...]
    customers: int
    net_sales: Decimal
    unidentified_orders: int
    unidentified_net_sales: Decimal


def segment_customers(request: SegmentInput, context: SkillContext, sample: int) -> Segmentation:
    """Read the segments of the day and record their numbers."""
    rows = context.facts("segments", **request.thresholds(), sample=sample)
    for name, value in request.thresholds().items():
        context.given(
            f"threshold.{name}", value, "days" if name.endswith("_days") else "count", f"input.{name}"
        )
    by_name = {row["segment"]: number for number, row in enumerate(rows.rows)}
    present = [name for name in SEGMENTS if name in by_name]
    customers = sum(rows.rows[by_name[name]]["customers"] for name in present)
    known_sales = sum((rows.rows[by_name[name]]["net_sales"] for name in present), Decimal(0))
    rest = rows.rows[by_name["unidentified"]] if "unidentified" in by_name else None
    everything = FromRows(rows, ("customers", "net_sales"))
    context.fact("customers", customers, "count", everything)
    context.fact("customers.net_sales", known_sales, context.money, everything)
    _record_unidentified(request, context, rows, by_name.get("unidentified"))
    return Segmentation(
        segments=tuple(
            _segment(request, context, rows, by_name[name], customers, known_sales) for name in present
        ),
        customers=customers,
        net_sales=known_sales,
        unidentified_orders=rest["orders"] if rest else 0,
        unidentified_net_sales=rest["net_sales"] if rest else Decimal(0),
    )


def _record_unidentified(
    request: SegmentInput, context: SkillContext, rows: RowSet, number: int | None
) -> None:
    row: Mapping[str, Any] = {"orders": 0, "net_sales": Decimal(0)} if number is None else rows.rows[number]
    lineage = _lineage(request, context, rows, number, "unidentified", ("orders", "net_sales"))
    context.fact("unidentified.orders", row["orders"], "count", lineage)
    context.fact("unidentified.net_sales", row["net_sales"], context.money, lineage)


def _segment(
    request: SegmentInput,
    context: SkillContext,
    rows: RowSet,
    number: int,
    customers: int,
    known_sales: Decimal,
) -> Segment:
    row = rows.rows[number]
    name = cast("SegmentName", row["segment"])
    average = row["average_order_value"]
    segment = Segment(
        name=name,
        label=context.words(f"segment.{name}"),
        customers=row["customers"],
        orders=row["orders"],
        net_sales=row["net_sales"],
        share_of_customers=_share(row["customers"], customers),
        share_of_net_sales=_share(row["net_sales"], known_sales) if known_sales > 0 else None,
        average_order_value=average,
        median_days_since_order=row["median_days_since_order"],
        next_order_value=(row["customers"] * (average or Decimal(0))).quantize(Decimal("0.01")),
        sample=tuple(row["sample"] or ()),
    )
    _record_segment(request, context, rows, number, segment)
    return segment


def _record_segment(
    request: SegmentInput, context: SkillContext, rows: RowSet, number: int, segment: Segment
) -> None:
    facts = segment.facts
    measured = {
        "customers": "count",
        "orders": "count",
        "net_sales": context.money,
        "average_order_value": context.money,
        "median_days_since_order": "days",
    }
    for column, unit in measured.items():
        lineage = _lineage(request, context, rows, number, segment.name, (column,))
        context.fact(f"{facts}.{column}", getattr(segment, column), unit, lineage)
    context.given(f"{facts}.label", segment.label, "text", "narratives")
    context.fact(
        f"{facts}.share_of_customers",
        segment.share_of_customers,
        "percent",
        FromFacts((f"{facts}.customers", "customers"), "100 x customers of the segment / customers"),
    )
    context.fact(
        f"{facts}.share_of_net_sales",
        segment.share_of_net_sales,
        "percent",
        FromFacts(
            (f"{facts}.net_sales", "customers.net_sales"), "100 x net sales of the segment / net sales"
        ),
    )
    context.fact(
        f"{facts}.next_order_value",
        segment.next_order_value,
        context.money,
        FromFacts((f"{facts}.customers", f"{facts}.average_order_value"), "customers x average order value"),
    )


def _lineage(
    request: SegmentInput,
    context: SkillContext,
    rows: RowSet,
    number: int | None,
    segment: str,
    columns: tuple[str, ...],
) -> FromRows:
    events = context.events("segment_events", {**request.thresholds(), "segment": segment})
    return FromRows(rows, columns, events, () if number is None else (number,))


def _share(part: Decimal | int, whole: Decimal | int) -> Decimal:
    return (100 * Decimal(part) / whole).quantize(Decimal("0.1")) if whole else Decimal(0)


def most_at_stake(segmentation: Segmentation) -> Segment | None:
    """The segment at stake whose next orders are worth most; None where there is none."""
    at_stake = [segment for segment in segmentation.segments if segment.name in AT_STAKE]
    return max(at_stake, key=lambda segment: segment.next_order_value, default=None)
