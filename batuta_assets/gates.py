"""What must hold before anything runs below the marts and live views, across runs.

Structural: the last refresh's dbt tests of severity `error` passed; if not, nothing runs for any product.
Row rules: the rows of one product are sound (`batuta_live.live_rule_violations`); if not, that product waits.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from sensors.factory import NEVER_REFRESHED

STRUCTURAL = "gate:structural"
REFRESHED = "refresh_marts"
SHOWN_VIOLATIONS = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """A row that breaks a rule, with the event it came from."""

    rule: str
    relation: str
    entity_id: str
    detail: str
    event_source: str | None
    event_id: str | None


def structural_problem(conn: psycopg.Connection[Any]) -> str | None:
    """Why nothing may run on the marts and live views at present; None where it may."""
    row = conn.execute("select position from batuta.cursors where consumer = %s", (STRUCTURAL,)).fetchone()
    if row is None:
        return NEVER_REFRESHED
    state: Mapping[str, Any] = row[0]
    if not state["failed"]:
        return None
    names = ", ".join(state["failed"][:5])
    return f"the last refresh of the marts failed on {names} (run {state['run']}); mend it and run refresh_marts"


def record_structure(conn: psycopg.Connection[Any], failed: Sequence[str], run_id: str) -> None:
    """Keep what the last refresh found."""
    _put(conn, STRUCTURAL, {"failed": list(failed), "run": run_id})


def refreshed_to(conn: psycopg.Connection[Any]) -> int | None:
    """The batch up to which the marts are refreshed; None before the first refresh."""
    row = conn.execute("select position from batuta.cursors where consumer = %s", (REFRESHED,)).fetchone()
    return None if row is None else int(row[0])


def record_refresh(conn: psycopg.Connection[Any], batch: int) -> None:
    """Keep the batch up to which the marts are refreshed."""
    _put(conn, REFRESHED, batch)


def violations(
    conn: psycopg.Connection[Any], product: str, relations: Collection[str]
) -> tuple[list[Violation], int]:
    """Rows of a product that break a rule: the first of them, and how many there are."""
    where = "from batuta_live.live_rule_violations where product = %s and relation = any(%s)"
    given = (product, sorted(relations))
    columns = "rule, relation, entity_id::text, detail, event_source, event_id"
    rows = conn.execute(f"select {columns} {where} order by rule, entity_id limit {SHOWN_VIOLATIONS}", given)  # type: ignore[arg-type]
    found = [Violation(*row) for row in rows]
    total = conn.execute(f"select count(*) {where}", given).fetchone()  # type: ignore[arg-type]
    return found, int(total[0]) if total else 0


def raise_horizons(conn: psycopg.Connection[Any], reach: Mapping[str, date]) -> None:
    """Let each product's daily series reach at least these days; a horizon never moves back."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into batuta.horizons (product, as_of) values (%s, %s)
            on conflict (product) do update set as_of = greatest(horizons.as_of, excluded.as_of)
            """,
            sorted(reach.items()),
        )


def _put(conn: psycopg.Connection[Any], consumer: str, position: Any) -> None:
    conn.execute(
        """
        insert into batuta.cursors (consumer, product, position, updated_at) values (%s, '', %s, now())
        on conflict (consumer, product) do update set position = excluded.position, updated_at = excluded.updated_at
        """,
        (consumer, Jsonb(position)),
    )
