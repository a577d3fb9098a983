"""Which charts a review has, and what each shows in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from batuta.facts import format_value
from batuta.reports import charts
from batuta.reports.charts import Chart
from batuta.reports.formats import short_date
from batuta.reports.model import KPI_REVIEW, KpiSeries, ReviewInputs
from batuta.reports.notices import leading
from batuta.reports.words import words_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Draw = Callable[[Axes], None]

ONE_DAY: Final = "1 day"
"""The window of a KPI whose value is that of one day."""

CHART_KPIS: Final[Mapping[str, tuple[str, ...]]] = {
    "sales": ("net_sales",),
    "customers": ("new_customers",),
    "nps": ("NPS",),
    "lead": ("leadTime",),
    "unit": ("LTV", "CAC"),
}


def review_charts(inputs: ReviewInputs) -> list[Chart]:
    """The charts of a review in their order: the standing ones, then one per KPI that the product is led by."""
    by_kpi = {
        series.kpi: series for series in inputs.series if any(p.value is not None for p in series.points)
    }
    words, locale = words_of(inputs.product.locale), inputs.product.locale

    def chart(name: str, shown: list[KpiSeries], title: str, draw: Draw, size: str = "half") -> Chart:
        text = " ".join(_describe(series, words, locale) for series in shown)
        return Chart(name, tuple(series.kpi for series in shown), title, text, size, draw)

    found: list[Chart] = []
    for name, kpis in CHART_KPIS.items():
        shown = [by_kpi[kpi] for kpi in kpis if kpi in by_kpi]
        if not shown:
            continue
        draw = charts.lines(shown, locale)
        if name in {"sales", "customers"}:
            draw = charts.bars(shown[0], locale, _marked(inputs, kpis[0]), words["mean_of_seven"])
        found.append(chart(name, shown, words[f"chart_{name}"], draw, "wide" if name == "sales" else "half"))
    standing = {kpi for kpis in CHART_KPIS.values() for kpi in kpis}
    for series in leading(inputs):
        if series.kpi in by_kpi and series.kpi not in standing:
            name = f"kpi-{series.kpi}"
            found.append(chart(name, [series], series.title, charts.lines([series], locale)))
    return found


def kpi_chart(series: KpiSeries, locale: str) -> Chart | None:
    """One KPI's days by themselves: bars where a value is that of one day; None where no day has a value."""
    if all(point.value is None for point in series.points):
        return None
    words = words_of(locale)
    draw = charts.lines([series], locale)
    if series.window == ONE_DAY:
        draw = charts.bars(series, locale, frozenset(), words["mean_of_seven"])
    return Chart(
        f"kpi-{series.kpi}", (series.kpi,), series.title, _describe(series, words, locale), "wide", draw
    )


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
