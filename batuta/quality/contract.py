"""A data contract as the rest of the code sees it: columns, key, rules, owner, and what breaking it costs. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning"]
Status: TypeAlias = Literal["proposed", "draft", "active", "deprecated", "retired"]
Kind: TypeAlias = Literal["condition", "duplicates", "rows"]

PRODUCT: Final = "product"
ENFORCED: Final = frozenset({"active", "deprecated"})
"""Statuses of contracts whose promise stands."""

_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Field:
    """A column: `physical_type` in PostgreSQL's words, `key_position` from 1 where it is part of the key."""

    name: str
    logical_type: str
    physical_type: str
    description: str
    required: bool
    key_position: int | None
    unit: str | None


@dataclass(frozen=True, slots=True)
class Limit:
    """What the number of rows (or their share, in percent) must be."""

    operator: str
    bounds: tuple[float, ...]
    percent: bool = False

    def holds(self, count: int, rows: int) -> bool:
        """Whether `count` of `rows` rows is within the limit."""
        measured = (100 * count / rows if rows else 0.0) if self.percent else float(count)
        return _HOLDS[self.operator](measured, self.bounds)

    @property
    def is_none(self) -> bool:
        """Whether not a single row may be found."""
        return (self.operator, self.bounds) == ("mustBe", (0.0,))

    def __str__(self) -> str:
        """The limit in words."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.operator).lower()
        unit = " %" if self.percent else ""
        return f"{words} {' and '.join(f'{bound:g}' for bound in self.bounds)}{unit}"


_HOLDS: Final = {
    "mustBe": lambda x, b: x == b[0],
    "mustNotBe": lambda x, b: x != b[0],
    "mustBeGreaterThan": lambda x, b: x > b[0],
    "mustBeGreaterOrEqualTo": lambda x, b: x >= b[0],
    "mustBeLessThan": lambda x, b: x < b[0],
    "mustBeLessOrEqualTo": lambda x, b: x <= b[0],
    "mustBeBetween": lambda x, b: b[0] <= x <= b[1],
    "mustNotBeBetween": lambda x, b: not b[0] <= x <= b[1],
}
OPERATORS: Final = tuple(_HOLDS)
NO_ROW: Final = Limit("mustBe", (0.0,))


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold of each product's rows.

    Attributes:
        name: Unique in its contract.
        kind: `condition`: rows for which `condition` is true break it. `duplicates`: rows that share `columns` do.
            `rows`: how many rows there are.
        columns: What it is about.
        condition: SQL over the columns of one row; `${object}` in it is the relation, for rules that look at others.
        limit: How many rows may break it (or, for `rows`, there must be).
        severity: An error stops what lies below; a warning is only shown.
        dimension: The standard's dimension of quality.
        description: The rule as a sentence.
        standard: The rule as an expectation of Great Expectations (type, arguments) where there is one that says the
            same of every row.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...]
    condition: str
    limit: Limit
    severity: Severity
    dimension: str
    description: str
    standard: tuple[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Breaking:
    """What it costs to break the promise: who builds on it, how long they are told before, what to do."""

    used_by: tuple[str, ...]
    notice_days: int
    what_to_do: str


@dataclass(frozen=True, slots=True)
class DataContract:
    """One version of a contract over one relation (`batuta_marts.fct_orders`)."""

    name: str
    version: str
    status: Status
    domain: str
    owner: str
    relation: str
    title: str
    description: str
    grain: str
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...]
    fresh_within: timedelta | None
    breaking: Breaking
    expected_products: str | None
    """SQL that gives the products that must have rows; None where having none is as good."""
    events: str | None
    """SQL that gives `event_source, event_id` of the events behind a row called `checked`."""
    file: str
    digest: str

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key, in order."""
        keyed = sorted((f.key_position, f.name) for f in self.fields if f.key_position is not None)
        return tuple(name for _, name in keyed)

    @property
    def by_product(self) -> bool:
        """Whether its rows belong to products; else it speaks of the whole company."""
        return any(field.name == PRODUCT for field in self.fields)

    @property
    def reference(self) -> str:
        """Name and version in one word."""
        return f"{self.name} {self.version}"


def version_key(version: str) -> tuple[int, ...]:
    """What versions are ordered by; `1.10.0` comes after `1.9.0`."""
    return tuple(int(part) for part in version.split("."))


def is_version(text: str) -> bool:
    """Whether a text is `major.minor.patch`."""
    return _VERSION.fullmatch(text) is not None


def missing_columns(there: Mapping[str, str], contract: DataContract) -> list[str]:
    """Promised columns that a relation (type by column) does not have, or has in another type; a sentence each."""
    found: list[str] = []
    for field in contract.fields:
        actual = there.get(field.name)
        if actual is None:
            found.append(
                f"{contract.relation} has no column {field.name}, which {contract.reference} promises"
            )
        elif canonical(actual) != canonical(field.physical_type):
            found.append(
                f"{contract.relation}.{field.name} is {actual}; {contract.reference} promises {field.physical_type}"
            )
    return found


def canonical(physical: str) -> str:
    """One spelling of a type."""
    return physical.lower().replace(", ", ",").replace("timestamptz", "timestamp with time zone")
