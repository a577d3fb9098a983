"""Orders against transactions and refunds, order by order.

An order may disagree in more than one way; each way is listed. The value at risk counts each order once, with its
greatest difference. Money in another currency is listed and not added up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, get_args

from pydantic import Field

from batuta_agents.context import SkillContext
from batuta_agents.forms import OutputPart, Paragraph, SkillInput, SkillOutput
from batuta_agents.lineage import EventList, FromFacts, FromRows
from batuta_agents.queries import RowSet
from batuta_agents.skill import skill

Kind: TypeAlias = Literal[
    "transaction_without_order",
    "currency_mismatch",
    "captured_on_cancelled_without_refund",
    "paid_without_transaction",
    "captured_differs_from_total",
    "captured_on_unpaid_order",
    "refund_exceeds_captured",
    "refund_recorded_but_not_moved",
    "refund_moved_but_not_recorded",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_PAID: Final = frozenset({"paid", "partially_refunded", "refunded"})
_CENT: Final = Decimal("0.01")
_NOTHING: Final = Decimal(0)


class ReconcileInput(SkillInput):
    """What counts as a mismatch, and how far back to look."""

    days: int = Field(
        default=90, ge=1, le=3660, description="Business days checked, the last one being the as-of day."
    )
    tolerance_cents: int = Field(
        default=0, ge=0, le=100_000, description="Differences up to this are agreement."
    )
    limit: int = Field(default=100, ge=1, le=1000, description="Mismatches listed, the greatest first.")


class Mismatch(OutputPart):
    """One way in which one order and its money disagree; facts `<facts>.expected`, `.found`, `.difference`."""

    kind: Kind
    label: str
    order_id: str
    order_name: str | None
    business_date: date
    financial_status: str | None
    currency: str
    expected: Decimal
    found: Decimal
    difference: Decimal = Field(description="found - expected")
    facts: str


class KindTotal(OutputPart):
    """All mismatches of a kind; facts `<facts>.orders` and `<facts>.difference`."""

    kind: Kind
    label: str
    meaning: str
    orders: int
    difference: Decimal = Field(description="Sum of absolute differences, product's currency only.")
    facts: str


class ReconcileReport(SkillOutput):
    """What was checked, what does not agree, and how much is at stake."""

    product: str
    since: date
    as_of: date
    currency: str
    checked: int
    agreeing: int
    mismatched: int = Field(
        description="Orders with at least one mismatch, and order ids only transactions name."
    )
    sold: Decimal
    captured: Decimal
    refunded: Decimal
    value_at_risk: Decimal
    kinds: tuple[KindTotal, ...]
    mismatches: tuple[Mismatch, ...]
    unlisted: int = Field(description="Mismatches beyond the limit; they are in the totals.")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A finding of `disagreements`."""

    kind: Kind
    expected: Decimal
    found: Decimal

    @property
    def difference(self) -> Decimal:
        """What was found beyond what was expected."""
        return self.found - self.expected


@dataclass(frozen=True, slots=True)
class _Finding:
    row: int
    facts: str
    order: Mapping[str, Any]
    disagreement: Disagreement


def disagreements(order: Mapping[str, Any], tolerance: Decimal) -> Iterator[Disagreement]:
    """Every way in which an order's payments do not settle it by more than `tolerance`."""
    captured: Decimal = order["captured"]
    refunded: Decimal = order["refunded"]
    total: Decimal = order["total_price"]
    if not order["has_order"]:
        yield Disagreement("transaction_without_order", _NOTHING, captured - refunded)
        return
    if order["foreign_transactions"]:
        yield Disagreement("currency_mismatch", total, captured)
        return
    status = order["financial_status"]
    kept = captured - refunded
    if order["is_cancelled"]:
        if kept > tolerance:
            yield Disagreement("captured_on_cancelled_without_refund", _NOTHING, kept)
    elif status in _PAID and captured == 0:
        if total > tolerance:
            yield Disagreement("paid_without_transaction", total, captured)
    elif status in _PAID or status == "partially_paid":
        excess = captured - total
        if excess > tolerance or (status in _PAID and -excess > tolerance):
            yield Disagreement("captured_differs_from_total", total, captured)
    elif captured > tolerance:
        yield Disagreement("captured_on_unpaid_order", _NOTHING, captured)
    if refunded - captured > tolerance:
        yield Disagreement("refund_exceeds_captured", captured, refunded)
    if order["refund_not_moved"] > tolerance:
        yield Disagreement("refund_recorded_but_not_moved", refunded + order["refund_not_moved"], refunded)
    if refunded - order["refund_recorded"] > tolerance:
        yield Disagreement("refund_moved_but_not_recorded", order["refund_recorded"], refunded)


@skill(
    "sigma.finance.reconcile",
    input=ReconcileInput,
    output=ReconcileReport,
    needs=["live_orders", "live_transactions", "live_refunds"],
    roles=["finance.read", "orders.read"],
)
def reconcile(request: ReconcileInput, context: SkillContext) -> ReconcileReport:
    """Match what was sold with what was paid and paid back, order by order, and list what does not agree."""
    orders = context.facts("orders_with_payments", days=request.days)
    totals = _record_totals(request, context)
    findings = _find(orders, request.tolerance_cents * _CENT)
    kinds = _record_kinds(context, orders, findings)
    mismatches = _record_mismatches(context, orders, findings[: request.limit])
    mismatched = {finding.row for finding in findings}
    with_order = sum(orders.rows[row]["has_order"] for row in mismatched)
    agreeing = totals["checked"] - with_order
    value_at_risk = _record_outcome(context, orders, findings, agreeing)
    return ReconcileReport(
        narrative=_narrate(context, totals["checked"], len(mismatched), kinds),
        product=context.request.product,
        since=context.as_of - timedelta(days=request.days - 1),
        as_of=context.as_of,
        currency=context.currency,
        checked=totals["checked"],
        agreeing=agreeing,
        mismatched=len(mismatched),
        sold=totals["sold"],
        captured=totals["captured"],
        refunded=totals["refunded"],
        value_at_risk=value_at_risk,
        kinds=kinds,
        mismatches=mismatches,
        unlisted=max(0, len(findings) - request.limit),
    )


def _find(orders: RowSet, tolerance: Decimal) -> list[_Finding]:
    """All disagreements, the greatest first."""
    found = [
        _Finding(row, f"order.{order['order_id']}.{disagreement.kind}", order, disagreement)
        for row, order in enumerate(orders.rows)
        for disagreement in disagreements(order, tolerance)
    ]
    return sorted(
        found, key=lambda finding: (-abs(finding.disagreement.difference), finding.facts, finding.row)
    )


def _record_totals(request: ReconcileInput, context: SkillContext) -> Mapping[str, Any]:
    rows = context.facts("reconcile_totals", days=request.days)
    events = context.events("reconcile_events", {"days": request.days})
    totals = rows.rows[0]
    context.given("window_days", request.days, "days", "input.days")
    context.given("tolerance", request.tolerance_cents * _CENT, context.money, "input.tolerance_cents")
    context.given("as_of", context.as_of, "date", "request.as_of")
    for name, unit in (
        ("checked", "count"),
        ("sold", context.money),
        ("captured", context.money),
        ("refunded", context.money),
    ):
        context.fact(name, totals[name], unit, FromRows(rows, (name,), events))
    return totals


def _record_kinds(context: SkillContext, orders: RowSet, findings: list[_Finding]) -> tuple[KindTotal, ...]:
    totals: list[KindTotal] = []
    for kind in KINDS:
        of_kind = [finding for finding in findings if finding.disagreement.kind == kind]
        if not of_kind:
            continue
        difference = sum(
            (abs(f.disagreement.difference) for f in of_kind if f.order["currency"] == context.currency),
            _NOTHING,
        )
        lineage = _lineage(orders, [finding.row for finding in of_kind])
        context.fact(f"kind.{kind}.orders", len(of_kind), "count", lineage)
        context.fact(f"kind.{kind}.difference", difference, context.money, lineage)
        totals.append(
            KindTotal(
                kind=kind,
                label=context.words(f"kind.{kind}"),
                meaning=context.words(f"meaning.{kind}"),
                orders=len(of_kind),
                difference=difference,
                facts=f"kind.{kind}",
            )
        )
    return tuple(totals)


def _record_mismatches(
    context: SkillContext, orders: RowSet, findings: list[_Finding]
) -> tuple[Mismatch, ...]:
    listed: list[Mismatch] = []
    for finding in findings:
        order, disagreement = finding.order, finding.disagreement
        unit = f"money:{order['currency']}"
        facts = finding.facts if order["has_order"] else f"{finding.facts}.{order['currency']}"
        lineage = _lineage(orders, [finding.row])
        context.fact(f"{facts}.expected", disagreement.expected, unit, lineage)
        context.fact(f"{facts}.found", disagreement.found, unit, lineage)
        context.fact(f"{facts}.difference", disagreement.difference, unit, lineage)
        listed.append(
            Mismatch(
                kind=disagreement.kind,
                label=context.words(f"kind.{disagreement.kind}"),
                order_id=order["order_id"],
                order_name=order["order_name"],
                business_date=order["business_date"],
                financial_status=order["financial_status"],
                currency=order["currency"],
                expected=disagreement.expected,
                found=disagreement.found,
                difference=disagreement.difference,
                facts=facts,
            )
        )
    return tuple(listed)


def _record_outcome(
    context: SkillContext, orders: RowSet, findings: list[_Finding], agreeing: int
) -> Decimal:
    """Record how many orders agree, how many do not and the value at risk; returns the latter."""
    greatest: dict[int, Decimal] = {}
    for finding in findings:
        if finding.order["currency"] == context.currency:
            difference = abs(finding.disagreement.difference)
            greatest[finding.row] = max(difference, greatest.get(finding.row, _NOTHING))
    value_at_risk = sum(greatest.values(), start=_NOTHING)
    lineage = _lineage(orders, [finding.row for finding in findings])
    context.fact("mismatched", len({finding.row for finding in findings}), "count", lineage)
    context.fact("value_at_risk", value_at_risk, context.money, lineage)
    context.fact(
        "agreeing", agreeing, "count", FromFacts(("checked", "mismatched"), "checked - mismatched orders")
    )
    return value_at_risk


def _lineage(orders: RowSet, rows: list[int]) -> FromRows:
    picked = tuple(sorted(set(rows)))
    events = EventList.of(ref for row in picked for ref in orders.rows[row]["events"])
    return FromRows(
        orders, ("total_price", "captured", "refunded", "refund_recorded", "refund_not_moved"), events, picked
    )


def _narrate(
    context: SkillContext, checked: int, mismatched: int, kinds: tuple[KindTotal, ...]
) -> tuple[Paragraph, ...]:
    if checked == 0 and mismatched == 0:
        return (context.narrate("empty"),)
    opening = context.narrate("checked", checked)
    if mismatched == 0:
        return (opening, context.narrate("ok"))
    greatest = max(kinds, key=lambda total: (total.difference, total.orders))
    context.given(
        "greatest_kind", greatest.label, "text", "kinds", "the kind with the greatest total difference"
    )
    context.fact(
        "greatest_kind.orders", greatest.orders, "count", FromFacts((f"{greatest.facts}.orders",), "the same")
    )
    context.fact(
        "greatest_kind.difference",
        greatest.difference,
        context.money,
        FromFacts((f"{greatest.facts}.difference",), "the same"),
    )
    return (opening, context.narrate("mismatch", mismatched), context.narrate("greatest", greatest.orders))
