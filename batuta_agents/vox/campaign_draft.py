"""A campaign for one segment: audience, offer, messages, what it may bring, and what to mind before sending.

A draft: nothing is sent. The answer rate is an assumption and says so; all else comes from the segment's facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from pydantic import Field

from batuta_agents.context import SkillContext
from batuta_agents.forms import OutputPart, Paragraph, SkillOutput
from batuta_agents.lineage import FromFacts
from batuta_agents.skill import skill
from batuta_agents.vox.segments import Segment, SegmentInput, SegmentName, most_at_stake, segment_customers

Channel: TypeAlias = Literal["email", "whatsapp"]
Aim: TypeAlias = Literal["thank", "lead_on", "win_back"]

AIMS: Final[Mapping[SegmentName, Aim]] = {
    "champions": "thank",
    "loyal": "thank",
    "promising": "lead_on",
    "new": "lead_on",
    "cooling": "win_back",
    "at_risk": "win_back",
    "hibernating": "win_back",
    "lost": "win_back",
    "cancelled_only": "win_back",
}
_CENT: Final = Decimal("0.01")


class CampaignInput(SegmentInput):
    """Whom to address with what; without a segment, the one with most at stake."""

    segment: SegmentName | None = Field(default=None, description="Segment to address.")
    discount_percent: int = Field(default=10, ge=0, le=90, description="Discount offered; 0 offers none.")
    response_percent: int = Field(
        default=5, ge=1, le=100, description="Assumed share of the audience that orders."
    )
    valid_days: int = Field(
        default=7, ge=1, le=90, description="Days the offer holds, from the day after the as-of day."
    )
    channels: tuple[Channel, ...] = Field(
        default=("email", "whatsapp"), min_length=1, description="Where to say it."
    )


class Message(OutputPart):
    """What to say in one channel."""

    channel: Channel
    subject: Paragraph | None
    body: Paragraph


class Expectation(OutputPart):
    """What the campaign may bring; facts `expected.orders`, `expected.discount`, `expected.net_sales`."""

    orders: Decimal
    discount: Decimal
    net_sales: Decimal
    formula: Paragraph


class CampaignDraft(SkillOutput):
    """A draft to be approved by a person."""

    product: str
    as_of: date
    currency: str
    segment: SegmentName | None = Field(description="None where no segment has customers to address.")
    label: str | None
    audience: int
    discount_percent: int
    valid_until: date
    messages: tuple[Message, ...]
    expected: Expectation | None
    guardrails: tuple[Paragraph, ...]


@skill(
    "vox.campaign.draft",
    input=CampaignInput,
    output=CampaignDraft,
    needs=["live_orders", "live_refunds"],
    roles=["crm.read", "orders.read"],
)
def draft(request: CampaignInput, context: SkillContext) -> CampaignDraft:
    """Draft a campaign for one segment, with its audience, offer, messages and what it may bring."""
    segmentation = segment_customers(request, context, sample=0)
    valid_until = context.as_of + timedelta(days=request.valid_days)
    context.given("as_of", context.as_of, "date", "request.as_of")
    context.given("product", context.request.product, "text", "request.product")
    context.given("discount", Decimal(request.discount_percent), "percent", "input.discount_percent")
    context.given(
        "response", Decimal(request.response_percent), "percent", "input.response_percent", "an assumption"
    )
    context.given("valid_until", valid_until, "date", "input.valid_days")
    if request.segment is None:
        segment = most_at_stake(segmentation)
    else:
        segment = next((s for s in segmentation.segments if s.name == request.segment), None)
    expected = None if segment is None else _expect(request, context, segment)
    return CampaignDraft(
        narrative=_narrate(context, segment),
        product=context.request.product,
        as_of=context.as_of,
        currency=context.currency,
        segment=segment.name if segment else None,
        label=segment.label if segment else None,
        audience=segment.customers if segment else 0,
        discount_percent=request.discount_percent,
        valid_until=valid_until,
        messages=tuple(_message(context, request, segment, channel) for channel in request.channels)
        if segment
        else (),
        expected=expected,
        guardrails=tuple(
            context.narrate(f"guardrail.{name}") for name in ("consent", "cap", "holdout", "approval")
        ),
    )


def _expect(request: CampaignInput, context: SkillContext, segment: Segment) -> Expectation:
    """Audience x assumed answers, at the segment's average order value, less the discount."""
    facts = segment.facts
    orders = (Decimal(segment.customers * request.response_percent) / 100).quantize(Decimal("0.1"))
    gross = orders * (segment.average_order_value or Decimal(0))
    discount = (gross * request.discount_percent / 100).quantize(_CENT)
    net_sales = (gross - discount).quantize(_CENT)
    context.fact(
        "expected.orders",
        orders,
        "number",
        FromFacts((f"{facts}.customers", "response"), "audience x response"),
    )
    context.fact(
        "expected.discount",
        discount,
        context.money,
        FromFacts(
            ("expected.orders", f"{facts}.average_order_value", "discount"),
            "orders x average order value x discount",
        ),
    )
    context.fact(
        "expected.net_sales",
        net_sales,
        context.money,
        FromFacts(
            ("expected.orders", f"{facts}.average_order_value", "expected.discount"),
            "orders x average order value - discount",
        ),
    )
    return Expectation(
        orders=orders, discount=discount, net_sales=net_sales, formula=_about(context, "formula", segment)
    )


def _message(context: SkillContext, request: CampaignInput, segment: Segment, channel: Channel) -> Message:
    """Words by what the segment needs: to be thanked, to be led on, or to be won back."""
    aim = AIMS[segment.name]
    offer = context.words("offer" if request.discount_percent else "no_offer")
    return Message(
        channel=channel,
        subject=context.narrate(f"subject.{aim}") if channel == "email" else None,
        body=Paragraph(
            key=f"{channel}.{aim}", text=context.words(f"{channel}.{aim}").replace("{offer}", offer)
        ),
    )


def _narrate(context: SkillContext, segment: Segment | None) -> tuple[Paragraph, ...]:
    if segment is None:
        return (context.narrate("nobody"),)
    return (_about(context, "opening", segment), _about(context, "expected", segment))


def _about(context: SkillContext, key: str, segment: Segment) -> Paragraph:
    text = context.words(key, segment.customers)
    return Paragraph(key=key, text=text.replace("{facts}", segment.facts))
