"""What a pipeline has published of a product: which day, up to which batch, by which definitions.

With it a due run that would only repeat a report is known before it is launched. The version of a product's data is
the last batch that brought something for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from typing import Any, TypeAlias

import psycopg

from batuta.landing.cursors import get_cursor, move_cursor
from batuta.manifests.catalog import SkillInfo
from batuta.manifests.graph import CompiledGraph, content_digest
from sensors.due import DueRun

DefinitionOf: TypeAlias = Callable[[str, str], str]
"""The digest of all that makes a pipeline's (first) report on a product (second), apart from data."""


@dataclass(frozen=True, slots=True)
class Published:
    """The newest report of a pipeline on a product."""

    day: date
    batch: int
    definition: str


def definition_of(graph: CompiledGraph, models: str, skills: Sequence[SkillInfo]) -> DefinitionOf:
    """How definitions are digested: manifests, dbt's models (by their digest), the skills' code, our version."""
    code = {skill.name: skill.version for skill in skills}

    def digest(pipeline: str, product: str) -> str:
        found, concerned = graph.pipeline(pipeline), graph.product(product)
        uses = [step.use for step in found.steps] if found is not None else []
        agents = [graph.agent(name) for name in sorted({use.partition(".")[0] for use in uses})]
        return content_digest(
            {
                "pipeline": found.model_dump(mode="json") if found is not None else None,
                "product": concerned.model_dump(mode="json") if concerned is not None else None,
                "agents": [agent.model_dump(mode="json") for agent in agents if agent is not None],
                "skills": {use: code[use] for use in uses if use in code},
                "models": models,
                "version": version("batuta"),
            }
        )

    return digest


def record_published(conn: psycopg.Connection[Any], pipeline: str, product: str, report: Published) -> None:
    """Keep what a pipeline has published, in the caller's transaction; an earlier day than is kept changes nothing."""
    kept = get_cursor(conn, _consumer(pipeline), product)
    if kept is None or kept["day"] <= report.day.isoformat():
        move_cursor(conn, _consumer(pipeline), {**asdict(report), "day": report.day.isoformat()}, product)


def unchanged(
    conn: psycopg.Connection[Any], due: Sequence[DueRun], definition: DefinitionOf
) -> frozenset[DueRun]:
    """The due runs whose day is published already, by the same definitions and from all there is of the product.

    The log is only read where a day is published already, and only behind what was published.
    """
    kept = _published(conn, due)
    repeated = {
        run: report.batch
        for run in due
        if (report := kept.get(run)) is not None
        and report.day == run.day
        and report.definition == definition(run.pipeline, run.product)
    }
    if not repeated:
        return frozenset()
    newest = data_versions(conn, min(repeated.values()))
    return frozenset(run for run, batch in repeated.items() if newest.get(run.product, batch) <= batch)


def data_versions(conn: psycopg.Connection[Any], after: int, upto: int | None = None) -> dict[str, int]:
    """The data version of each product that something came for in the batches (after, upto]."""
    rows = conn.execute(
        """
        select product, max(batch) from batuta.events where batch > %s and batch <= coalesce(%s, batch)
        group by product
        """,
        (after, upto),
    )
    return dict(rows.fetchall())


def _published(conn: psycopg.Connection[Any], due: Sequence[DueRun]) -> Mapping[DueRun, Published]:
    rows = conn.execute(
        """
        select consumer, product, position from batuta.cursors
        where (consumer, product) in (select * from unnest(%s::text[], %s::text[]))
        """,
        ([_consumer(run.pipeline) for run in due], [run.product for run in due]),
    )
    kept = {(consumer, product): position for consumer, product, position in rows}
    return {
        run: Published(date.fromisoformat(position["day"]), position["batch"], position["definition"])
        for run in due
        if (position := kept.get((_consumer(run.pipeline), run.product))) is not None
    }


def _consumer(pipeline: str) -> str:
    return f"published:{pipeline}"
