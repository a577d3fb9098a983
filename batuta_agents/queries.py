"""Facts as named SQL files of an agent: `facts/<name>.sql`, opened by a header that says what a row is.

    -- grain: one row per order
    -- units: amounts in the order's currency
    -- relations: live_orders, live_transactions
    -- filter: orders of the window that do not agree with their payments
    -- columns: order_id, total_price

Parameters are `%(name)s`; product, as_of, currency and timezone are always there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from batuta.blobs import canonical_json, digest_of

if TYPE_CHECKING:
    import psycopg

_HEADER: Final = re.compile(r"^-- (grain|units|relations|filter): (.+)$", re.MULTILINE)
_PARAMETER: Final = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class Query:
    """A named query with the words of its header."""

    name: str
    sql: str
    grain: str
    units: str
    relations: tuple[str, ...]
    filter: str

    @cached_property
    def digest(self) -> str:
        """Address of the SQL text."""
        return digest_of(self.sql.encode())

    def bind(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Of these parameters, those the query names."""
        return {name: parameters[name] for name in sorted(set(_PARAMETER.findall(self.sql)))}


@dataclass(frozen=True)
class RowSet:
    """What a query gave: rows in the query's order, with the digest of all of them."""

    query: Query
    parameters: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]
    columns: tuple[str, ...]

    @cached_property
    def content(self) -> bytes:
        """Canonical JSON of the rows."""
        return canonical_json([{name: plain(value) for name, value in row.items()} for row in self.rows])

    @cached_property
    def digest(self) -> str:
        """Address of the rows."""
        return digest_of(self.content)


@lru_cache(maxsize=64)
def load_query(package: str, name: str) -> Query:
    """Read `facts/<name>.sql` of an agent's package."""
    sql = files(package).joinpath("facts", f"{name}.sql").read_text(encoding="utf-8")
    header = dict(_HEADER.findall(sql))
    return Query(
        name=name,
        sql=sql,
        grain=header["grain"],
        units=header["units"],
        relations=tuple(word.strip() for word in header["relations"].split(",")),
        filter=header["filter"],
    )


def fetch(conn: psycopg.Connection[Any], query: Query, parameters: Mapping[str, Any]) -> RowSet:
    """Run a query in the connection's transaction."""
    from psycopg.rows import dict_row

    bound = query.bind(parameters)
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query.sql.encode(), bound)
        columns = tuple(column.name for column in cursor.description or ())
        return RowSet(query, bound, tuple(cursor.fetchall()), columns)


def plain(value: Any) -> Any:
    """A value as JSON keeps it without loss: decimals and dates as strings."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
