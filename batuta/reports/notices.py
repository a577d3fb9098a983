"""What a review puts first: everything that needs a look, in one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batuta import kpis
from batuta.facts import Fact
from batuta.reports.model import KPI_REVIEW, RECONCILE, KpiSeries, Notice, ReviewInputs
from batuta.reports.words import words_of

ORIGIN: Final = "report"
"""Origin of the facts the page counted itself."""


def leading(inputs: ReviewInputs) -> list[KpiSeries]:
    """The KPIs a product is led by: those its manifest names, else those the catalogue calls headline."""
    by_kpi = {series.kpi: series for series in inputs.series}
    return kpis.leading(by_kpi, inputs.product.kpis, lambda series: series.headline)


def notices_of(inputs: ReviewInputs, own: Mapping[str, Fact]) -> tuple[Notice, ...]:
    """Everything that needs a look, the most urgent first."""
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
    for series in leading(inputs):
        point = series.on(inputs.business_date)
        if point is None or point.value is None:
            found.append(Notice(words["notice_no_value"].format(kpi=series.title), "kpis", {}))
    if "held" in own:
        counted("notice_held", "quality", count=(ORIGIN, own["held"]))
    return tuple(found)
