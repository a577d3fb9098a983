"""Which pipelines a clock makes due, for which product and which day. Pure; no Dagster here."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from batuta.manifests.graph import CompiledGraph

FiresAt: TypeAlias = Callable[[str, str, datetime], bool]
"""Whether a cron in a zone fires at exactly an instant."""


@dataclass(frozen=True, slots=True, order=True)
class Clock:
    """A cron expression read in a time zone."""

    cron: str
    timezone: str

    @property
    def name(self) -> str:
        """The clock as a name: `cron_0_6_any_any_any__america_sao_paulo`."""
        words = (
            self.cron.replace("*", "any").replace("/", "_every_").replace("-", "_to_").replace(",", "_and_")
        )
        zone = self.timezone.replace("+", "_plus_").replace("-", "_minus_")
        return f"cron_{words}__{zone}".replace(" ", "_").replace("/", "_").lower()


@dataclass(frozen=True, slots=True, order=True)
class DueRun:
    """A pipeline that is due for a product; `day` is the scheduled time's local date there."""

    pipeline: str
    product: str
    day: date


def clocks(graph: CompiledGraph) -> tuple[Clock, ...]:
    """Every (cron, zone) of the company's pipelines: each pipeline's crons in the zones of its products."""
    found = {
        Clock(schedule.cron, product.timezone)
        for pipeline in graph.pipelines
        for schedule in pipeline.schedules
        for name in pipeline.products
        if (product := graph.product(name)) is not None
    }
    return tuple(sorted(found))


def due_runs(graph: CompiledGraph, instant: datetime, fires_at: FiresAt) -> tuple[DueRun, ...]:
    """Everything due at an instant, by whichever clock: all of it shares one refresh of the marts."""
    firing = {clock for clock in clocks(graph) if fires_at(clock.cron, clock.timezone, instant)}
    due = {
        DueRun(pipeline.name, product.name, instant.astimezone(ZoneInfo(product.timezone)).date())
        for pipeline in graph.pipelines
        for schedule in pipeline.schedules
        for name in pipeline.products
        if (product := graph.product(name)) is not None and Clock(schedule.cron, product.timezone) in firing
    }
    return tuple(sorted(due))


def horizons(due: tuple[DueRun, ...]) -> dict[str, date]:
    """The day that each due product's daily series must reach."""
    reach: dict[str, date] = {}
    for run in due:
        reach[run.product] = max(run.day, reach.get(run.product, run.day))
    return reach
