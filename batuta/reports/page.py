"""Builds the page of a review: a pure function of its inputs. Every number on it is linked to its fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal, TypeAlias

from markupsafe import Markup

from batuta.facts import Fact, format_fact, format_value
from batuta.kpis import reason_in
from batuta.reports import charts
from batuta.reports.charts import Chart
from batuta.reports.figures import review_charts
from batuta.reports.formats import long_date, moment, short_date
from batuta.reports.ledger import Entry, Ledger
from batuta.reports.lineage_words import describe_evidence, describe_lineage, model_page
from batuta.reports.model import Health, KpiPoint, KpiSeries, Notice, Review, ReviewInputs
from batuta.reports.notices import ORIGIN, leading, notices_of
from batuta.reports.own_facts import COMPARED_DAYS, own_facts
from batuta.reports.words import named, words_of
from batuta.skill_records import Analysis

SHOWN_MISMATCHES: Final = 12
SPARK_DAYS: Final = 30

Verdict: TypeAlias = Literal["better", "worse", "same"]


@dataclass(frozen=True, slots=True)
class Card:
    """A KPI as the page shows it."""

    title: str
    definition: str
    value: Markup
    has_value: bool
    change: Markup | None
    verdict: Verdict | None
    note: Markup | None
    spark: Markup


class PageModel:
    """What the template asks for; each number passes through the ledger."""

    def __init__(self, inputs: ReviewInputs, docs: str | None = None) -> None:
        self.inputs = inputs
        self.docs = docs
        self.locale = inputs.product.locale
        self.words = words_of(self.locale)
        self.ledger = Ledger(self.locale)
        self.own = {fact.name: fact for fact in own_facts(inputs)}

    @cached_property
    def title(self) -> str:
        """The page's title."""
        return " · ".join((self.inputs.product.name, self.words["report"], self.short_day))

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
        said = reason_in(code, self.locale)
        return named(self.words, "reason", said) if said else self.words["no_value"]

    def reason_code(self, code: str) -> str:
        """Why a delivery is in quarantine."""
        return named(self.words, "reason_code", code)

    @cached_property
    def leading(self) -> list[Card]:
        """The KPIs the product is led by."""
        return [self._card(series) for series in leading(self.inputs)]

    @cached_property
    def others(self) -> list[Card]:
        """All other KPIs."""
        first = {series.kpi for series in leading(self.inputs)}
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
    ) -> tuple[Markup | None, Verdict | None]:
        name = f"{series.kpi}.change"
        if name not in self.own or point.value is None or earlier is None or earlier.value is None:
            return None, None
        if point.value == earlier.value:
            return self.ledger.mark(self.own[name], ORIGIN, self.own, self.words["same"]), "same"
        rose = point.value > earlier.value
        verdict = "better" if rose == (series.direction == "up") else "worse"
        return self.ledger.mark(self.own[name], ORIGIN, self.own, self.change_text(series)), verdict

    def change_text(self, series: KpiSeries) -> str:
        """How a KPI moved, in words; shares move by percentage points."""
        change = self.own[f"{series.kpi}.change"]
        if series.unit != "percent":
            return format_fact(change, self.locale, "signed")
        points = format_value(change.value, "points", self.locale, "signed")
        return f"{points} {self.words['percentage_points']}"

    @cached_property
    def held_reasons(self) -> list[tuple[str, list[Markup | None]]]:
        """Quarantine by reason: a count, or nothing, for each connector of the intake."""
        by_reason: dict[str, dict[str, int]] = {}
        for held in self.inputs.held:
            by_reason.setdefault(held.reason_code, {})[held.connector] = held.count
        return [
            (
                self.reason_code(code),
                [
                    self.mine(f"held.{connector}.{code}") if connector in counts else None
                    for connector in self.held_connectors
                ],
            )
            for code, counts in by_reason.items()
        ]

    @cached_property
    def held_connectors(self) -> list[str]:
        """Connectors with something in quarantine."""
        return sorted({held.connector for held in self.inputs.held})

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
        return notices_of(self.inputs, self.own)

    def notice(self, notice: Notice) -> Markup:
        """A notice with its numbers linked."""
        values = {
            name: self.ledger.link(fact, origin, self._known(origin))
            for name, (origin, fact) in notice.facts.items()
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
        return describe_lineage(fact, linked, self.words, self.docs)

    @cached_property
    def definitions(self) -> Markup | None:
        """The link to the definitions of all KPIs, where the documentation can be reached."""
        if self.docs is None:
            return None
        link = Markup('<a href="{}">{}</a>').format(
            model_page(self.docs, "dim_kpis"), self.words["definitions_link"]
        )
        return Markup("{} {}").format(self.words["definitions"], link)

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


def build_report(inputs: ReviewInputs, docs: str | None = None) -> Review:
    """The page of a product's day, and what its mail says.

    With the address of the documentation site, `docs`, the KPIs' definitions and the facts' relations lead there.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("batuta.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    model = PageModel(inputs, docs)
    html = environment.get_template("daily_review.html.j2").render(
        page=model, words=model.words, inputs=inputs, shown=SHOWN_MISMATCHES
    )
    return Review(
        title=model.title,
        subject=model.words["subject"].format(product=inputs.product.name, day=model.short_day),
        html=html,
        health=model.health,
        notices=model.notices,
        facts=tuple(entry.fact for entry in model.ledger.entries()),
    )
