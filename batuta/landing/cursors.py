"""Positions: how far each reader has read (batch numbers) and each poll has polled (the vendor's own cursor)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from batuta.errors import BatutaError


class NoCursor(BatutaError):
    """There is no position under that name."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """One position."""

    consumer: str
    product: str
    position: Any
    updated_at: datetime


def get_cursor(conn: psycopg.Connection[Any], consumer: str, product: str = "") -> Any:
    """The position of a consumer, None where it has none yet."""
    row = conn.execute(
        "select position from batuta.cursors where consumer = %s and product = %s", (consumer, product)
    ).fetchone()
    return row[0] if row is not None else None


def move_cursor(conn: psycopg.Connection[Any], consumer: str, position: Any, product: str = "") -> None:
    """Set a position, in the caller's transaction."""
    conn.execute(
        """
        insert into batuta.cursors (consumer, product, position, updated_at) values (%s, %s, %s, clock_timestamp())
        on conflict (consumer, product) do update set position = excluded.position, updated_at = excluded.updated_at
        """,
        (consumer, product, Jsonb(position)),
    )


def list_cursors(conn: psycopg.Connection[Any]) -> list[Cursor]:
    """Every position."""
    with conn.cursor(row_factory=class_row(Cursor)) as cursor:
        return cursor.execute(
            "select consumer, product, position, updated_at from batuta.cursors order by consumer, product"
        ).fetchall()


def rewind_cursor(conn: psycopg.Connection[Any], consumer: str, product: str, position: Any) -> Cursor:
    """Set a position that exists to an earlier value, in the caller's transaction; the position before.

    Raises:
        NoCursor: there is none to rewind.
    """
    with conn.cursor(row_factory=class_row(Cursor)) as cursor:
        before = cursor.execute(
            """
            select consumer, product, position, updated_at from batuta.cursors
            where consumer = %s and product = %s for update
            """,
            (consumer, product),
        ).fetchone()
    if before is None:
        where = f" of product {product}" if product else ""
        raise NoCursor(f"there is no cursor {consumer}{where}", hint="See `batuta cursors list`.")
    move_cursor(conn, consumer, position, product)
    return before
