"""Which event is the newest word on an entity: what the models, and the embedded texts, rest on."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from batuta.errors import BatutaError


class RetentionBlocked(BatutaError):
    """What the models rest on cannot be told, so nothing may go."""


def models_position(conn: psycopg.Connection[Any]) -> int:
    """The last batch that every model has read; 0 before the first refresh."""
    if not _model_names(conn):
        return 0
    row = conn.execute("select min(read_to) from batuta_intermediate.int_log_position").fetchone()
    return int(row[0] or 0) if row else 0


def _model_names(conn: psycopg.Connection[Any]) -> list[str]:
    """The models that fold the log into entities, as dbt lists them; none before they are built."""
    told = conn.execute(
        "select from pg_attribute "
        "where attrelid = to_regclass('batuta_intermediate.int_log_position') and attname = 'folds_log'"
    ).fetchone()
    if told is None:
        return []
    rows = conn.execute(
        "select model from batuta_intermediate.int_log_position where folds_log order by model"
    )
    return [model for (model,) in rows]


def is_newest_word(conn: psycopg.Connection[Any]) -> sql.Composable:
    """The condition that a row `events` is what a model, or the embedded texts, hold of an entity.

    Raises:
        RetentionBlocked: a model does not say which event a row of it is.
    """
    models = _model_names(conn)
    rows = conn.execute(
        """
        select relname from pg_attribute
        join pg_class on pg_class.oid = attrelid
        where
            relnamespace = to_regnamespace('batuta_intermediate') and relname = any(%s)
            and attname in ('product', 'event_source', 'event_id') and not attisdropped
        group by relname having count(*) = 3
        """,
        (models,),
    )
    telling = {name for (name,) in rows}
    silent = sorted(set(models) - telling)
    if silent:
        raise RetentionBlocked(
            f"batuta_intermediate.{silent[0]} reads the log but has no columns product, event_source and event_id: "
            "what it rests on cannot be kept",
            hint="Build the models (`refresh_marts`), or give the model those columns.",
        )
    of_models = [
        sql.SQL(
            "exists (select from batuta_intermediate.{} as state where state.product = events.product "
            "and state.event_source = events.source and state.event_id = events.id)"
        ).format(sql.Identifier(model))
        for model in models
    ]
    of_texts = sql.SQL(
        "exists (select from batuta.documents as texts where not texts.removed and texts.product = events.product "
        "and texts.source = events.source and texts.event_id = events.id)"
    )
    return sql.SQL("({})").format(sql.SQL(" or ").join([*of_models, of_texts]))
