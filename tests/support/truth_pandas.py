"""What every KPI must be at a day, computed in pandas from what the vendors told and nothing else.

By the definitions of the KPI catalogue; no SQL, no code of BATUTA. Every value is rounded once, half up, to the
hundredth.
"""

import math
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd

from tests.support.told_pandas import Frame, Told, minutes_of, moment_of

WINDOW_DAYS = 90

Values = dict[str, Decimal | None]


def kpis(told: Told, on: date, gross_margin: Decimal | None = None) -> Values:
    """Every KPI at the end of a business day; None where nothing can be said. NPS comes with `NPS low`, `NPS high`."""
    since = on - timedelta(days=WINDOW_DAYS - 1)
    sales = told.orders[told.orders.is_sale]
    of_sales = told.refunds[told.refunds.order.isin(sales.order)]
    customers = told.won[told.won <= on].index
    theirs = sales[sales.customer.isin(customers) & (sales.day <= on)]
    theirs_back = of_sales[
        of_sales.order.isin(sales.order[sales.customer.isin(customers)]) & (of_sales.day <= on)
    ]
    ltv = _per(theirs.sold.sum() - theirs_back.back.sum(), len(customers))
    new_customers = int(told.won.between(since, on).sum())
    spent, media = _accrued(told.spend, since, on)
    any_spend = bool((told.spend.start <= on).any())
    cac = _per(spent, new_customers) if any_spend else None
    lately = sales[sales.day.between(since, on)]
    sold, back = lately.sold.sum(), of_sales[of_sales.day.between(since, on)].back.sum()
    active = lately.customer.dropna().nunique()
    profit = _per(_times(gross_margin, sold - back), 3 * active)
    today = sales[sales.day == on]
    values: dict[str, Fraction | Decimal | int | None] = {
        "LTV": ltv,
        "CAC": cac,
        "CAC_paid": _per(media, new_customers) if any_spend else None,
        "LTV_CAC": _per(_times(gross_margin, ltv), cac),
        "payback": _per(cac, profit if profit is not None and profit > 0 else None),
        "net_sales": today.sold.sum() - of_sales[of_sales.day == on].back.sum(),
        "orders": len(today),
        "new_customers": int((told.won == on).sum()),
        "average_order_value": _per(sold, len(lately)),
        "refund_rate": _per(100 * back, sold),
        "active_customers": active,
        "repeat_rate": _per(100 * int((theirs.groupby("customer").size() >= 2).sum()), len(customers)),
    }
    values |= _surveys(told, since, on) | _delivery(told, since, on)
    return {name: None if value is None else _rounded(value) for name, value in values.items()}


def days(told: Told, until: date) -> list[date]:
    """The business days from the first that anything happened on to `until`."""
    dated = (told.orders[told.orders.is_sale], told.answers, told.invitations, told.releases, told.issues)
    first = min([*(frame.day.min() for frame in dated if len(frame)), told.spend.start.min()])
    return [first + timedelta(days=index) for index in range((until - first).days + 1)]


def _accrued(spend: Frame, since: date, on: date) -> tuple[Fraction, Fraction]:
    """What was spent in the window, each spend by day over its period: in all, and on media."""
    totals = {"all": Fraction(0), "media": Fraction(0)}
    for item in spend.itertuples():
        inside = max((min(item.end, on) - max(item.start, since)).days + 1, 0)
        share = item.amount * inside / ((item.end - item.start).days + 1)
        totals["all"] += share
        totals["media"] += share if item.kind == "media" else 0
    return totals["all"], totals["media"]


def _surveys(told: Told, since: date, on: date) -> dict[str, Fraction | None]:
    inside = told.answers[told.answers.day.between(since, on)].sort_values(["at", "id"])
    scores = inside.drop_duplicates("respondent", keep="last").score
    promoters, detractors, count = int((scores >= 9).sum()), int((scores <= 6).sum()), len(scores)
    nps = _per(100 * (promoters - detractors), count)
    sent = told.invitations[told.invitations.day.between(since, on)]
    given = told.answers[told.answers.day <= on].merge(sent, on=["survey", "respondent"])
    answered = given[given["at_x"] >= given["at_y"]].drop_duplicates(["survey", "respondent"])
    low = high = None
    if nps is not None:
        p, d = promoters / count, detractors / count
        margin = Fraction(196 * math.sqrt((p + d - (p - d) ** 2) / count))
        low, high = max(nps - margin, Fraction(-100)), min(nps + margin, Fraction(100))
    return {
        "NPS": nps,
        "NPS low": low,
        "NPS high": high,
        "response_rate": _per(100 * len(answered), len(sent)),
    }


def _delivery(told: Told, since: date, on: date) -> dict[str, Fraction | int | None]:
    issues = told.issues[told.issues.day <= on]
    closed = issues[issues.closed_day.map(lambda day: day is not None and day <= on).astype(bool)]
    incidents = issues[issues.is_incident.astype(bool)]
    restored = closed[closed.is_incident.astype(bool) & (closed.closed_day >= since)]
    minutes = [minutes_of(moment_of(item.closed) - moment_of(item.opened)) for item in restored.itertuples()]
    released = told.releases[told.releases.day.between(since, on)]
    failed = set()
    for at in incidents.opened.map(moment_of):
        before = told.releases[told.releases["at"] <= at]
        if len(before) and before.day.iloc[-1] >= since:
            failed.add(before["at"].iloc[-1])
    return {
        "leadTime": _median_hours(told.waits[told.waits.day.between(since, on)].minutes),
        "restore_time": _median_hours(pd.Series(minutes, dtype=object)),
        "deployment_frequency": Fraction(7 * len(released), WINDOW_DAYS),
        "change_failure_rate": _per(100 * len(failed), len(released)),
        "open_issues": len(issues) - len(closed),
    }


def _median_hours(minutes: Frame) -> Fraction | None:
    return Fraction(float(minutes.astype(float).median())) / 60 if len(minutes) else None


def _per(amount: Any, count: Any) -> Fraction | None:
    """A quotient; None where there is nothing to divide, or by."""
    return Fraction(amount) / Fraction(count) if amount is not None and count else None


def _times(share: Decimal | None, amount: Any) -> Fraction | None:
    return Fraction(share) * Fraction(amount) if share is not None and amount is not None else None


def _rounded(value: Fraction | Decimal | int) -> Decimal:
    cents = Fraction(value) * 100
    whole = math.floor(abs(cents) + Fraction(1, 2))
    return Decimal(whole if cents >= 0 else -whole) / 100
