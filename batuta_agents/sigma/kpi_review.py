"""Levels, changes and anomalies of a product's KPIs, each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import Field

from batuta.anomalies import Outlier, outliers
from batuta.kpis import reason_in
from batuta_agents.context import SkillContext
from batuta_agents.forms import OutputPart, Paragraph, SkillInput, SkillOutput
from batuta_agents.lineage import EventList, FromFacts, FromRows
from batuta_agents.queries import RowSet
from batuta_agents.skill import skill

Verdict: TypeAlias = Literal["better", "worse", "same", "unknown"]
Side: TypeAlias = Literal["above", "below"]

WATCHED: Final[Mapping[str, bool]] = {"net_sales": False, "orders": True, "new_customers": True}
"""KPIs of one day each, judged for anomalies; True where they are counts."""
COMPARED_DAYS: Final = (1, 7, 28)
HISTORY_DAYS: Final = 63
NO_DAY: Final = "no_day"
"""The reason where a series does not reach the day."""
_ONE: Final = Decimal(1)
_CENT: Final = Decimal("0.01")
_TENTH: Final = Decimal("0.1")


class KpiReviewInput(SkillInput):
    """How far back to look for anomalies, and how far off they must be."""

    judged_days: int = Field(
        default=14, ge=1, le=HISTORY_DAYS, description="Latest days looked at for anomalies."
    )
    threshold: float = Field(
        default=4.0, ge=2, le=20, description="Robust standard deviations that make an anomaly."
    )


class Change(OutputPart):
    """A KPI against its value some days earlier; facts `<facts>.previous`, `.absolute`, `.percent`."""

    days: int
    previous: Decimal | None
    absolute: Decimal | None
    percent: Decimal | None = Field(
        description="None for shares and scores, and where the earlier value is 0."
    )
    verdict: Verdict
    facts: str


class KpiReading(OutputPart):
    """A KPI on the as-of day; facts `<facts>.value` and, where given, `.low`, `.high`, `.sample_size`."""

    kpi: str
    label: str
    value: Decimal | None
    unit: str
    basis: str | None
    reason: str | None = Field(description="Why there is no value, or what to keep in mind.")
    headline: bool
    window: str = Field(description="How much time one value looks at.")
    higher_is_better: bool
    sample_size: int | None
    low: Decimal | None
    high: Decimal | None
    changes: tuple[Change, ...]
    facts: str


class Anomaly(OutputPart):
    """A day that stands out; facts `<facts>.value`, `.baseline`, `.deviation`, `.score`, `.day`."""

    kpi: str
    label: str
    business_date: date
    value: Decimal
    baseline: Decimal = Field(description="What was expected of the day: its level and weekday.")
    unit: str
    deviation_percent: Decimal | None
    score: Decimal = Field(description="Robust standard deviations from the baseline.")
    side: Side
    verdict: Verdict
    events: int = Field(description="Events of that day behind the value.")
    facts: str
    explanation: Paragraph


class KpiReview(SkillOutput):
    """Every KPI of the product with its changes, and the days that stand out."""

    product: str
    as_of: date
    kpis: tuple[KpiReading, ...]
    anomalies: tuple[Anomaly, ...]
    method: Paragraph


@skill(
    "sigma.kpi.review",
    input=KpiReviewInput,
    output=KpiReview,
    needs=[
        "live_kpi_daily",
        "dim_kpis",
        "live_orders",
        "live_refunds",
        "live_customers",
        "live_spend",
        "live_surveys",
        "live_invitations",
        "live_pull_requests",
        "live_releases",
        "live_issues",
    ],
    roles=["kpi.read"],
)
def review(request: KpiReviewInput, context: SkillContext) -> KpiReview:
    """Say where each KPI stands, how it moved in a day, a week and four weeks, and which days stand out."""
    days = context.facts("kpi_days", days=HISTORY_DAYS)
    index = {(row["kpi"], row["business_date"]): number for number, row in enumerate(days.rows)}
    kpis = tuple(_reading(context, days, index, kpi) for kpi in _ordered(days))
    context.given("as_of", context.as_of, "date", "request.as_of")
    context.given("judged_days", request.judged_days, "days", "input.judged_days")
    context.given("threshold", Decimal(str(request.threshold)), "number", "input.threshold")
    context.given("history", HISTORY_DAYS, "days", "the skill's history")
    anomalies = tuple(
        anomaly
        for kpi, counts in WATCHED.items()
        for anomaly in _anomalies(context, request, days, index, kpi, counts=counts)
    )
    context.given("anomalies", len(anomalies), "count", "anomalies", "days that stand out")
    return KpiReview(
        narrative=_narrate(context, kpis, anomalies),
        product=context.request.product,
        as_of=context.as_of,
        kpis=kpis,
        anomalies=anomalies,
        method=context.narrate("method"),
    )


def _ordered(days: RowSet) -> list[str]:
    """The KPIs there are, in the catalogue's order."""
    return list(dict.fromkeys(row["kpi"] for row in days.rows))


def unit_of(row: Mapping[str, Any]) -> str:
    """The fact unit of a KPI row."""
    if row["currency"]:
        return f"money:{row['currency']}"
    return row["unit"] if row["unit"] in {"count", "percent", "points", "hours", "days"} else "number"


def _reading(
    context: SkillContext, days: RowSet, index: Mapping[tuple[str, date], int], kpi: str
) -> KpiReading:
    number = index.get((kpi, context.as_of))
    example = next(row for row in days.rows if row["kpi"] == kpi)
    row = example if number is None else days.rows[number]
    unit = unit_of(row)
    facts = f"kpi.{kpi}"
    value = None if number is None else _exact(row["value"], unit)
    lineage = _of_day(context, days, kpi, context.as_of, number)
    context.fact(f"{facts}.value", value, unit, lineage)
    low, high = (None, None) if number is None else (_exact(row["low"], unit), _exact(row["high"], unit))
    sample_size = None if number is None else row["sample_size"]
    for name, measured, of_unit in (
        ("low", low, unit),
        ("high", high, unit),
        ("sample_size", sample_size, "count"),
    ):
        if measured is not None:
            context.fact(f"{facts}.{name}", measured, of_unit, lineage)
    reason = _reason(context, NO_DAY if number is None else row["reason"])
    if reason:
        context.fact(f"{facts}.reason", reason, "text", lineage)
    return KpiReading(
        kpi=kpi,
        label=_label(context, row),
        value=value,
        unit=unit,
        basis=row["basis"],
        reason=reason,
        headline=row["is_headline"],
        window=row["time_window"],
        higher_is_better=row["direction"] == "up",
        sample_size=sample_size,
        low=low,
        high=high,
        changes=tuple(_change(context, days, index, row, value, ago) for ago in COMPARED_DAYS),
        facts=facts,
    )


def _change(
    context: SkillContext,
    days: RowSet,
    index: Mapping[tuple[str, date], int],
    row: Mapping[str, Any],
    value: Decimal | None,
    ago: int,
) -> Change:
    kpi, unit = row["kpi"], unit_of(row)
    day = context.as_of - timedelta(days=ago)
    number = index.get((kpi, day))
    previous = None if number is None else _exact(days.rows[number]["value"], unit)
    absolute = None if value is None or previous is None else value - previous
    relative = unit.partition(":")[0] in {"money", "count", "hours", "days", "number"}
    percent = None
    if absolute is not None and previous and previous > 0 and relative:
        percent = (100 * absolute / previous).quantize(_TENTH)
    facts = f"kpi.{kpi}.d{ago}"
    context.fact(f"{facts}.previous", previous, unit, _of_day(context, days, kpi, day, number))
    both = (f"kpi.{kpi}.value", f"{facts}.previous")
    context.fact(f"{facts}.absolute", absolute, unit, FromFacts(both, "value - previous"))
    context.fact(
        f"{facts}.percent", percent, "percent", FromFacts(both, "100 x (value - previous) / previous")
    )
    return Change(
        days=ago,
        previous=previous,
        absolute=absolute,
        percent=percent,
        verdict=_verdict(row, absolute),
        facts=facts,
    )


def _verdict(row: Mapping[str, Any], difference: Decimal | float | None) -> Verdict:
    if difference is None:
        return "unknown"
    if difference == 0:
        return "same"
    return "better" if (difference > 0) == (row["direction"] == "up") else "worse"


def _anomalies(
    context: SkillContext,
    request: KpiReviewInput,
    days: RowSet,
    index: Mapping[tuple[str, date], int],
    kpi: str,
    *,
    counts: bool,
) -> list[Anomaly]:
    series = {
        row["business_date"]: float(row["value"])
        for row in days.rows
        if row["kpi"] == kpi and row["value"] is not None
    }
    last = _last_complete_day(context)
    judged = [last - timedelta(days=ago) for ago in range(request.judged_days)]
    found = outliers(series, counts=counts, judged=judged, threshold=request.threshold)
    return [_anomaly(context, days, index[kpi, outlier.day], kpi, outlier) for outlier in found]


def _last_complete_day(context: SkillContext) -> date:
    """The as-of day, or the day before where the as-of day is not over yet in the product's zone."""
    today = context.started_at.astimezone(ZoneInfo(context.request.timezone)).date()
    return min(context.as_of, today - timedelta(days=1))


def _anomaly(context: SkillContext, days: RowSet, number: int, kpi: str, outlier: Outlier) -> Anomaly:
    row = days.rows[number]
    unit = unit_of(row)
    facts = f"anomaly.{kpi}.{outlier.day:%Y%m%d}"
    evidence = context.facts("kpi_events", kpi=kpi, day=outlier.day)
    events = EventList.of((event["source"], event["id"]) for event in evidence.rows)
    lineage = FromRows(days, ("value",), events, (number,))
    baseline = Decimal(str(outlier.expected)).quantize(_CENT)
    value = row["value"].quantize(_ONE if unit == "count" else _CENT)
    deviation = (100 * (value - baseline) / baseline).quantize(_TENTH) if baseline > 0 else None
    history = tuple(other for other, candidate in enumerate(days.rows) if candidate["kpi"] == kpi)
    context.fact(f"{facts}.value", value, unit, lineage)
    context.fact(f"{facts}.day", outlier.day, "date", lineage)
    context.fact(
        f"{facts}.baseline",
        baseline,
        unit.replace("count", "number"),
        FromRows(days, ("value",), None, history),
    )
    both = (f"{facts}.value", f"{facts}.baseline")
    context.fact(
        f"{facts}.deviation", deviation, "percent", FromFacts(both, "100 x (value - baseline) / baseline")
    )
    score = Decimal(str(outlier.score))
    context.fact(
        f"{facts}.score", score, "score", FromFacts(both, "robust standard deviations on a square-root scale")
    )
    side: Side = "above" if outlier.score > 0 else "below"
    template = context.words(f"anomaly.{side}")
    label = _label(context, row)
    return Anomaly(
        kpi=kpi,
        label=label,
        business_date=outlier.day,
        value=value,
        baseline=baseline,
        unit=unit,
        deviation_percent=deviation,
        score=score,
        side=side,
        verdict=_verdict(row, outlier.score),
        events=len(events.refs),
        facts=facts,
        explanation=Paragraph(
            key=f"anomaly.{side}", text=template.replace("{label}", label).replace("{facts}", facts)
        ),
    )


def _of_day(context: SkillContext, days: RowSet, kpi: str, day: date, number: int | None) -> FromRows:
    picked = () if number is None else (number,)
    return FromRows(days, ("value",), context.events("kpi_events", {"kpi": kpi, "day": day}), picked)


def _exact(value: Decimal | None, unit: str) -> Decimal | None:
    return None if value is None else value.quantize(_ONE if unit == "count" else _CENT)


def _label(context: SkillContext, row: Mapping[str, Any]) -> str:
    """The KPI's name in the narratives' language."""
    return row["title_pt"] if context.narratives.locale.startswith("pt") else row["title_en"]


def _reason(context: SkillContext, reason: str | None) -> str | None:
    """A reason in the language of the narratives."""
    if reason == NO_DAY:
        return context.words(f"reason.{NO_DAY}")
    return reason_in(reason, context.narratives.locale)


def _narrate(
    context: SkillContext, kpis: tuple[KpiReading, ...], anomalies: tuple[Anomaly, ...]
) -> tuple[Paragraph, ...]:
    if not kpis:
        return (context.narrate("empty"),)
    said = [_sentence(context, reading) for reading in kpis if reading.headline or reading.kpi == "net_sales"]
    closing = context.narrate("anomalies", len(anomalies)) if anomalies else context.narrate("no_anomalies")
    return (context.narrate("opening"), *said, closing, *(anomaly.explanation for anomaly in anomalies))


def _sentence(context: SkillContext, reading: KpiReading) -> Paragraph:
    """One KPI in words: where it stands and, where there is one, its change in a week."""
    week = next(change for change in reading.changes if change.days == 7)
    if reading.value is None:
        key = "kpi_missing"
    elif week.absolute is None:
        key = "kpi_level"
    elif week.absolute == 0:
        key = "kpi_same"
    else:
        key = (
            ("kpi_up" if week.absolute > 0 else "kpi_down")
            + f".{week.verdict}"
            + ("" if week.percent is not None else ".absolute")
        )
    if reading.value is None and reading.reason is None:
        raise ValueError(f"{reading.kpi} has neither a value nor a reason")
    text = context.words(key).replace("{label}", reading.label).replace("{facts}", reading.facts)
    return Paragraph(key=key, text=text)
