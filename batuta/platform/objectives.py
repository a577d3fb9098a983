"""What is promised of pipelines and connectors, as manifests say it or by default, in a table that models read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import psycopg

from batuta.manifests.graph import CompiledGraph
from batuta.manifests.models import ConnectorSlos


@dataclass(frozen=True, slots=True)
class Objective:
    """A share, in percent, that must be good, within so many minutes where it is about time."""

    kind: Literal["pipeline", "connector"]
    subject: str
    product: str
    indicator: str
    percent: float
    within_minutes: int | None = None


def objectives(graph: CompiledGraph) -> Iterator[Objective]:
    """Every objective in force, by pipeline and product, and by connector and product."""
    for pipeline in graph.pipelines:
        promised = pipeline.slos
        for product in pipeline.products:
            own = ("pipeline", pipeline.name, product)
            within = promised.published_within_minutes
            yield Objective(*own, "published_on_time", promised.published_percent, within)
            yield Objective(*own, "runs_succeeded", promised.success_percent)
    for product in graph.products:
        for connector in sorted({binding.type for binding in product.connectors}):
            promised = product.slos.get(connector, ConnectorSlos())
            own = ("connector", connector, product.name)
            yield Objective(*own, "polls_succeeded", promised.polls_percent)
            yield Objective(*own, "events_fresh", promised.fresh_percent, promised.fresh_within_minutes)
            yield Objective(*own, "records_accounted", promised.accounted_percent)
            yield Objective(*own, "deliveries_acknowledged", promised.acknowledged_percent)


def write_objectives(conn: psycopg.Connection[Any], graph: CompiledGraph, now: datetime) -> None:
    """Put the objectives of a company in force (role: owner), in the caller's transaction."""
    rows = [
        (one.kind, one.subject, one.product, one.indicator, one.percent, one.within_minutes, now)
        for one in objectives(graph)
    ]
    keys = [list(column) for column in zip(*(row[:4] for row in rows), strict=True)] or [[], [], [], []]
    conn.execute(_DROP, keys)
    with conn.cursor() as cursor:
        cursor.executemany(_WRITE, rows)


_DROP: Final = """
delete from batuta.objectives where (kind, subject, product, indicator) not in (
    select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[])
)
"""

_WRITE: Final = """
insert into batuta.objectives as known (kind, subject, product, indicator, objective, within_minutes, applied_at)
values (%s, %s, %s, %s, %s::float8::numeric, %s, %s)
on conflict (kind, subject, product, indicator) do update set
    objective = excluded.objective, within_minutes = excluded.within_minutes, applied_at = excluded.applied_at
where (known.objective, known.within_minutes) is distinct from (excluded.objective, excluded.within_minutes)
"""
