"""What the KPIs of the example company must be, computed from what was lived, not from what was landed.

Exact arithmetic over the simulated entities, by the definitions of the KPI catalogue and nothing else: no
SQL, no event, no code of BATUTA. Money is summed in whole cents; every value is rounded once, half up, at
the end.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from examples.arcsat.generate import Simulation

WINDOW_DAYS = 90
CENT = Fraction(1, 100)
ZONE_OFFSET = timedelta(hours=-3)


@dataclass(frozen=True, slots=True)
class Expected:
    """One KPI value with what it is made of. `value` is None where there is no value; `reason` says why."""

    value: Decimal | None
    sample_size: int
    reason: str | None = None
    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class DayTotals:
    """What one business day sold."""

    net_sales: Decimal
    orders: int
    new_customers: int


@dataclass(frozen=True, slots=True)
class ExpectedKpis:
    """All KPI values of one product at one day."""

    ltv: Expected
    cac: Expected
    nps: Expected
    lead_time: Expected
    open_undeployed: int
    day: DayTotals


def rounded(value: Fraction, places: int = 2) -> Decimal:
    """Half away from zero, as SQL's `round(numeric)`."""
    scale = 10**places
    scaled = abs(value) * scale
    whole = math.floor(scaled + Fraction(1, 2))
    return Decimal(whole if value >= 0 else -whole).scaleb(-places)


def day_of(at: datetime) -> date:
    """The business date of a moment; the company's zone has no summer time in the period."""
    return (at.replace(tzinfo=None) - (at.utcoffset() or timedelta()) + ZONE_OFFSET).date()


def expected_kpis(simulation: Simulation, product: str, as_of: date) -> ExpectedKpis:
    """The KPI values of a product at the end of a business day.

    Args:
        simulation: what happened, complete; later changes of state count for earlier days too.
        product: name of the product.
        as_of: last business day that is dated in.
    """
    lived = simulation.products[product]
    acquired = acquisition_days(lived)
    return ExpectedKpis(
        ltv=_ltv(lived, acquired, as_of),
        cac=_cac(lived, acquired, as_of),
        nps=_nps(lived, as_of),
        lead_time=_lead_time(lived, as_of),
        open_undeployed=len(list(_undeployed(lived, as_of))),
        day=day_totals(lived, acquired, as_of),
    )


def customer_key(order: Any) -> tuple[str, object] | None:
    """Who an order belongs to: the account, else the e-mail of a guest, else nobody."""
    if not order.named:
        return None
    if order.person.customer_id is not None:
        return ("account", order.person.customer_id)
    return ("e-mail", order.email.strip().lower()) if order.email else None


def counts_as_sale(order: Any) -> bool:
    """Whether an order is part of sales."""
    return not order.test and order.state.financial_status != "voided" and order.deleted_at is None


def sold_cents(order: Any) -> int:
    """Gross sales less discounts of an order."""
    return sum(
        line.price_cents * line.quantity - line.discount_cents
        for line in order.state.lines
        if not line.item.gift_card
    )


def returned_cents(refund: Any) -> int:
    """What a refund takes off net sales."""
    goods = sum(part.subtotal_cents for part in refund.lines if not part.line.item.gift_card)
    return goods - sum(a.amount_cents for a in refund.adjustments if a.kind == "refund_discrepancy")


def is_booked(refund: Any) -> bool:
    """Whether a refund counts: not where money was to move and none of it did."""
    return not refund.transactions or any(t.status not in ("failure", "error") for t in refund.transactions)


def refund_day(refund: Any) -> date:
    """The business date of a refund."""
    return day_of(refund.processed_at or refund.created_at)


def net_movements(orders: Iterable[Any]) -> list[tuple[date, Any, int]]:
    """Every dated movement of net sales: (day, order, cents)."""
    moves: list[tuple[date, Any, int]] = []
    for order in orders:
        if counts_as_sale(order):
            moves.append((day_of(order.processed_at), order, sold_cents(order)))
            moves.extend(
                (refund_day(refund), order, -returned_cents(refund))
                for refund in order.refunds
                if is_booked(refund)
            )
    return moves


def acquisition_days(lived: Any) -> dict[tuple[str, object], date]:
    """When each customer was won: the day of the first paid order that is neither a test nor cancelled."""
    won: dict[tuple[str, object], date] = {}
    for order in lived.orders:
        key = customer_key(order)
        if key is None or order.test or order.state.cancelled_at or order.deleted_at:
            continue
        if not any(
            t.kind in ("sale", "capture") and t.status == "success" and not t.test for t in order.transactions
        ):
            continue
        day = day_of(order.processed_at)
        won[key] = min(day, won.get(key, day))
    return won


def day_totals(lived: Any, acquired: dict[tuple[str, object], date], day: date) -> DayTotals:
    """What a day sold and won."""
    cents = sum(amount for on, _, amount in net_movements(lived.orders) if on == day)
    orders = sum(1 for order in lived.orders if counts_as_sale(order) and day_of(order.processed_at) == day)
    return DayTotals(rounded(Fraction(cents, 100)), orders, sum(1 for on in acquired.values() if on == day))


def _ltv(lived: Any, acquired: dict[tuple[str, object], date], as_of: date) -> Expected:
    customers = {key for key, day in acquired.items() if day <= as_of}
    if not customers:
        return Expected(None, 0, "no customers")
    cents = sum(
        amount
        for day, order, amount in net_movements(lived.orders)
        if day <= as_of and customer_key(order) in customers
    )
    return Expected(rounded(Fraction(cents, 100 * len(customers))), len(customers))


def _window(as_of: date) -> tuple[date, date]:
    return as_of - timedelta(days=WINDOW_DAYS - 1), as_of


def _cac(lived: Any, acquired: dict[tuple[str, object], date], as_of: date) -> Expected:
    first, last = _window(as_of)
    customers = sum(1 for day in acquired.values() if first <= day <= last)
    if not lived.spend:
        return Expected(None, customers, "no spend recorded")
    if not customers:
        return Expected(None, 0, "no new customers")
    spent = Fraction(0)
    for item in lived.spend:
        days = (item.period_end - item.period_start).days + 1
        inside = (min(item.period_end, last) - max(item.period_start, first)).days + 1
        spent += Fraction(item.amount_cents, 100 * days) * max(inside, 0)
    return Expected(rounded(spent / customers), customers)


def _nps(lived: Any, as_of: date) -> Expected:
    first, last = _window(as_of)
    latest: dict[str, Any] = {}
    for answer in lived.answers:
        if first <= day_of(answer.answered_at) <= last:
            known = latest.get(answer.respondent)
            if known is None or (answer.answered_at, str(answer.id)) > (known.answered_at, str(known.id)):
                latest[answer.respondent] = answer
    count = len(latest)
    if not count:
        return Expected(None, 0, "no answers")
    promoters = sum(1 for answer in latest.values() if answer.score >= 9)
    detractors = sum(1 for answer in latest.values() if answer.score <= 6)
    score = Fraction(100 * (promoters - detractors), count)
    p, d = Fraction(promoters, count), Fraction(detractors, count)
    error = 100 * math.sqrt((p + d - (p - d) ** 2) / count)
    bounds = (min(max(float(score) + sign * 1.96 * error, -100.0), 100.0) for sign in (-1, 1))
    low, high = (rounded(Fraction(bound)) for bound in bounds)
    return Expected(rounded(score), count, "small sample" if count < 30 else None, low, high)


def _merged(lived: Any) -> Iterable[Any]:
    return (pull for pull in lived.pull_requests if pull.merged and not pull.bot and pull.base == "main")


def _releases(lived: Any) -> list[datetime]:
    return sorted(r.published_at for r in lived.releases if r.published_at and not r.prerelease)


def _deployed_at(lived: Any, pull: Any) -> datetime | None:
    return next((at for at in _releases(lived) if at >= pull.closed_at), None)


def _lead_time(lived: Any, as_of: date) -> Expected:
    first, last = _window(as_of)
    minutes: list[int] = []
    for pull in _merged(lived):
        at = _deployed_at(lived, pull)
        if at is not None and first <= day_of(at) <= last:
            minutes.append(
                math.ceil(Fraction((at - pull.closed_at) // timedelta(microseconds=1), 60_000_000))
            )
    if not minutes:
        return Expected(None, 0, "nothing released")
    minutes.sort()
    position = Fraction(len(minutes) - 1, 2)
    below, above = minutes[math.floor(position)], minutes[math.ceil(position)]
    return Expected(rounded(Fraction(below + above, 2) / 60), len(minutes))


def _undeployed(lived: Any, as_of: date) -> Iterable[Any]:
    """Merged by the day and not yet released by it."""
    for pull in _merged(lived):
        at = _deployed_at(lived, pull)
        if day_of(pull.closed_at) <= as_of and (at is None or day_of(at) > as_of):
            yield pull


def daily_net_sales(lived: Any) -> dict[date, Decimal]:
    """Net sales of every day that had a movement."""
    cents: dict[date, int] = defaultdict(int)
    for day, _, amount in net_movements(lived.orders):
        cents[day] += amount
    return {day: rounded(Fraction(amount, 100)) for day, amount in sorted(cents.items())}


def expected_mismatches(simulation: Simulation, product: str) -> set[tuple[str, int, int]]:
    """What reconciliation must find, planted or a failed refund: (kind, order, found less expected in cents)."""
    lived = simulation.products[product]
    kinds = {"paid_amount_differs": "captured_differs_from_total"}
    found = {
        (kinds.get(m.kind, m.kind), m.order_id, m.actual_cents - m.expected_cents) for m in lived.mismatches
    }
    for order in lived.orders:
        moves = [move for refund in order.refunds for move in refund.transactions]
        if moves and not order.test and not any(move.status == "success" for move in moves):
            owed = sum(move.amount_cents for move in moves)
            found.add(("refund_recorded_but_not_moved", order.id, -owed))
    return found
