"""Which charts a review has, and what each shows in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from batuta.facts import format_value
from batuta.reports import charts
from batuta.reports.charts import Chart
from batuta.reports.formats import short_date
from batuta.reports.model import KPI_REVIEW, KpiSeries, ReviewInputs
from batuta.reports.words import words_of

CHART_KPIS: Final[Mapping[str, tuple[str, ...]]] = {
    "sales": ("net_sales",),
    "customers": ("new_customers",),
    "nps": ("NPS",),
    "lead": ("leadTime",),
    "unit": ("LTV", "CAC"),
}


def review_charts(inputs: ReviewInputs) -> list[Chart]:
    """The charts of a review, in the order they are shown."""
    by_kpi = {
        series.kpi: series for series in inputs.series if any(p.value is not None for p in series.points)
    }
    words, locale = words_of(inputs.product.locale), inputs.product.locale
    found: list[Chart] = []
    for name, size in (("sales", "wide"), ("customers", "half"), ("nps", "half"), ("lead", "half")):
        series = by_kpi.get(CHART_KPIS[name][0])
        if series is None:
            continue
        if name in {"sales", "customers"}:
            draw = charts.bars(series, locale, _marked(inputs, series.kpi), words["mean_of_seven"])
        else:
            draw = charts.lines([series], locale)
        found.append(Chart(name, words[f"chart_{name}"], _describe(series, words, locale), size, draw))
    unit = [by_kpi[kpi] for kpi in CHART_KPIS["unit"] if kpi in by_kpi]
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
