"""The columns of source assets, as their contracts name them: field, type, what is personal and what becomes of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import dagster as dg

from batuta.contracts.contract import Contract, Contracts, NoContract
from batuta.contracts.profile import Node, Personal, personal_fields

KEPT_AS: Final[Mapping[str, str]] = {
    "hash": "kept as a keyed hash",
    "mask": "kept masked",
    "token": "kept as a token, which the vault can turn back",
    "drop": "dropped",
}


def column_schema(contracts: Contracts, names: Sequence[str]) -> dg.TableSchema | None:
    """The fields of these contracts, in their newest versions, and every place of personal data at any depth.

    Contracts that are not there give nothing; None where none of them is.
    """
    columns: dict[str, dg.TableColumn] = {}
    for contract in _present(contracts, names):
        for column in _columns(contract):
            columns.setdefault(column.name, column)
    return dg.TableSchema(columns=list(columns.values())) if columns else None


def _present(contracts: Contracts, names: Sequence[str]) -> Iterator[Contract]:
    for name in names:
        try:
            yield contracts.get(name)
        except NoContract:
            continue


def _columns(contract: Contract) -> Iterator[dg.TableColumn]:
    for name, node in contract.root.properties.items():
        yield _column(node, name in contract.root.required, node.personal)
    for path, personal in personal_fields(contract.root).items():
        if path not in contract.root.properties:
            yield dg.TableColumn(path, type="string", description=_said(personal), tags=_tags(personal))


def _column(node: Node, required: bool, personal: Personal | None) -> dg.TableColumn:
    types = sorted(node.types - {"null"}) or ["unknown"]
    values = [f"one of {', '.join(map(str, node.values))}"] if node.values else None
    return dg.TableColumn(
        node.path,
        type=" or ".join(types),
        description=None if personal is None else _said(personal),
        constraints=dg.TableColumnConstraints(
            nullable=not required or "null" in node.types, unique=False, other=values
        ),
        tags=_tags(personal),
    )


def _said(personal: Personal) -> str:
    return f"Personal data ({personal.kind}): {KEPT_AS[personal.rule]}."


def _tags(personal: Personal | None) -> dict[str, str]:
    return {} if personal is None else {"personal": personal.kind, "rule": personal.rule}
