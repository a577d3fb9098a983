"""The numbers a review takes from the warehouse itself, as facts with where they come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from batuta.facts import Fact
from batuta.reports.figures import review_charts
from batuta.reports.gather import SERIES_DIGEST, SERIES_RELATION
from batuta.reports.model import KpiSeries, ReviewInputs

COMPARED_DAYS: Final = 7
_OF_KPI: Final = re.compile(
    r".+\.(?P<product>[^.]+)\.(?P<day>\d{4}-\d\d-\d\d)\.(?P<kpi>[^.]+)\.(?P<part>value|low|high|earlier|change)"
)


@dataclass(frozen=True, slots=True)
class PageKpi:
    """A KPI's number on a page: whose it is, and the days whose values it was made of."""

    product: str
    kpi: str
    days: tuple[date, ...]


def kpi_of_page(fact_id: str) -> PageKpi | None:
    """What the id of a page's own fact names; None where it is no KPI's."""
    found = _OF_KPI.fullmatch(fact_id)
    if found is None:
        return None
    try:
        day = date.fromisoformat(found["day"])
    except ValueError:
        return None
    earlier = day - timedelta(days=COMPARED_DAYS)
    days = {"earlier": (earlier,), "change": (earlier, day)}.get(found["part"], (day,))
    return PageKpi(found["product"], found["kpi"], days)


def own_facts(inputs: ReviewInputs) -> list[Fact]:
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
        points = [point for series in inputs.series if series.kpi in chart.kpis for point in series.points]
        first = min(point.day for point in points)
        add(
            f"chart.{chart.name}",
            len(points),
            "count",
            _series_lineage(", ".join(chart.kpis), first, day, len(points)),
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
