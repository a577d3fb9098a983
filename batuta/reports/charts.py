"""Charts as inline SVG for the page and as PNG for the mail; the same inputs give the same bytes.

matplotlib is imported when the first chart is drawn, and used without pyplot. Sparklines are written by hand.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from batuta.reports.formats import axis_number, day_month
from batuta.reports.model import KpiPoint, KpiSeries

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#1c2434"
MUTED: Final = "#5b6579"
GRID: Final = "#e3e7ee"
BRAND: Final = "#3d4fd6"
SOFT: Final = "#c3caf5"
WARM: Final = "#b4490f"
FONTS: Final = ("Inter", "Segoe UI", "Helvetica Neue", "Arial", "DejaVu Sans", "sans-serif")

_SIZES: Final = {"wide": (10.6, 2.9), "half": (5.2, 2.5), "mail": (6.1, 2.5)}
_PNG_DPI: Final = 160
_IDS: Final = re.compile(r'(\bid="|url\(#|href="#)')
_SPARK_WIDTH: Final = 132
_SPARK_HEIGHT: Final = 34


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: how it is drawn, of which KPIs, and what it shows in words."""

    name: str
    kpis: tuple[str, ...]
    title: str
    description: str
    size: str
    draw: Callable[[Axes], None]


def svg(chart: Chart) -> str:
    """The chart as an `svg` element that scales with its box and reads itself out."""
    buffer = io.StringIO()
    with _style(chart.name):
        _figure(chart).savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True
        )
    drawn = buffer.getvalue()
    start = drawn.index("<svg")
    body = drawn[drawn.index(">", start) + 1 :]
    box = re.search(r'viewBox="([^"]+)"', drawn[start:])
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = _IDS.sub(lambda match: f"{match.group(1)}{chart.name}-", body).replace("xlink:href", "href")
    title_id, text_id = f"{chart.name}-title", f"{chart.name}-desc"
    return (
        f'<svg viewBox="{box.group(1) if box else ""}" role="img" aria-labelledby="{title_id} {text_id}" '
        f'preserveAspectRatio="xMidYMid meet"><title id="{title_id}">{_escaped(chart.title)}</title>'
        f'<desc id="{text_id}">{_escaped(chart.description)}</desc>{body}'
    )


def png(chart: Chart) -> bytes:
    """The chart as a picture for mail programs, which drop SVG."""
    buffer = io.BytesIO()
    with _style(chart.name):
        _figure(chart).savefig(
            buffer, format="png", dpi=_PNG_DPI, metadata={"Software": None}, facecolor="white"
        )
    return buffer.getvalue()


def _style(salt: str) -> Any:
    from matplotlib import rc_context

    return rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": salt,
            "font.family": ["DejaVu Sans"],
            "font.size": 9,
            "text.color": INK,
            "axes.edgecolor": GRID,
            "axes.labelcolor": MUTED,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
        }
    )


def _figure(chart: Chart) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZES[chart.size], layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    chart.draw(axes)
    return figure


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _days(axes: Axes, days: Sequence[date], locale: str) -> None:
    step = max(1, (len(days) + 5) // 6)
    places = list(range(len(days) - 1, -1, -step))[::-1]
    axes.set_xticks(places, [day_month(days[place], locale) for place in places])
    axes.set_xlim(-0.8, len(days) - 0.2)


def _numbers(axes: Axes, unit: str, locale: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10], integer=unit == "count"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: axis_number(value, unit, locale)))


def _values(points: Sequence[KpiPoint]) -> list[float]:
    return [float("nan") if point.value is None else float(point.value) for point in points]


def bars(series: KpiSeries, locale: str, marked: frozenset[date], mean_label: str) -> Callable[[Axes], None]:
    """A value per day as bars with the mean of seven days; days that stand out in another colour."""

    def draw(axes: Axes) -> None:
        points = series.points
        values = _values(points)
        colours = [WARM if point.day in marked else SOFT for point in points]
        axes.bar(range(len(points)), values, width=0.82, color=colours)
        means = [_mean(values[max(0, place - 6) : place + 1]) for place in range(len(values))]
        axes.plot(range(len(points)), means, color=BRAND, linewidth=1.8, label=mean_label)
        axes.legend(loc="upper left", frameon=False, fontsize=8, labelcolor=MUTED)
        _days(axes, [point.day for point in points], locale)
        _numbers(axes, series.unit, locale)

    return draw


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]  # noqa: PLR0124 - NaN differs from itself
    return sum(known) / len(known) if known else float("nan")


def lines(found: Sequence[KpiSeries], locale: str) -> Callable[[Axes], None]:
    """One or two KPIs of one unit as lines, each named at its end; an interval as a band."""

    def draw(axes: Axes) -> None:
        for series, colour in zip(found, (BRAND, WARM), strict=False):
            places = range(len(series.points))
            low = [float("nan") if p.low is None else float(p.low) for p in series.points]
            high = [float("nan") if p.high is None else float(p.high) for p in series.points]
            if any(p.low is not None for p in series.points):
                axes.fill_between(places, low, high, color=SOFT, alpha=0.55, linewidth=0)
            axes.plot(places, _values(series.points), color=colour, linewidth=2.0, label=series.kpi)
        if len(found) > 1:
            axes.legend(loc="best", frameon=False, fontsize=8, labelcolor=MUTED)
        _days(axes, [point.day for point in found[0].points], locale)
        _numbers(axes, found[0].unit, locale)

    return draw


def sparkline(points: Sequence[KpiPoint], title: str) -> str:
    """A small line of a KPI's days, its last day marked; gaps stay gaps."""
    known = [float(point.value) for point in points if point.value is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    spread = (high - low) or 1.0
    across = (_SPARK_WIDTH - 8) / max(len(points) - 1, 1)
    strokes: list[list[str]] = [[]]
    last = ""
    for place, point in enumerate(points):
        if point.value is None:
            strokes.append([])
            continue
        y = 4 + (_SPARK_HEIGHT - 8) * (1 - (float(point.value) - low) / spread)
        last = f'cx="{4 + across * place:.1f}" cy="{y:.1f}"'
        strokes[-1].append(f"{4 + across * place:.1f},{y:.1f}")
    drawn = "".join(f'<polyline points="{" ".join(stroke)}"/>' for stroke in strokes if len(stroke) > 1)
    return (
        f'<svg class="spark" viewBox="0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}" role="img" aria-label="{_escaped(title)}" '
        f'preserveAspectRatio="none">{drawn}<circle {last} r="2.6"/></svg>'
    )


def extremes(points: Sequence[KpiPoint]) -> Mapping[str, Decimal | None]:
    """Latest, lowest and highest value of a series, for its description."""
    known = [point.value for point in points if point.value is not None]
    return {
        "value": points[-1].value if points else None,
        "low": min(known, default=None),
        "high": max(known, default=None),
    }
