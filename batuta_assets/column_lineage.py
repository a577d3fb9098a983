"""Of which columns each column of a dbt model is made: read out of the compiled SQL, once, beside the manifest.

What a column is computed from counts; what rows are filtered or joined by does not. A source's fields lie in one
JSON column: where a model takes them out with `jsonb_to_record`, each is an origin by its own name.

sqlglot takes most of a second to import: it is imported when lineage is made, never where it is read.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from batuta.errors import BatutaError

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope
    from sqlglot.schema import Schema

Origin: TypeAlias = tuple[str, str]
"""A model or source, by dbt's unique id, and one of its columns."""
ModelLineage: TypeAlias = Mapping[str, tuple[Origin, ...]]
"""The origins of each column of a model."""
FILE: Final = "column_lineage.json"
DIALECT: Final = "postgres"


class LineageError(BatutaError):
    """The SQL of a model cannot be followed, or what was kept of it cannot be read."""


def read_lineage(manifest: Path) -> Mapping[str, ModelLineage]:
    """What `write_lineage` kept beside a manifest; nothing where a manifest came without it.

    Raises:
        LineageError: it is not what was written.
    """
    path = manifest.with_name(FILE)
    try:
        document = json.loads(path.read_bytes())
        return {
            model: {column: tuple((o[0], o[1]) for o in origins) for column, origins in columns.items()}
            for model, columns in document.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError, IndexError) as error:
        raise LineageError(
            f"{path} cannot be read", hint="Remove it; `make setup` writes it anew."
        ) from error


def write_lineage(manifest: Path, lineage: Mapping[str, ModelLineage]) -> None:
    """Keep lineage beside a manifest."""
    draft = manifest.with_name(f"{FILE}.new")
    draft.write_text(json.dumps(lineage, separators=(",", ":"), sort_keys=True), encoding="utf-8")
    draft.replace(manifest.with_name(FILE))


def column_lineage(document: Mapping[str, Any], log: Callable[[str], None]) -> dict[str, ModelLineage]:
    """The origins of every documented column of every model of a manifest whose SQL is compiled.

    A model whose SQL cannot be followed has no lineage; `log` is told which, and why.
    """
    nodes = {**document["nodes"], **document["sources"]}
    schema = _schema(nodes.values())
    found: dict[str, ModelLineage] = {}
    for key, node in document["nodes"].items():
        if node["resource_type"] == "model":
            try:
                found[key] = _of_model(node, nodes, schema)
            except LineageError as error:
                log(f"no column lineage: {error.message}")
    return found


def _schema(nodes: Iterable[Mapping[str, Any]]) -> "Schema":
    """Columns by database, schema and relation, as the documentation has them."""
    from sqlglot.schema import MappingSchema

    found: dict[str, Any] = {}
    for node in (n for n in nodes if n["resource_type"] in {"model", "source", "seed"} and n["columns"]):
        columns = dict.fromkeys(node["columns"], "unknown")
        found.setdefault(node["database"], {}).setdefault(node["schema"], {})[_identifier(node)] = columns
    return MappingSchema(found, dialect=DIALECT)


def _identifier(node: Mapping[str, Any]) -> str:
    return str(node.get("identifier") or node.get("alias") or node["name"])


def _of_model(
    node: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]], schema: "Schema"
) -> ModelLineage:
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    relations = {
        (nodes[key]["schema"], _identifier(nodes[key])): key
        for key in node["depends_on"]["nodes"]
        if key in nodes
    }
    try:
        tree = qualify(
            parse_one(node["compiled_code"], dialect=DIALECT),
            dialect=DIALECT,
            schema=schema,
            validate_qualify_columns=False,
            allow_partial_qualification=True,
            identify=False,
        )
        scope = build_scope(tree)
    except (SqlglotError, KeyError) as error:
        raise LineageError(f"the SQL of {node['name']} cannot be followed: {error}") from error
    if scope is None:
        raise LineageError(f"the SQL of {node['name']} is no query")
    walk = _Walk(relations)
    return {column: tuple(sorted(walk.of_column(scope, column))) for column in node["columns"]}


@dataclass
class _Walk:
    """Follows columns through the scopes of one query; each column of a scope once."""

    relations: Mapping[tuple[str, str], str]
    known: dict[tuple[int, str], frozenset[Origin]] = field(
        default_factory=dict[tuple[int, str], frozenset[Origin]]
    )

    def of_column(self, scope: "Scope", column: str) -> frozenset[Origin]:
        """The origins of a column that a scope gives."""
        key = (id(scope), column)
        if key not in self.known:
            self.known[key] = frozenset()  # a recursive query meets itself here
            self.known[key] = frozenset(self._of_column(scope, column))
        return self.known[key]

    def _of_column(self, scope: "Scope", column: str) -> Iterator[Origin]:
        from sqlglot import exp

        if isinstance(scope.expression, exp.SetOperation):
            position = scope.expression.named_selects.index(column)
            for branch in scope.set_operation_scopes:
                names = _names(branch)
                given = names[position : position + 1] if column not in names else [column]
                for name in given:
                    yield from self.of_column(branch, name)
        elif isinstance(scope.expression, exp.Query):
            for projection in scope.expression.selects:
                if projection.alias_or_name == column:
                    yield from self._of_expression(scope, projection)
        else:
            yield from self._of_record(scope, column)

    def _of_expression(self, scope: "Scope", expression: "exp.Expr") -> Iterator[Origin]:
        from sqlglot import exp
        from sqlglot.optimizer.scope import walk_in_scope

        inner = {id(sub.expression): sub for sub in scope.subquery_scopes}
        for node in walk_in_scope(expression):
            if isinstance(node, exp.Column):
                yield from self._of_reference(scope, node.table, node.name)
            elif id(node) in inner:
                for name in _names(inner[id(node)]):
                    yield from self.of_column(inner[id(node)], name)

    def _of_reference(self, scope: "Scope | None", table: str, column: str) -> Iterator[Origin]:
        """A column of a relation that this scope, or one around it, has under a name."""
        from sqlglot import exp

        while scope is not None and table not in scope.sources:
            scope = scope.parent
        source = scope.sources[table] if scope is not None else None
        if isinstance(source, exp.Table):
            relation = self.relations.get((source.db, source.name))
            if relation is not None:
                yield relation, column
        elif source is not None:
            yield from self.of_column(source, column)

    def _of_record(self, scope: "Scope", column: str) -> Iterator[Origin]:
        """A column of a function's rows: of a record taken out of JSON, the field of that name."""
        from sqlglot import exp

        for reference in scope.expression.find_all(exp.Column):
            for relation, origin in self._of_reference(scope.parent, reference.table, reference.name):
                yield relation, column if relation.startswith("source.") and origin == "data" else origin


def _names(scope: "Scope") -> list[str]:
    """The columns that a scope gives, in their order."""
    from sqlglot import exp

    return scope.expression.named_selects if isinstance(scope.expression, exp.Query) else []
