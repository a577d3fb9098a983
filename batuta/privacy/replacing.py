"""Putting other words in the place of words, in every table and every content-addressed record.

Tables are found in the catalogue, so that one that is added later is not forgotten. A record whose content changes gets
another digest, and whatever names it by its digest changes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from batuta.blobs import digest_of

SCHEMAS: Final = ("batuta", "batuta_staging", "batuta_intermediate", "batuta_marts", "batuta_live")
_TYPES: Final = ("text", "varchar", "bpchar", "name", "json", "jsonb", "_text", "_varchar")
_BY_DIGEST: Final = {("batuta", "blobs"), ("batuta", "lineage_records")}
_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table with its columns that hold text in one form or another: (column, type)."""

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]

    @property
    def label(self) -> str:
        """As counts name it."""
        return f"{self.schema}.{self.name}"

    def has(self, words: Sequence[str]) -> sql.Composable:
        """The condition that any of these words stands in a row."""
        found = [
            sql.SQL("strpos({}::text, {}) > 0").format(sql.Identifier(column), sql.Literal(word))
            for column, _ in self.columns
            for word in words
        ]
        return sql.SQL(" or ").join(found)

    @property
    def identifier(self) -> sql.Identifier:
        """For statements."""
        return sql.Identifier(self.schema, self.name)


def text_tables(conn: psycopg.Connection[Any]) -> list[TextTable]:
    """Every table of ours that holds text."""
    rows = conn.execute(
        """
        select namespaces.nspname, tables.relname, array_agg(array[columns.attname::text, types.typname::text])
        from pg_class as tables
        join pg_namespace as namespaces on tables.relnamespace = namespaces.oid
        join pg_attribute as columns on columns.attrelid = tables.oid
        join pg_type as types on columns.atttypid = types.oid
        where
            namespaces.nspname = any(%s) and tables.relkind in ('r', 'p') and columns.attnum > 0
            and not columns.attisdropped and columns.attgenerated = '' and types.typname = any(%s)
        group by 1, 2 order by 1, 2
        """,
        (list(SCHEMAS), list(_TYPES)),
    )
    return [
        TextTable(schema, name, tuple((column, kind) for column, kind in columns))
        for schema, name, columns in rows
    ]


def replace_everywhere(conn: psycopg.Connection[Any], words: Mapping[str, str]) -> dict[str, int]:
    """Replace words in all tables and records (role: owner), in the caller's transaction; rows changed, by table."""
    if not words:
        return {}
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    gone: list[tuple[str, list[str]]] = []
    for table, column in (("lineage_records", "text"), ("blobs", "bytea")):
        moved, old = _replace_records(conn, table, column, dict(words) | digests)
        digests |= moved
        if old:
            counts[f"batuta.{table}"] = len(old)
            gone.append((table, old))
    everything = dict(words) | {old: _last(digests, new) for old, new in digests.items()}
    for table in text_tables(conn):
        if (table.schema, table.name) not in _BY_DIGEST:
            changed = _replace_in(conn, table, everything)
            if changed:
                counts[table.label] = counts.get(table.label, 0) + changed
    for name, old in gone:
        conn.execute(
            sql.SQL("delete from {} where digest = any(%s)").format(sql.Identifier("batuta", name)), (old,)
        )
    return counts


def standing(conn: psycopg.Connection[Any], words: Sequence[str]) -> dict[str, int]:
    """In how many rows any of these words still stands, by table; empty where none does."""
    left: dict[str, int] = {}
    for table in text_tables(conn) if words else ():
        query = sql.SQL("select count(*) from {} where {}").format(table.identifier, table.has(words))
        row = conn.execute(query).fetchone()
        if row is not None and row[0]:
            left[table.label] = row[0]
    for word in words:
        row = conn.execute(
            "select count(*) from batuta.blobs where position(%s::bytea in content) > 0", (word.encode(),)
        ).fetchone()
        if row is not None and row[0]:
            left["batuta.blobs"] = left.get("batuta.blobs", 0) + row[0]
    return left


def swapped(text: str, words: Mapping[str, str]) -> str:
    """A text with the words replaced, one after the other."""
    for old, new in words.items():
        text = text.replace(old, new)
    return text


def _replace_in(conn: psycopg.Connection[Any], table: TextTable, words: Mapping[str, str]) -> int:
    assignments: list[sql.Composable] = []
    for column, kind in table.columns:
        value: sql.Composable = sql.SQL("{}::text").format(sql.Identifier(column))
        for old, new in words.items():
            value = sql.SQL("replace({}, {}, {})").format(value, sql.Literal(old), sql.Literal(new))
        cast = sql.Identifier(kind)
        assignments.append(sql.SQL("{} = ({})::{}").format(sql.Identifier(column), value, cast))
    statement = sql.SQL("update {} set {} where {}").format(
        table.identifier, sql.SQL(", ").join(assignments), table.has(tuple(words))
    )
    return conn.execute(statement).rowcount


def _replace_records(
    conn: psycopg.Connection[Any], table: str, column: str, words: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Write changed records anew: what became of the digests, and those that are to be deleted."""
    known, moved, old = dict(words), dict[str, str](), list[str]()
    pending: Iterable[str] = tuple(words)
    while pending:
        following: list[str] = []
        for digest, content in _records_with(conn, table, column, tuple(pending)):
            fresh = swapped(content, known)
            address = digest_of(_encoded(fresh, column))
            _copy_record(conn, table, column, digest, address, fresh)
            old.append(digest)
            following.append(digest[-_DIGITS:])
            known[digest[-_DIGITS:]] = moved[digest[-_DIGITS:]] = address[-_DIGITS:]
        pending = following
    return moved, old


def _records_with(
    conn: psycopg.Connection[Any], table: str, column: str, words: Sequence[str]
) -> list[tuple[str, str]]:
    content = sql.SQL("content" if column == "bytea" else "convert_to(content, 'UTF8')")
    found = sql.SQL(" or ").join(
        sql.SQL("position({}::bytea in {}) > 0").format(sql.Literal(word.encode()), content) for word in words
    )
    query = sql.SQL("select digest, content from {} where {}").format(sql.Identifier("batuta", table), found)
    return [(digest, _decoded(value)) for digest, value in conn.execute(query).fetchall()]


def _copy_record(
    conn: psycopg.Connection[Any], table: str, column: str, old: str, new: str, content: str
) -> None:
    other = sql.SQL("media_type, created_at" if column == "bytea" else "kind")
    statement = sql.SQL(
        "insert into {table} (digest, content, {other}) select %s, %s, {other} from {table} where digest = %s "
        "on conflict (digest) do nothing"
    ).format(table=sql.Identifier("batuta", table), other=other)
    conn.execute(statement, (new, _encoded(content, column) if column == "bytea" else content, old))


def _last(digests: Mapping[str, str], digest: str) -> str:
    while digest in digests:
        digest = digests[digest]
    return digest


# Bytes of any kind are read as latin-1, which keeps each as it is; what is replaced is ASCII.
def _decoded(content: str | bytes | memoryview) -> str:
    return content if isinstance(content, str) else bytes(content).decode("latin-1")


def _encoded(content: str, column: str) -> bytes:
    return content.encode("latin-1" if column == "bytea" else "utf-8")
