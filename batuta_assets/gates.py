"""What must hold before anything runs below the marts and live views, across runs.

Structural: the last refresh's dbt tests of severity `error` passed; if not, nothing runs for any product.
Row rules: the rows of one product are sound (`batuta_live.live_rule_violations`); if not, that product waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from batuta.landing.cursors import get_cursor, move_cursor
from batuta.landing.reader import last_batch
from sensors.claims import NEVER_REFRESHED

STRUCTURAL = "gate:structural"
REFRESHED = "refresh_marts"
SHOWN_VIOLATIONS = 20
REFRESH_LOCK = 0x6261_7475_0D87


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


def refreshed_batch(conn: psycopg.Connection[Any]) -> int:
    """The batch up to which the marts are refreshed; 0 where they never were."""
    position = get_cursor(conn, REFRESHED)
    return 0 if position is None else int(position["batch"])


def models_of(conn: psycopg.Connection[Any], consumer: str) -> str | None:
    """The dbt models (by digest) that made what a refresh last left; None where nobody knows."""
    position: Mapping[str, Any] | None = get_cursor(conn, consumer)
    return None if position is None else str(position.get("made_by", ""))


def record_refresh(conn: psycopg.Connection[Any], batch: int, models: str, made_by: str) -> None:
    """Keep up to which batch the marts are refreshed, by what: models and contracts together, and models alone."""
    move_cursor(conn, REFRESHED, {"batch": batch, "models": models, "made_by": made_by})


def hold_models(conn: psycopg.Connection[Any]) -> None:
    """Wait until nobody else builds the models or lets go of what they rest on; held as long as the connection."""
    conn.execute("select pg_advisory_lock(%s)", (REFRESH_LOCK,))


@dataclass(frozen=True, slots=True)
class BrokenRules:
    """How many rows of one relation break a rule, and the first of them."""

    total: int
    first: tuple[Violation, ...]


def broken_rules(conn: psycopg.Connection[Any], product: str) -> dict[str, BrokenRules]:
    """A product's rows that break a rule, by relation; one reading of the live views for all of them."""
    rows = conn.execute(_BROKEN, (product, SHOWN_VIOLATIONS)).fetchall()
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(row)
    return {
        relation: BrokenRules(listed[0][6], tuple(Violation(*row[:6]) for row in listed))
        for relation, listed in found.items()
    }


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


_BROKEN = """
select rule, relation, entity_id, detail, event_source, event_id, total
from (
    select
        rule, relation, entity_id::text as entity_id, detail, event_source, event_id,
        count(*) over (partition by relation) as total,
        row_number() over (partition by relation order by rule, entity_id) as place
    from batuta_live.live_rule_violations
    where product = %s
) as broken
where place <= %s
order by relation, place
"""
