"""Customer segments from purchase behaviour, each with its worth and what to do."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import Field

from batuta_agents.context import SkillContext
from batuta_agents.forms import OutputPart, Paragraph, SkillOutput
from batuta_agents.skill import skill
from batuta_agents.vox.segments import (
    AT_STAKE,
    Segment,
    Segmentation,
    SegmentInput,
    SegmentName,
    most_at_stake,
    segment_customers,
)


class PlaybookInput(SegmentInput):
    """Thresholds of the segments, and how many customers to name of each."""

    sample: int = Field(default=3, ge=0, le=50, description="Pseudonymous customers named per segment.")


class Play(OutputPart):
    """A segment and what to do; facts `<facts>.customers`, `.net_sales`, `.share_of_customers`, ..."""

    segment: SegmentName
    label: str
    rule: Paragraph
    customers: int
    orders: int
    net_sales: Decimal
    share_of_customers: Decimal
    share_of_net_sales: Decimal | None
    average_order_value: Decimal | None
    median_days_since_order: Decimal | None
    next_order_value: Decimal = Field(
        description="Customers x average order value: one more order of everybody."
    )
    at_stake: bool
    action: Paragraph
    sample: tuple[str, ...] = Field(description="Pseudonyms of the customers with the greatest net sales.")
    facts: str


class Playbook(SkillOutput):
    """All customers by segment; segments and the unidentified add up to the product's net sales."""

    product: str
    as_of: date
    currency: str
    customers: int
    net_sales: Decimal
    unidentified_orders: int
    unidentified_net_sales: Decimal
    segments: tuple[Play, ...]
    first_move: SegmentName | None = Field(
        description="The segment at stake whose next orders are worth most."
    )


@skill(
    "vox.crm.playbook",
    input=PlaybookInput,
    output=Playbook,
    needs=["live_orders", "live_refunds"],
    roles=["crm.read", "orders.read"],
)
def playbook(request: PlaybookInput, context: SkillContext) -> Playbook:
    """Group customers by what they buy, say what each group is worth and what to do about it."""
    segmentation = segment_customers(request, context, request.sample)
    context.given("as_of", context.as_of, "date", "request.as_of")
    first = most_at_stake(segmentation)
    return Playbook(
        narrative=_narrate(context, segmentation, first),
        product=context.request.product,
        as_of=context.as_of,
        currency=context.currency,
        customers=segmentation.customers,
        net_sales=segmentation.net_sales,
        unidentified_orders=segmentation.unidentified_orders,
        unidentified_net_sales=segmentation.unidentified_net_sales,
        segments=tuple(_play(context, segment) for segment in segmentation.segments),
        first_move=first.name if first else None,
    )


def _play(context: SkillContext, segment: Segment) -> Play:
    return Play(
        segment=segment.name,
        label=segment.label,
        rule=context.narrate(f"rule.{segment.name}"),
        customers=segment.customers,
        orders=segment.orders,
        net_sales=segment.net_sales,
        share_of_customers=segment.share_of_customers,
        share_of_net_sales=segment.share_of_net_sales,
        average_order_value=segment.average_order_value,
        median_days_since_order=segment.median_days_since_order,
        next_order_value=segment.next_order_value,
        at_stake=segment.name in AT_STAKE,
        action=context.narrate(f"action.{segment.name}"),
        sample=segment.sample,
        facts=segment.facts,
    )


def _narrate(
    context: SkillContext, segmentation: Segmentation, first: Segment | None
) -> tuple[Paragraph, ...]:
    if segmentation.customers == 0:
        return (context.narrate("empty"),)
    said = [context.narrate("opening", segmentation.customers)]
    best = max(segmentation.segments, key=lambda segment: segment.net_sales)
    said.append(_about(context, "best", best))
    if first is not None:
        said.append(_about(context, "first_move", first))
    if segmentation.unidentified_orders:
        said.append(context.narrate("unidentified", segmentation.unidentified_orders))
    return tuple(said)


def _about(context: SkillContext, key: str, segment: Segment) -> Paragraph:
    return Paragraph(key=key, text=context.words(key, segment.customers).replace("{facts}", segment.facts))
