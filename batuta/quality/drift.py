"""Compares what contracts promise with what dbt builds: columns, types, keys, what may be NULL. Pure.

dbt's own contracts stop a model from being built in another shape than its file says; this stops that file from saying
something else than was promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batuta.manifests.problems import FieldPath, Position, Problem, dotted, unknown
from batuta.quality.contract import ENFORCED, DataContract, canonical
from batuta.quality.reading import SUFFIX, Read, enforced

MARTS = "batuta_marts."


@dataclass(frozen=True, slots=True)
class BuiltColumn:
    """A column as dbt declares it."""

    name: str
    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Built:
    """A relation as dbt declares it.

    Attributes:
        relation: Schema and name.
        columns: In the declared order.
        key: The columns of its key test; empty where it has none.
        not_null: Columns with a test that they are never NULL.
        values: Accepted values by column.
        enforced: Whether dbt holds the model to its columns.
        place: Where it is declared.
        version: The version of the model, where dbt keeps several; a contract's first number.
    """

    relation: str
    columns: tuple[BuiltColumn, ...]
    key: tuple[str, ...]
    not_null: frozenset[str]
    values: Mapping[str, tuple[str, ...]]
    enforced: bool
    place: Position
    version: int | None = None


def drift(read: Sequence[Read], built: Mapping[str, Built], *, complete: bool) -> tuple[Problem, ...]:
    """Everything in which contracts and dbt do not agree, each with the place to mend.

    Args:
        read: The contract files.
        built: What dbt declares, by relation.
        complete: Every mart must have a contract; a project's own need not cover them.
    """
    found: list[Problem] = []
    contracts = [r.contract for r in read if r.contract is not None]
    current = {c.relation: c for c in enforced(contracts)}
    for item in read:
        if item.contract is not None:
            found += _same(item, item.contract, built, current, complete=complete)
    if complete:
        found += [
            Problem(
                relation.place,
                "",
                f"{name} has no data contract: write dbt_project/contracts/{name.partition('.')[2]}{SUFFIX}; "
                f"`batuta contracts draft {name.partition('.')[2]}` begins one",
            )
            for name, relation in sorted(built.items())
            if name.startswith(MARTS) and name not in current
        ]
    return tuple(sorted({*found, *_doubled(read)}))


def _doubled(read: Sequence[Read]) -> Iterator[Problem]:
    """Two contracts of one name and version, or of one domain and version: an export could not choose."""
    seen: dict[tuple[str, str, str], str] = {}
    for item in read:
        contract = item.contract
        if contract is None:
            continue
        for kind, value in (("name", contract.name), ("domain", contract.domain)):
            before = seen.setdefault((kind, value, contract.version), contract.file)
            if before != contract.file:
                yield Problem(
                    item.source.value_position((kind,)),
                    kind,
                    f"{kind} {value} in version {contract.version} is also in {Path(before).name}",
                )


def _same(
    item: Read,
    contract: DataContract,
    built: Mapping[str, Built],
    current: Mapping[str, DataContract],
    *,
    complete: bool,
) -> Iterator[Problem]:
    def problem(message: str, *path: str | int, severity: Any = "error") -> Problem:
        full: FieldPath = ("schema", 0, *path)
        return Problem(item.source.value_position(full), dotted(full), message, severity)

    if contract.status not in ENFORCED:
        return
    relation = built.get(contract.relation)
    if relation is None:
        known = contract.relation.startswith("batuta_")
        text = unknown("relation", contract.relation, built) if known else (
            f"{contract.relation} is not built by dbt; whether it keeps the contract shows only when it is checked"
        )  # fmt: skip
        yield problem(text, "physicalName", severity="error" if known else "warning")
        return
    declared = f"dbt ({relation.place})"
    columns = {column.name: column for column in relation.columns}
    for place, field in enumerate(contract.fields):
        there = columns.get(field.name)
        if there is None:
            text = unknown("column", field.name, columns)
            yield problem(f"{text}; {declared} does not have it", "properties", place, "name")
        elif canonical(there.type) != canonical(field.physical_type):
            yield problem(
                f"{field.name} is promised as {field.physical_type}, {declared} makes {there.type}",
                *("properties", place, "physicalType"),
            )
        if there is not None and field.name in relation.values:
            yield from _values(item, contract, field.name, place, relation)
    # Whoever promises less than the whole relation (an export, an older version) promises what it names.
    if not complete or current.get(contract.relation) is not contract:
        return
    promised = {field.name: place for place, field in enumerate(contract.fields)}
    for name in (name for name in columns if name not in promised):
        yield problem(
            f"{declared} makes {name} ({columns[name].type}), which is not promised; add it and raise the version",
            "properties",
        )
    if relation.version is not None and contract.version.partition(".")[0] != str(relation.version):
        yield Problem(
            item.source.value_position(("version",)),
            "version",
            f"version {contract.version} promises another form than version {relation.version} of the model, which "
            f"{declared} builds: give both the same first number, and let dbt keep the old version for the notice",
        )
    if not relation.enforced:
        yield Problem(relation.place, "contract", f"{contract.relation} is not held to its columns by dbt")
    if relation.key != contract.key:
        yield problem(
            f"the key is ({', '.join(contract.key)}), {declared} tests ({', '.join(relation.key) or 'none'})",
            "properties",
        )
    needed = {field.name for field in contract.fields if field.required}
    for name in sorted(relation.not_null & promised.keys() - needed):
        yield problem(
            f"{declared} tests that {name} is never NULL; promise it with `required: true`",
            *("properties", promised[name]),
        )


def _values(
    item: Read, contract: DataContract, column: str, place: int, relation: Built
) -> Iterator[Problem]:
    """Whether the accepted values are the same in both, where both name them."""
    for rule in contract.rules:
        if rule.standard is None or rule.standard[0] != "expect_column_values_to_be_in_set":
            continue
        promised = tuple(map(str, rule.standard[1]["value_set"]))
        if rule.columns == (column,) and set(promised) != set(relation.values[column]):
            path: FieldPath = ("schema", 0, "properties", place, "quality")
            yield Problem(
                item.source.value_position(path),
                dotted(path),
                f"{column} is promised as one of {', '.join(promised)}; dbt ({relation.place}) accepts "
                f"{', '.join(relation.values[column])}",
            )
