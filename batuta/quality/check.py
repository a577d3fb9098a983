"""Holds data to a contract, in SQL: for each product how many rows break each rule, and the first of them with events.

One query counts the rows of all products (or of those asked for) and all rules at once; only what is broken is read
again. Everything is read as reader, in a transaction that cannot write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from batuta.quality.contract import PRODUCT, DataContract, Rule, missing_columns
from batuta.quality.rules import OBJECT, identifier, key_with_product, literal

COMPANY: Final = ""
"""The product of what does not belong to one."""
SHOWN_ROWS: Final = 20
SHOWN_EVENTS: Final = 5
EXPLAINED: Final = 200
"""Breaks whose rows are looked up; with more than that, the first say enough."""
TIMEOUT_MS: Final = 60_000
HELD: Final = "held_rows"
"""What the rows that are held to a contract are called while they are counted."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A row that breaks a rule: its key, what stood in the column the rule is about, and the events behind it."""

    key: Mapping[str, str]
    value: str | None
    events: tuple[tuple[str, str], ...]
    """Source and id."""

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {"key": dict(self.key), "value": self.value, "events": [list(event) for event in self.events]}


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a product's rows break."""

    rule: Rule
    product: str
    count: int
    rows: int
    evidence: tuple[Evidence, ...] = ()

    @property
    def text(self) -> str:
        """What is wrong, in one sentence without dates."""
        if self.rule.kind == "rows":
            return f"{self.rule.name}: {self.count} rows; the number of rows {self.rule.limit}"
        allowed = "" if self.rule.limit.is_none else f" (the number {self.rule.limit})"
        return f"{self.rule.name}: {self.count} of {self.rows} rows{allowed}. {self.rule.description}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check of a contract found.

    Attributes:
        rows: Rows by product; a product that has none is missing unless it must have some.
        counted: The products whose rows were counted; None: all there are.
        problem: Why the data could not be held to the contract at all; nothing may be concluded then.
    """

    contract: DataContract
    rows: Mapping[str, int]
    broken: tuple[Broken, ...] = ()
    problem: str | None = None
    counted: frozenset[str] | None = None

    @property
    def errors(self) -> tuple[Broken, ...]:
        """What stops the work below."""
        return tuple(b for b in self.broken if b.rule.severity == "error")

    @property
    def passed(self) -> bool:
        """Whether the data were read, and nothing graver than a warning was found."""
        return self.problem is None and not self.errors


@contextmanager
def reading(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Act as reader in a transaction that writes nothing; the connection must be idle."""
    with conn.transaction():
        conn.execute("set transaction isolation level repeatable read read only")
        conn.execute("set local role batuta_reader")
        conn.execute(f"set local statement_timeout = {TIMEOUT_MS}".encode())
        yield


def check(
    conn: psycopg.Connection[Any], contract: DataContract, products: Collection[str] | None = None
) -> Outcome:
    """Hold the rows of a relation to its contract.

    Args:
        conn: Within `reading`.
        contract: What they are held to.
        products: Only the rows of these; a contract that speaks of the whole company is held to all.
    """
    only = None if products is None or not contract.by_product else frozenset(products)
    try:
        with conn.transaction():
            is_view, problem = _shape(conn, contract)
            if problem is not None:
                return Outcome(contract, {}, problem=problem)
            if only is not None and not only:
                return Outcome(contract, {}, counted=only)
            rows, counts = _counts(conn, contract, only, is_view=is_view)
            for name in _expected(conn, contract, only):
                rows.setdefault(name, 0)
            found = list(_broken(contract, rows, counts))
            explained = [
                Broken(b.rule, b.product, b.count, b.rows, _evidence(conn, contract, b))
                if number < EXPLAINED
                else b
                for number, b in enumerate(found)
            ]
    except psycopg.Error as error:
        said = " ".join(str(error.diag.message_primary or error).split())
        return Outcome(
            contract, {}, problem=f"{contract.relation} could not be held to {contract.reference}: {said}"
        )
    return Outcome(contract, rows, tuple(explained), counted=only)


def _shape(conn: psycopg.Connection[Any], contract: DataContract) -> tuple[bool, str | None]:
    """Whether the relation is a view, and what is wrong with its columns."""
    rows = conn.execute(
        """
        select a.attname, format_type(a.atttypid, a.atttypmod), c.relkind = 'v'
        from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid
        where c.oid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
        """,
        (contract.relation,),
    ).fetchall()
    if not rows:
        return False, f"{contract.relation} is not there; run refresh_marts"
    wrong = missing_columns({name: type for name, type, _ in rows}, contract)
    return rows[0][2], "; ".join(wrong) or None


def _product(contract: DataContract) -> str:
    return f"checked.{identifier(PRODUCT)}" if contract.by_product else f"{literal(COMPANY)}::text"


def _among(products: Collection[str] | None) -> str:
    """The clause that leaves the rows of these products; all, for None."""
    listed = ", ".join(map(literal, sorted(products or ())))
    return "" if products is None else f" where {identifier(PRODUCT)} in ({listed})"


def _counts(
    conn: psycopg.Connection[Any], contract: DataContract, products: Collection[str] | None, *, is_view: bool
) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Rows by product, and rows that break a rule by rule and product."""
    conditions = [rule for rule in contract.rules if rule.kind == "condition"]
    shared = [rule for rule in contract.rules if rule.kind == "duplicates"]
    # A view is reckoned once however often it is read; the rows of a table need not be copied for that.
    kept = "materialized" if is_view else "not materialized"
    held = f"{HELD} as {kept} (select * from {contract.relation}{_among(products)})"
    found = conn.execute(_counting(contract, held, conditions, shared).encode()).fetchall()
    rows = {name: total for name, total, *_ in found}
    counts = {
        (rule.name, name): int(count)
        for name, _, *each in found
        for rule, count in zip((*conditions, *shared), each, strict=True)
        if count or not rule.limit.is_none
    }
    return rows, counts


def _counting(contract: DataContract, held: str, conditions: Sequence[Rule], shared: Sequence[Rule]) -> str:
    """The query for product, its rows, and the rows that break each condition, then each rule on shared columns."""
    filters = "".join(f", count(*) filter (where ({condition(rule, HELD)}))" for rule in conditions)
    # Numbers that no schema bounds stand in rows as NULL; a row without product is the company's matter.
    product = f"coalesce({_product(contract)}, '')"
    asked = [
        held,
        f"counted as (select {product} as held_product, count(*){filters} from {HELD} as checked group by 1)",
        *(f"shared_{n} as ({_sharing(contract, rule, product)})" for n, rule in enumerate(shared)),
    ]
    totals = "".join(f", coalesce(shared_{n}.total, 0)" for n in range(len(shared)))
    joined = "".join(f" left join shared_{n} using (held_product)" for n in range(len(shared)))
    return f"with {', '.join(asked)} select counted.*{totals} from counted{joined}"


def _sharing(contract: DataContract, rule: Rule, product: str) -> str:
    """How many rows of each product share the rule's columns with another."""
    columns = key_with_product(rule.columns, by_product=contract.by_product)
    listed = ", ".join(f"checked.{identifier(c)}" for c in columns)
    return (
        f"select groups.held_product, sum(groups.total)::bigint as total from (select {product} as held_product, "
        f"count(*) as total from {HELD} as checked group by {listed} having count(*) > 1) as groups group by 1"
    )


def _expected(
    conn: psycopg.Connection[Any], contract: DataContract, products: Collection[str] | None
) -> Iterator[str]:
    if contract.expected_products is None:
        return
    for (name,) in conn.execute(
        f"select product from ({contract.expected_products}) as expected (product){_among(products)}".encode()
    ):
        yield str(name)


def _broken(
    contract: DataContract, rows: Mapping[str, int], counts: Mapping[tuple[str, str], int]
) -> Iterator[Broken]:
    nothing = () if contract.by_product else (COMPANY,)
    for name in sorted({*rows, *nothing}):
        total = rows.get(name, 0)
        for rule in contract.rules:
            count = total if rule.kind == "rows" else counts.get((rule.name, name), 0)
            if not rule.limit.holds(count, total):
                yield Broken(rule, name, count, total)


def _evidence(conn: psycopg.Connection[Any], contract: DataContract, broken: Broken) -> tuple[Evidence, ...]:
    if broken.rule.kind == "rows":
        return ()
    rows = conn.execute(evidence_query(contract, broken.rule, broken.product).encode()).fetchall()
    return tuple(
        Evidence(
            {name: "" if part is None else str(part) for name, part in key.items()},
            value,
            tuple((str(source), str(id)) for source, id in events or () if id is not None),
        )
        for key, value, events in rows
    )


def evidence_query(contract: DataContract, rule: Rule, product: str, limit: int = SHOWN_ROWS) -> str:
    """The first rows of a product that break a rule, as (key, value, events)."""
    shown = contract.key or tuple(field.name for field in contract.fields)
    key = ", ".join(f"{literal(c)}, checked.{identifier(c)}" for c in shown)
    value = f"checked.{identifier(rule.columns[0])}::text" if len(rule.columns) == 1 else "null::text"
    events, join = _events(contract)
    ordered = ", ".join(f"checked.{identifier(c)}" for c in shown)
    return (
        f"select jsonb_build_object({key}), {value}, {events} "
        f"from (select * from {contract.relation} as checked where coalesce({_product(contract)}, '') = "
        f"{literal(product)} and ({breaks(contract, rule)}) order by {ordered} limit {limit}) as checked {join} "
        f"order by {ordered}"
    )


def breaks(contract: DataContract, rule: Rule) -> str:
    """The condition on rows called `checked` that break a rule."""
    if rule.kind == "condition":
        return condition(rule, contract.relation)
    columns = key_with_product(rule.columns, by_product=contract.by_product)
    own = ", ".join(f"checked.{identifier(c)}" for c in columns)
    listed = ", ".join(map(identifier, columns))
    return f"({own}) in (select {listed} from {contract.relation} group by {listed} having count(*) > 1)"


def condition(rule: Rule, relation: str) -> str:
    """The condition of a rule, which may look at the other rows of `relation` as `${object}`."""
    return OBJECT.sub(lambda _: relation, rule.condition)


def _events(contract: DataContract) -> tuple[str, str]:
    """How the events behind a row are read: the expression, and what to join for it."""
    if contract.events is not None:
        return "behind.events", (
            "left join lateral (select jsonb_agg(jsonb_build_array(found.event_source, found.event_id)) as events "
            f"from ({contract.events} limit {SHOWN_EVENTS}) as found) as behind on true"
        )
    names = {field.name for field in contract.fields}
    if {"event_source", "event_id"} <= names:
        return "jsonb_build_array(jsonb_build_array(checked.event_source, checked.event_id))", ""
    return "null::jsonb", ""


def names_of(products: Collection[str], shown: int = 5) -> str:
    """Products as people list them."""
    ordered: Sequence[str] = sorted(p or "the whole company" for p in products)
    more = len(ordered) - shown
    return ", ".join(ordered[:shown]) + (f" and {more} more" if more > 0 else "")
