"""Builds the page of a review: a pure function of its inputs. Every number on it is linked to its fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, Literal

from markupsafe import Markup

from batuta.facts import Fact, format_value
from batuta.reports import charts
from batuta.reports.charts import Chart
from batuta.reports.formats import long_date, moment, short_date
from batuta.reports.gather import SERIES_DIGEST, SERIES_RELATION
from batuta.reports.ledger import Entry, Ledger, event_samples, sources
from batuta.reports.model import (
    KPI_REVIEW,
    RECONCILE,
    Health,
    KpiPoint,
    KpiSeries,
    Notice,
    Review,
    ReviewInputs,
)
from batuta.reports.words import named, words_of
from batuta.skill_records import Analysis

COMPARED_DAYS: Final = 7
SHOWN_MISMATCHES: Final = 12
SPARK_DAYS: Final = 30
SHOWN_EVENTS: Final = 2
CHART_KPIS: Final = {"sales": "net_sales", "customers": "new_customers", "nps": "NPS", "lead": "leadTime"}
ORIGIN: Final = "report"


@dataclass(frozen=True, slots=True)
class Card:
    """A KPI as the page shows it."""

    title: str
    definition: str
    value: Markup
    has_value: bool
    change: Markup | None
    verdict: Literal["better", "worse", "same"] | None
    note: Markup | None
    spark: Markup


class PageModel:
    """What the template asks for; each number passes through the ledger."""

    def __init__(self, inputs: ReviewInputs) -> None:
        self.inputs = inputs
        self.locale = inputs.product.locale
        self.words = words_of(self.locale)
        self.ledger = Ledger(self.locale)
        self.own = {fact.name: fact for fact in _own_facts(inputs)}

    @cached_property
    def title(self) -> str:
        """The page's title."""
        return f"{self.inputs.product.name} · {self.words['report']} · {short_date(self.inputs.business_date, self.locale)}"

    @cached_property
    def long_day(self) -> str:
        """The business date in words."""
        return long_date(self.inputs.business_date, self.locale)

    @cached_property
    def short_day(self) -> str:
        """The business date in figures."""
        return short_date(self.inputs.business_date, self.locale)

    @cached_property
    def freshness(self) -> str:
        """How far the data reaches."""
        fresh = self.inputs.freshness
        if fresh.newest_event_at is None or fresh.batch is None:
            return self.words["fresh_none"]
        zone = self.inputs.product.timezone
        return self.words["fresh"].format(
            moment=moment(fresh.newest_event_at, zone, self.locale), zone=zone, batch=fresh.batch
        )

    def analysis(self, skill: str) -> Analysis | None:
        """The analysis of a skill, if it was made."""
        return self.inputs.analyses.get(skill)

    def say(self, analysis: Analysis, text: str) -> Markup:
        """A narrative of an analysis."""
        return self.ledger.words(text, analysis)

    def fact(self, analysis: Analysis, name: str, style: str | None = None) -> Markup:
        """A fact of an analysis."""
        found = analysis.facts.get(name)
        return (
            Markup("—") if found is None else self.ledger.link(found, analysis.skill, analysis.facts, style)
        )

    def mine(self, name: str, style: str | None = None) -> Markup:
        """A fact the page counted itself."""
        return self.ledger.link(self.own[name], ORIGIN, self.own, style)

    def when(self, value: str | date) -> str:
        """A date of an output, which travels as text."""
        return short_date(date.fromisoformat(value) if isinstance(value, str) else value, self.locale)

    def reason(self, code: str | None) -> str:
        """Why there is no value."""
        return named(self.words, "reason", code) if code else self.words["no_value"]

    def reason_code(self, code: str) -> str:
        """Why a delivery is in quarantine."""
        return named(self.words, "reason_code", code)

    @cached_property
    def leading(self) -> list[Card]:
        """The KPIs the product is led by."""
        return [self._card(series) for series in _leading(self.inputs)]

    @cached_property
    def others(self) -> list[Card]:
        """All other KPIs."""
        first = {series.kpi for series in _leading(self.inputs)}
        return [self._card(series) for series in self.inputs.series if series.kpi not in first]

    def _card(self, series: KpiSeries) -> Card:
        day = self.inputs.business_date
        point = series.on(day) or KpiPoint(day, None, reason="no_day")
        earlier = series.on(day - timedelta(days=COMPARED_DAYS))
        change, verdict = self._change(series, point, earlier)
        value = self.mine(f"{series.kpi}.value") if point.value is not None else Markup("—")
        return Card(
            title=series.title,
            definition=series.definition,
            value=value,
            has_value=point.value is not None,
            change=change,
            verdict=verdict,
            note=self._note(series, point),
            spark=Markup(charts.sparkline(series.points[-SPARK_DAYS:], series.title)),  # noqa: S704 - built and escaped there
        )

    def _change(
        self, series: KpiSeries, point: KpiPoint, earlier: KpiPoint | None
    ) -> tuple[Markup | None, Literal["better", "worse", "same"] | None]:
        name = f"{series.kpi}.change"
        if name not in self.own or point.value is None or earlier is None or earlier.value is None:
            return None, None
        if point.value == earlier.value:
            return self.ledger.mark(self.own[name], ORIGIN, self.own, self.words["same"]), "same"
        rose = point.value > earlier.value
        verdict = "better" if rose == (series.direction == "up") else "worse"
        if series.unit != "percent":
            return self.mine(name, "signed"), verdict
        text = f"{format_value(self.own[name].value, 'points', self.locale, 'signed')} {self.words['percentage_points']}"
        return self.ledger.mark(self.own[name], ORIGIN, self.own, text), verdict

    def _note(self, series: KpiSeries, point: KpiPoint) -> Markup | None:
        if point.value is None:
            return Markup("{}").format(self.reason(point.reason))
        notes: list[Markup] = []
        if f"{series.kpi}.low" in self.own:
            low, high = self.mine(f"{series.kpi}.low"), self.mine(f"{series.kpi}.high")
            notes.append(Markup(self.words["interval"]).format(low=low, high=high))  # noqa: S704 - our own words
        if point.reason:
            notes.append(Markup("{}").format(self.reason(point.reason)))
        return Markup(" · ").join(notes) or None

    @cached_property
    def charts(self) -> list[Chart]:
        """The charts the data allows."""
        return review_charts(self.inputs)

    def svg(self, chart: Chart) -> Markup:
        """A chart for the page."""
        return Markup(charts.svg(chart))  # noqa: S704 - drawn by us, its texts escaped

    def chart_fact(self, chart: Chart) -> Markup:
        """The link from a chart to what it was drawn from."""
        return self.ledger.mark(self.own[f"chart.{chart.name}"], ORIGIN, self.own, self.words["chart_facts"])

    @cached_property
    def notices(self) -> tuple[Notice, ...]:
        """What to look at first."""
        return _notices(self.inputs, self.own)

    def notice(self, notice: Notice) -> Markup:
        """A notice with its numbers linked."""
        values = {
            name: self.ledger.link(fact, origin, self._known(origin)) for name, (origin, fact) in notice.facts.items()
        }
        return Markup(notice.text).format(**values)  # noqa: S704 - our own words

    def _known(self, origin: str) -> Mapping[str, Fact]:
        return self.own if origin == ORIGIN else self.inputs.analyses[origin].facts

    @cached_property
    def health(self) -> Health:
        """Whether anything needs attention."""
        return "attention" if self.notices else "good"

    def origin(self, name: str) -> str:
        """The name of a fact's origin."""
        return self.words["origin_report"] if name == ORIGIN else name

    def lineage(self, fact: Fact, linked: Sequence[tuple[str, str]]) -> Markup:
        """Where a fact comes from, in words."""
        return describe_lineage(fact, linked, self.words)

    def evidence(self, fact: Fact) -> Markup:
        """What was counted: rows, batch, query, events."""
        return describe_evidence(fact, self.words, self.locale)

    def entries(self) -> list[Entry]:
        """The appendix: to be asked for last, when all numbers have been linked."""
        return self.ledger.entries()

    def value(self, fact: Fact) -> str:
        """A fact's value without a link."""
        return format_value(fact.value, fact.unit, self.locale)

    def definition(self, fact: Fact) -> str | None:
        """What the catalogue says of a fact that is a KPI's value on the day."""
        kpi, _, kind = fact.name.rpartition(".")
        if kind != "value" or fact.name not in self.own:
            return None
        return next((series.definition for series in self.inputs.series if series.kpi == kpi), None)

    def width(self, analysis: Analysis, name: str) -> str:
        """A share as the length of a bar, in percent."""
        found = analysis.facts.get(name)
        share = Decimal(str(found.value)) if found is not None and found.value is not None else Decimal(0)
        return f"{max(Decimal(0), min(share, Decimal(100))):.1f}"


def build_report(inputs: ReviewInputs) -> Review:
    """The page of a product's day, and what its mail says."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("batuta.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    model = PageModel(inputs)
    html = environment.get_template("daily_review.html.j2").render(
        page=model, words=model.words, inputs=inputs, shown=SHOWN_MISMATCHES)
    return Review(
        title=model.title,
        subject=model.words["subject"].format(product=inputs.product.name, day=model.short_day),
        html=html,
        health=model.health,
        notices=model.notices,
        facts=tuple(entry.fact for entry in model.ledger.entries()),
    )


def review_charts(inputs: ReviewInputs) -> list[Chart]:
    """The charts of a review, in the order they are shown."""
    by_kpi = {
        series.kpi: series for series in inputs.series if any(p.value is not None for p in series.points)
    }
    words, locale = words_of(inputs.product.locale), inputs.product.locale
    found: list[Chart] = []
    for name, size in (("sales", "wide"), ("customers", "half"), ("nps", "half"), ("lead", "half")):
        series = by_kpi.get(CHART_KPIS[name])
        if series is None:
            continue
        if name in {"sales", "customers"}:
            draw = charts.bars(series, locale, _marked(inputs, series.kpi), words["mean_of_seven"])
        else:
            draw = charts.lines([series], locale)
        found.append(Chart(name, words[f"chart_{name}"], _describe(series, words, locale), size, draw))
    unit = [by_kpi[kpi] for kpi in ("LTV", "CAC") if kpi in by_kpi]
    if unit:
        text = " ".join(_describe(series, words, locale) for series in unit)
        found.append(Chart("unit", words["chart_unit"], text, "half", charts.lines(unit, locale)))
    return found


def _describe(series: KpiSeries, words: Mapping[str, str], locale: str) -> str:
    numbers = {
        name: format_value(value, series.unit, locale)
        for name, value in charts.extremes(series.points).items()
    }
    first, last = series.points[0].day, series.points[-1].day
    return words["chart_description"].format(
        title=series.title, first=short_date(first, locale), last=short_date(last, locale), **numbers
    )


def _marked(inputs: ReviewInputs, kpi: str) -> frozenset[date]:
    review = inputs.analyses.get(KPI_REVIEW)
    if review is None:
        return frozenset()
    return frozenset(
        date.fromisoformat(a["business_date"]) for a in review.output["anomalies"] if a["kpi"] == kpi
    )


def _leading(inputs: ReviewInputs) -> list[KpiSeries]:
    by_kpi = {series.kpi: series for series in inputs.series}
    named_first = [by_kpi[kpi] for kpi in inputs.product.kpis if kpi in by_kpi]
    return named_first or [series for series in inputs.series if series.headline]


def _own_facts(inputs: ReviewInputs) -> list[Fact]:
    """The numbers the page takes from the warehouse itself, with where they come from."""
    day, batch = inputs.business_date, inputs.freshness.batch
    found: list[Fact] = []

    def add(name: str, value: Decimal | int | None, unit: str, lineage: Mapping[str, Any]) -> None:
        identity = f"{inputs.pipeline}.{inputs.product.name}.{day.isoformat()}.{name}"
        found.append(Fact(identity, name, value, unit, day, {"batch_to": batch, **lineage}))

    for series in inputs.series:
        for name, value, unit, lineage in _series_facts(series, day):
            add(name, value, unit, lineage)
    for chart in review_charts(inputs):
        kpis = ("LTV", "CAC") if chart.name == "unit" else (CHART_KPIS[chart.name],)
        points = [point for series in inputs.series if series.kpi in kpis for point in series.points]
        first = min(point.day for point in points)
        add(
            f"chart.{chart.name}",
            len(points),
            "count",
            _series_lineage(", ".join(kpis), first, day, len(points)),
        )
    for row in inputs.intake:
        for column in ("landed", "duplicate", "quarantined", "filtered"):
            lineage = _rows_lineage("batuta.intake_counts", f"connector = {row.connector}", column)
            add(f"intake.{row.connector}.{column}", getattr(row, column), "count", lineage)
    for held in inputs.held:
        lineage = _rows_lineage(
            "batuta.quarantine",
            f"connector = {held.connector}, reason_code = {held.reason_code}, state = held",
            "count(*)",
        )
        add(f"held.{held.connector}.{held.reason_code}", held.count, "count", lineage)
    lineage = _rows_lineage("batuta.quarantine", "state = held", "count(*)")
    add("held", sum(held.count for held in inputs.held), "count", lineage)
    return found


def _series_facts(series: KpiSeries, day: date) -> list[tuple[str, Decimal | None, str, Mapping[str, Any]]]:
    point = series.on(day)
    if point is None or point.value is None:
        return []
    lineage = _series_lineage(series.kpi, day, day, 1)
    found: list[tuple[str, Decimal | None, str, Mapping[str, Any]]] = [
        (f"{series.kpi}.value", point.value, series.unit, lineage)
    ]
    if point.low is not None and point.high is not None:
        found.append((f"{series.kpi}.low", point.low, series.unit, lineage))
        found.append((f"{series.kpi}.high", point.high, series.unit, lineage))
    before = day - timedelta(days=COMPARED_DAYS)
    earlier = series.on(before)
    if earlier is not None and earlier.value is not None:
        found.append(
            (
                f"{series.kpi}.earlier",
                earlier.value,
                series.unit,
                _series_lineage(series.kpi, before, before, 1),
            )
        )
        computed = {"kind": "facts", "facts": [f"{series.kpi}.value", f"{series.kpi}.earlier"]}
        absolute = series.unit in {"points", "percent", "count"} or earlier.value == 0
        if absolute:
            found.append(
                (
                    f"{series.kpi}.change",
                    point.value - earlier.value,
                    series.unit,
                    computed | {"formula": "value - earlier"},
                )
            )
        else:
            share = (100 * (point.value - earlier.value) / abs(earlier.value)).quantize(Decimal("0.1"))
            found.append(
                (
                    f"{series.kpi}.change",
                    share,
                    "percent",
                    computed | {"formula": "100 x (value - earlier) / earlier"},
                )
            )
    return found


def _series_lineage(kpi: str, first: date, last: date, rows: int) -> Mapping[str, Any]:
    return {
        "kind": "rows",
        "query": "kpi_series",
        "query_digest": SERIES_DIGEST,
        "relations": [SERIES_RELATION],
        "filter": f"kpi = {kpi}, business_date = {first.isoformat()}"
        + (f" .. {last.isoformat()}" if last != first else ""),
        "columns": ["value"],
        "row_count": rows,
    }


def _rows_lineage(relation: str, condition: str, column: str) -> Mapping[str, Any]:
    return {"kind": "rows", "relations": [relation], "filter": condition, "columns": [column]}


def _notices(inputs: ReviewInputs, own: Mapping[str, Fact]) -> tuple[Notice, ...]:
    words = words_of(inputs.product.locale)
    found: list[Notice] = []

    def counted(key: str, anchor: str, **facts: tuple[str, Fact]) -> None:
        count = facts["count"][1].value
        if count:
            found.append(Notice(words[f"{key}_one" if count == 1 else key], anchor, facts))

    reconcile = inputs.analyses.get(RECONCILE)
    if reconcile is not None and "mismatched" in reconcile.facts:
        count, amount = reconcile.facts["mismatched"], reconcile.facts["value_at_risk"]
        counted("notice_mismatch", "reconcile", count=(RECONCILE, count), amount=(RECONCILE, amount))
    review = inputs.analyses.get(KPI_REVIEW)
    if review is not None:
        counted("notice_anomaly", "anomalies", count=(KPI_REVIEW, review.facts["anomalies"]))
    for series in _leading(inputs):
        point = series.on(inputs.business_date)
        if point is None or point.value is None:
            found.append(Notice(words["notice_no_value"].format(kpi=series.title), "kpis", {}))
    if "held" in own:
        counted("notice_held", "quality", count=(ORIGIN, own["held"]))
    return tuple(found)


def describe_lineage(fact: Fact, linked: Sequence[tuple[str, str]], words: Mapping[str, str]) -> Markup:
    """Where a fact comes from: a query's rows, other facts, or the request."""
    lineage = fact.lineage
    kind = lineage.get("kind")
    if kind == "request":
        return Markup("{}").format(words["from_request"].format(field=lineage.get("field")))
    if kind == "facts":
        names = dict((name, anchor) for anchor, name in linked)
        listed = Markup(", ").join(
            Markup('<a href="#{}">{}</a>').format(names[name], name)
            if name in names
            else Markup("{}").format(name)
            for name in sources(fact)
        )
        formula = words["from_facts"].format(formula=lineage.get("formula"))
        return Markup("{}<br>{}").format(formula, listed)
    relations = ", ".join(lineage.get("relations", ()))
    pieces = [Markup("<code>{}</code>").format(relations)]
    if lineage.get("filter"):
        pieces.append(Markup("{}: {}").format(words["filter"], lineage["filter"]))
    return Markup("<br>").join(pieces)


def describe_evidence(fact: Fact, words: Mapping[str, str], locale: str) -> Markup:
    """What was counted for a fact: rows, batch, query, events."""
    lineage = fact.lineage
    events = lineage.get("events") or {}
    found: list[str] = []
    rows = lineage.get("row_count")
    if rows is not None:
        found.append(words["row" if rows == 1 else "rows"].format(count=format_value(rows, "count", locale)))
    if events.get("count") is not None:
        found.append(words["events"].format(count=format_value(events["count"], "count", locale)))
    if lineage.get("batch_to") is not None:
        found.append(words["batch"].format(batch=lineage["batch_to"]))
    if lineage.get("query_digest"):
        digest = str(lineage["query_digest"]).removeprefix("sha256:")[:12]
        found.append(words["query"].format(name=f"{lineage.get('query', '')} {digest}".strip()))
    text = Markup("{}").format(" · ".join(found))
    samples = list(event_samples(lineage))[:SHOWN_EVENTS]
    if samples:
        listed = Markup(", ").join(Markup("<code>{}</code>").format(event_id) for event_id in samples)
        text += Markup("<br>{}: {}").format(words["sample_events"], listed)
    return text
