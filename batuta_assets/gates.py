"""What must hold before anything runs below the marts and live views, across runs.

Structural: the last refresh's dbt tests of severity `error` passed; if not, nothing runs for any product.
Row rules: the rows of one product are sound (`batuta_live.live_rule_violations`); if not, that product waits.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from batuta.landing.cursors import get_cursor, move_cursor
from batuta.landing.reader import last_batch
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
    state: Mapping[str, Any] | None = get_cursor(conn, STRUCTURAL)
    if state is None:
        return NEVER_REFRESHED
    if not state["failed"]:
        return None
    names = ", ".join(state["failed"][:5])
    return (
        f"the last refresh of the marts failed on {names} (run {state['run']}); mend it and run refresh_marts"
    )


def record_structure(conn: psycopg.Connection[Any], failed: Sequence[str], run_id: str) -> None:
    """Keep what the last refresh found."""
    move_cursor(conn, STRUCTURAL, {"failed": list(failed), "run": run_id})


def is_refreshed(conn: psycopg.Connection[Any], models: str) -> bool:
    """Whether the marts hold all that has landed, as these models (by digest) make it."""
    position = get_cursor(conn, REFRESHED)
    return position is not None and position["models"] == models and position["batch"] >= last_batch(conn)


def record_refresh(conn: psycopg.Connection[Any], batch: int, models: str) -> None:
    """Keep up to which batch, and by which models, the marts are refreshed."""
    move_cursor(conn, REFRESHED, {"batch": batch, "models": models})


def violations(
    conn: psycopg.Connection[Any], product: str, relations: Collection[str]
) -> tuple[list[Violation], int]:
    """Rows of a product that break a rule: the first of them, and how many there are."""
    where = sql.SQL("from batuta_live.live_rule_violations where product = %s and relation = any(%s)")
    given = (product, sorted(relations))
    first = sql.SQL(
        "select rule, relation, entity_id::text, detail, event_source, event_id {} "
        "order by rule, entity_id limit {}"
    ).format(where, SHOWN_VIOLATIONS)
    found = [Violation(*row) for row in conn.execute(first, given)]
    total = conn.execute(sql.SQL("select count(*) {}").format(where), given).fetchone()
    return found, int(total[0]) if total else 0


def raise_horizons(conn: psycopg.Connection[Any], reach: Mapping[str, date]) -> bool:
    """Let each product's daily series reach at least these days; whether any moved. None ever moves back."""
    moved = conn.execute(
        """
        insert into batuta.horizons (product, as_of) select * from unnest(%s::text[], %s::date[])
        on conflict (product) do update set as_of = excluded.as_of where horizons.as_of < excluded.as_of
        """,
        (list(reach), list(reach.values())),
    )
    return moved.rowcount > 0
