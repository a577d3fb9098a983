"""Which products a contract has to be counted for again: those whose rows were written since it was last counted.

PostgreSQL keeps the transaction that wrote a row beside it (`xmin`). A check notes the oldest transaction it may not
have seen, and the next one asks the tables below the contract who has rows of that transaction or a later one. A row
that went without another being written is not seen that way, so each contract is counted for all products once a day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import psycopg

from batuta.quality.breaks import Break, LastCheck, breaks, last_checks
from batuta.quality.check import COMPANY
from batuta.quality.contract import DataContract
from batuta_assets.dbt_manifest import DbtManifest

COUNTED_WITHIN: Final = timedelta(days=1)
"""All products of a contract are counted at least so often."""
MANY_BREAKS: Final = 1000
"""With so many breaks open, all are."""
Tables: TypeAlias = Mapping[str, frozenset[str] | None]
"""By contract, the tables its counts are made of; None where nobody knows."""

_NAMED: Final = re.compile(r'\b(from|join)\s+"?(\w+)"?\."?(\w+)"?', re.IGNORECASE)
_SELECT: Final = re.compile(r"\bselect\b", re.IGNORECASE)


def contract_tables(contracts: Iterable[DataContract], manifest: DbtManifest) -> Tables:
    """The tables below each contract: its relation's, and those of the relations its rules look at."""
    models = {model.relation: unique_id for unique_id, model in manifest.models.items()}
    found: dict[str, frozenset[str] | None] = {}
    for contract in contracts:
        named = {contract.relation, *_relations(contract)}
        known = named <= models.keys() and contract.by_product
        found[contract.name] = frozenset(_tables(manifest, map(models.__getitem__, named))) if known else None
    return found


def _relations(contract: DataContract) -> Iterator[str]:
    """The relations that the rules name beside their own, as schema and name."""
    texts = [rule.condition for rule in contract.rules if _SELECT.search(rule.condition)]
    for text in (*texts, contract.expected_products or ""):
        for _, schema, name in _NAMED.findall(text):
            yield f"{schema}.{name}"


def _tables(manifest: DbtManifest, unique_ids: Iterable[str]) -> Iterator[str]:
    """The nearest tables of which these nodes are made, themselves among them."""
    for unique_id in unique_ids:
        model = manifest.models.get(unique_id)
        if model is None:
            yield manifest.source_relations[unique_id]
        elif model.materialized == "view":
            yield from _tables(manifest, model.depends_on)
        else:
            yield model.relation


class Counted:
    """What contracts were last counted on, within one `reading`.

    Attributes:
        seen_before: The oldest transaction whose rows this reading may not see.
    """

    def __init__(self, conn: psycopg.Connection[Any], tables: Tables, models: str, now: datetime) -> None:
        self._conn, self._tables, self._models, self._now = conn, tables, models, now
        self._last = {last.contract: last for last in last_checks(conn)}
        self._open: list[Break] = breaks(conn, limit=MANY_BREAKS)
        self._written: dict[tuple[str, int], frozenset[str | None]] = {}
        self._of_products = self._with_products()
        self.seen_before, self._next = self._snapshot()

    def rows(self, contract: DataContract) -> Mapping[str, int]:
        """The rows of each product when the contract was last checked."""
        last = self._last.get(contract.name)
        return {} if last is None else last.product_rows

    def again(self, contract: DataContract) -> frozenset[str] | None:
        """The products to count again; None for all, where most are, or where nobody can say which."""
        last, tables = self._last.get(contract.name), self._tables.get(contract.name)
        if last is None or tables is None or not self._stands(last, contract):
            return None
        since = last.seen_before
        if since is None or since > self._next or not tables <= self._of_products:
            return None
        products = {
            *(product for table in sorted(tables) for product in self._since(table, since)),
            *(b.product for b in self._open if b.contract == contract.name),
            *(product for product, rows in last.product_rows.items() if not rows),
        }
        whole = None in products or COMPANY in products or 2 * len(products) > len(last.product_rows)
        return None if whole else frozenset(product for product in products if product is not None)

    def _stands(self, last: LastCheck, contract: DataContract) -> bool:
        """Whether the last check was of the same contract and models, and all were counted not long ago."""
        return (
            (last.digest, last.models) == (contract.digest, self._models)
            and last.all_counted_at is not None
            and self._now - last.all_counted_at < COUNTED_WITHIN
            and len(self._open) < MANY_BREAKS
        )

    def _snapshot(self) -> tuple[int, int]:
        """The oldest transaction not seen here, and the next one to come."""
        row = self._conn.execute(
            "select pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint "
            "from pg_current_snapshot() as s"
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    def _with_products(self) -> frozenset[str]:
        """Those of the relations that are tables with a column `product`, and may be read."""
        rows = self._conn.execute(
            """
            select named.name from unnest(%s::text[]) as named (name)
            inner join pg_class as c on c.oid = to_regclass(named.name) and c.relkind = 'r'
                and has_table_privilege(c.oid, 'select')
            inner join pg_attribute as a on a.attrelid = c.oid and a.attname = 'product' and not a.attisdropped
            """,
            (sorted({table for tables in self._tables.values() for table in tables or ()}),),
        )
        return frozenset(name for (name,) in rows)

    def _since(self, table: str, transaction: int) -> frozenset[str | None]:
        """The products with rows of this transaction or a later one."""
        known = self._written.get((table, transaction))
        if known is None:
            # `xmin` has 32 bits; ages compare across their turn, and a row that is too old to compare is counted again.
            rows = self._conn.execute(
                f"select distinct product from {table} where age(xmin) <= age(%s::text::xid)".encode(),
                (transaction % 2**32,),
            )
            known = self._written[table, transaction] = frozenset(product for (product,) in rows)
        return known
