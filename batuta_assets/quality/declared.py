"""What dbt declares of its relations, in the words that contracts are compared in."""

import re
from collections.abc import Sequence
from pathlib import Path

from batuta.manifests.problems import Position
from batuta.quality.drift import Built, BuiltColumn
from batuta_assets.dbt_manifest import DataTest, DbtManifest, Model

KEY_TEST = "key_of_grain"


def declared(manifest: DbtManifest, project: Path) -> dict[str, Built]:
    """Every relation that dbt builds, by schema and name; `project` is the folder of the dbt project."""
    tests = [test for test in manifest.tests.values() if test.severity == "error"]
    places = _Places(project)
    found: dict[str, Built] = {}
    for unique_id, model in manifest.models.items():
        own = [test for test in tests if test.model == unique_id]
        found[model.relation] = Built(
            relation=model.relation,
            columns=tuple(BuiltColumn(c.name, c.type, c.description) for c in model.columns),
            key=_key(own),
            not_null=frozenset(t.column for t in own if t.kind == "not_null" and t.column),
            values={
                t.column: tuple(map(str, t.arguments["values"]))
                for t in own
                if t.kind == "accepted_values" and t.column
            },
            enforced=model.enforced,
            place=places.of(model),
            version=model.version,
        )
    return found


def _key(tests: Sequence[DataTest]) -> tuple[str, ...]:
    """The columns of the key test, else the column that is unique and never NULL."""
    for test in tests:
        if test.kind == KEY_TEST:
            return tuple(test.arguments["columns"])
    not_null = {test.column for test in tests if test.kind == "not_null"}
    unique = [test.column for test in tests if test.kind == "unique" and test.column in not_null]
    return tuple(column for column in unique[:1] if column)


class _Places:
    """Where models are declared; each file is read once."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._lines: dict[str, list[str]] = {}

    def of(self, model: Model) -> Position:
        """The line of a model's name in its file, from the project's folder on."""
        path = model.declared_in or model.path
        named = re.compile(rf"\s*-?\s*name:\s*{re.escape(model.declared_name or model.name)}\s*")
        for number, line in enumerate(self._read(path), 1):
            if named.fullmatch(line):
                return Position(f"{self._project.name}/{path}", number, line.index("name:") + 1)
        return Position(f"{self._project.name}/{path}")

    def _read(self, path: str) -> list[str]:
        if path not in self._lines:
            file = self._project / path
            self._lines[path] = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        return self._lines[path]
