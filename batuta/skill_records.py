"""Records of skill runs: what was asked, what it worked from, what came out. Read here, written by the skill runtime.

Connections need the role writer or auditor; the reader role does not see blobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import orjson

from batuta.blobs import get_blob
from batuta.facts import Fact, decode_value

if TYPE_CHECKING:
    import psycopg

RunStatus: TypeAlias = Literal["ok", "failed", "denied", "invalid"]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The output of one successful skill run, with the facts its narrative speaks of.

    `narrative` holds paragraphs with `{{fact:name}}` slots; print them with `batuta.facts.render`.
    """

    run_id: str
    skill: str
    skill_version: str
    product: str
    as_of: date
    locale: str
    output: Mapping[str, Any]
    narrative: tuple[str, ...]
    facts: Mapping[str, Fact]
    batch_to: int | None
    pipeline: str | None
    dagster_run_id: str | None
    output_digest: str
    finished_at: datetime


_RUN_COLUMNS: Final = (
    "id, skill, skill_version, product, as_of, locale, output_digest, "
    "batch_to, pipeline, dagster_run_id, finished_at"
)


def load_analysis(
    conn: psycopg.Connection[Any], skill: str, product: str, as_of: date, *, dagster_run_id: str | None = None
) -> Analysis | None:
    """The latest successful run of a skill for a product and day, or of one Dagster run.

    Args:
        conn: A connection of the writer or auditor role.
        skill: Full name (`sigma.kpi.review`).
        product: Product name.
        as_of: The business date analysed.
        dagster_run_id: Only the analysis made in this run.
    """
    row = conn.execute(
        f"select {_RUN_COLUMNS} from batuta.skill_runs "
        "where skill = %(skill)s and product = %(product)s and as_of = %(as_of)s and status = 'ok' "
        "and (%(run)s::text is null or dagster_run_id = %(run)s) "
        "order by started_at desc, id desc limit 1",
        {"skill": skill, "product": product, "as_of": as_of, "run": dagster_run_id},
    ).fetchone()
    return None if row is None else _analysis(conn, tuple(row))


def load_run(conn: psycopg.Connection[Any], run_id: str) -> Analysis | None:
    """The analysis of one run by its id; None where there is no such successful run."""
    row = conn.execute(
        f"select {_RUN_COLUMNS} from batuta.skill_runs where id = %s and status = 'ok'", (run_id,)
    ).fetchone()
    return None if row is None else _analysis(conn, tuple(row))


def facts_of_run(conn: psycopg.Connection[Any], run_id: str) -> dict[str, Fact]:
    """All facts of one run, by name."""
    rows = conn.execute(
        "select id, name, value, unit, as_of, lineage from batuta.facts where skill_run = %s order by name",
        (run_id,),
    ).fetchall()
    return {
        name: Fact(id, name, decode_value(value, unit), unit, as_of, lineage)
        for id, name, value, unit, as_of, lineage in rows
    }


def _analysis(conn: psycopg.Connection[Any], row: tuple[Any, ...]) -> Analysis | None:
    (
        run_id,
        skill,
        version,
        product,
        as_of,
        locale,
        digest,
        batch_to,
        pipeline,
        dagster_run_id,
        finished_at,
    ) = row
    content = get_blob(conn, digest)
    if content is None:
        return None
    output: dict[str, Any] = orjson.loads(content)
    return Analysis(
        run_id=run_id,
        skill=skill,
        skill_version=version,
        product=product,
        as_of=as_of,
        locale=locale,
        output=output,
        narrative=tuple(paragraph["text"] for paragraph in output.get("narrative", ())),
        facts=facts_of_run(conn, run_id),
        batch_to=batch_to,
        pipeline=pipeline,
        dagster_run_id=dagster_run_id,
        output_digest=digest,
        finished_at=finished_at,
    )
