"""A refresh of all models about products, or of all about the platform; views that stand are left as they are.

A view is as of the newest event whenever it is read, and dbt spends a good part of a refresh on finding that none needs
making. So a refresh keeps what it leaves: the digest of the project's files, and the marks by which the project knows
the text of each view (macro `mark_view`). Where both are the same at the next one, nothing would be made. A view that
was dropped or made by other hands has no mark, or another. Tables take in what is new and stay themselves; a model that
is a plain `table` is made anew each time, and takes the views on it along: with such a one, none is left out.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from graphlib import TopologicalSorter
from typing import Any, Final, Literal, TypeAlias

import psycopg

from batuta.landing.cursors import get_cursor, move_cursor
from batuta_assets.dbt_manifest import DbtManifest, Model
from batuta_assets.dbt_run import NodeResult, build, project_digest
from batuta_assets.locations import Locations

Scope: TypeAlias = Literal["marts", "platform"]
LEFT: Final = "VIEW LEFT"
_MARKS: Final = """
select
    bool_and(d.description is not null) as marked,
    md5(string_agg(concat(wanted.name, '=', d.description), ',' order by wanted.name)) as marks
from unnest(%s::text[]) as wanted (name)
left join pg_namespace as n on n.nspname = split_part(wanted.name, '.', 1)
left join pg_class as c on c.relnamespace = n.oid and c.relname = split_part(wanted.name, '.', 2)
left join pg_rewrite as r on r.ev_class = c.oid and r.rulename = '_RETURN'
left join pg_description as d on d.objoid = r.oid and d.classoid = 'pg_rewrite'::regclass
"""


def models_in(manifest: DbtManifest, scope: Scope) -> dict[str, Model]:
    """The models of a scope, by dbt's unique id."""
    about_platform = scope == "platform"
    return {u: model for u, model in manifest.models.items() if model.about_platform == about_platform}


def refresh(
    conn: psycopg.Connection[Any],
    found: Locations,
    url: str,
    manifest: DbtManifest,
    scope: Scope,
    *,
    anew: bool = False,
    log: Callable[[str], None],
) -> list[NodeResult]:
    """Build and test all of a scope; views that stand are told as built, models before those made of them.

    Commits before it builds, and keeps what it leaves in the caller's next transaction. With `anew` tables and views
    are made from nothing.

    Raises:
        DbtFailed: dbt did not get to the nodes.
    """
    models = models_in(manifest, scope)
    views = {u: model for u, model in models.items() if model.materialized == "view"}
    kept, project = f"views:{scope}", project_digest(found.dbt_project)
    before = _state(conn, views.values(), project)
    tables_stay = all(model.materialized != "table" for model in models.values())
    stand = tables_stay and not anew and before is not None and before == get_cursor(conn, kept)
    conn.commit()
    results = build(found, url, selector=f"{scope}_tables" if stand else scope, anew=anew, log=log)
    if stand:
        return _in_order(models, [*results, *_left(manifest, views, results)])
    if all(result.ok for result in results):
        move_cursor(conn, kept, _state(conn, views.values(), project))
    return results


def _state(conn: psycopg.Connection[Any], views: Iterable[Model], project: str) -> dict[str, str] | None:
    """What there is of these views, made by what; None where one is not there or was not made by the project."""
    row = conn.execute(_MARKS, ([view.relation for view in views],)).fetchone()
    return {"project": project, "marks": row[1]} if row is not None and row[0] else None


def _left(
    manifest: DbtManifest, views: Mapping[str, Model], results: Iterable[NodeResult]
) -> list[NodeResult]:
    """The results of views that were left out: what failed above one holds it up, as in dbt."""
    broken = {result.unique_id for result in results if not result.ok}
    broken |= {manifest.tests[u].model for u in broken if u in manifest.tests}

    @cache
    def held_up(unique_id: str) -> bool:
        model = manifest.models.get(unique_id)
        return unique_id in broken or (model is not None and any(map(held_up, model.depends_on)))

    return [
        NodeResult(u, "skipped" if held_up(u) else "success", LEFT, failures=0, rows=None, seconds=0.0)
        for u in views
    ]


def _in_order(models: Mapping[str, Model], results: Iterable[NodeResult]) -> list[NodeResult]:
    """Models before those made of them, as Dagster wants them told; tests last."""
    upstream = {unique_id: model.depends_on for unique_id, model in models.items()}
    place = {unique_id: n for n, unique_id in enumerate(TopologicalSorter(upstream).static_order())}
    return sorted(results, key=lambda result: place.get(result.unique_id, len(place)))
