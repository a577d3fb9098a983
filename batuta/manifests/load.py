"""Reads manifests from a file or folder, with everything that is wrong with them at once.

Knows files, YAML and forms; what manifests say about each other is the compiler's business.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from batuta.errors import BatutaError
from batuta.manifests.form_errors import read_form
from batuta.manifests.models import Agent, Manifest
from batuta.manifests.problems import FieldPath, Position, Problem, dotted
from batuta.manifests.yaml_source import MAX_FILE_BYTES, Source, read_yaml

PROJECT_MARK = "batuta.yaml"
MANIFEST_FOLDERS = ("agents", "products", "pipelines")
OTHER_FOLDERS = ("schemas", "contracts", "prompts", "policies")
YAML_SUFFIXES = (".yaml", ".yml")

Identity = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest with the places of its parts and the schemas it refers to."""

    manifest: Manifest
    source: Source
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def identity(self) -> Identity:
        """Kind and name, unique in a company."""
        return self.kind, self.name

    @property
    def kind(self) -> str:
        """Agent, Product or Pipeline."""
        return self.manifest.kind

    @property
    def name(self) -> str:
        """The manifest's name."""
        return self.manifest.metadata.name

    def problem(self, path: FieldPath, message: str) -> Problem:
        """An error at a value of this manifest."""
        return Problem(self.source.value_position(path), dotted(path), message)

    def warning(self, path: FieldPath, message: str) -> Problem:
        """A warning at a value of this manifest."""
        return Problem(self.source.value_position(path), dotted(path), message, "warning")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a path holds."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    broken: frozenset[Identity] = frozenset()
    """Kind and name of manifests that are there but cannot be read, so that nobody calls them unknown."""


class PathMissing(BatutaError):
    """The path given is not there or cannot be read."""

    exit_code = 2


def load(path: Path) -> Loaded:
    """Read every manifest at or below a path, in the order of file names.

    Raises:
        PathMissing: there is no such file or folder.
    """
    if not path.exists():
        raise PathMissing(f"{path} is not there", hint="give a manifest file or a folder of manifests")
    if path.suffix == ".json":
        return Loaded((), _Schemas(path.parent).read(path)[1])
    documents: list[Document] = []
    problems: list[Problem] = []
    broken: set[Identity] = set()
    schemas = _Schemas(project_folder(path))
    for file in manifest_files(path):
        content, unreadable = _read(file)
        found, not_yaml = read_yaml(content, str(file))
        problems.extend(unreadable + not_yaml)
        for yaml_document in found:
            manifest, wrong = read_form(yaml_document)
            problems.extend(wrong)
            if manifest is None:
                broken.update(_identity(yaml_document.value))
            else:
                documents.append(schemas.attach(manifest, yaml_document.source, problems))
    if path.is_dir():
        problems.extend(schemas.check_folder(path))
    return Loaded(tuple(documents), tuple(sorted(set(problems))), frozenset(broken))


def _identity(value: Any) -> Iterator[Identity]:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(name, str) and isinstance(value.get("kind"), str):
        yield value["kind"], name


def project_folder(path: Path) -> Path:
    """The folder that file references of manifests at `path` are relative to.

    Where `path` is or lies in a folder `agents`, `products` or `pipelines`, the parent of that folder; else
    the folder of `path` itself.
    """
    start = path if path.is_dir() else path.parent
    for folder in (start, *start.parents, *start.absolute().parents):
        if folder.name in MANIFEST_FOLDERS:
            return folder.parent
    return start


def manifest_files(path: Path) -> Iterator[Path]:
    """The YAML files that must hold manifests: all but those of schemas, contracts, prompts and policies."""
    if path.is_file():
        yield path
        return
    for parent, folders, files in os.walk(path):
        folders[:] = sorted(
            name for name in folders if name not in OTHER_FOLDERS and not name.startswith(".")
        )
        for name in sorted(files):
            if name.endswith(YAML_SUFFIXES) and not name.startswith(".") and name != PROJECT_MARK:
                yield Path(parent, name)


class _Schemas:
    """JSON Schema files of one project, each read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[Path, tuple[Mapping[str, Any] | None, tuple[Problem, ...]]] = {}

    def attach(self, manifest: Manifest, source: Source, problems: list[Problem]) -> Document:
        schemas: dict[str, Mapping[str, Any]] = {}
        if isinstance(manifest, Agent):
            contracts = manifest.spec.contracts
            refs = {
                "inputSchemaRef": contracts.input_schema_ref,
                "outputSchemaRef": contracts.output_schema_ref,
            }
            for name, ref in refs.items():
                if ref is None:
                    continue
                path: FieldPath = ("spec", "contracts", name)
                file = self._root / ref
                if not file.is_file():
                    message = f"no file {ref} in the project folder; write the schema or mend the reference"
                    problems.append(Problem(source.value_position(path), dotted(path), message))
                    continue
                schema, wrong = self.read(file)
                problems.extend(wrong)
                if schema is not None:
                    schemas[ref] = schema
        return Document(manifest, source, MappingProxyType(schemas))

    def check_folder(self, path: Path) -> Iterator[Problem]:
        """Problems of every schema below a folder; event contracts are checked where they are compiled."""
        for parent, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            place = Path(parent).relative_to(path).parts
            if "schemas" in place and place[place.index("schemas") :][1:2] != ("events",):
                for name in sorted(files):
                    if name.endswith(".json"):
                        yield from self.read(Path(parent, name))[1]

    def read(self, file: Path) -> tuple[Mapping[str, Any] | None, tuple[Problem, ...]]:
        if file not in self._read:
            self._read[file] = _read_schema(file)
        return self._read[file]


def _read_schema(file: Path) -> tuple[Mapping[str, Any] | None, tuple[Problem, ...]]:
    content, unreadable = _read(file)
    if unreadable:
        return None, unreadable
    try:
        schema = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
        Draft202012Validator.check_schema(schema)
    except UnicodeDecodeError:
        return None, (Problem(Position(str(file), 1, 1), "", "not UTF-8; save the file as UTF-8"),)
    except json.JSONDecodeError as error:
        return None, (Problem(Position(str(file), error.lineno, error.colno), "", f"not JSON: {error.msg}"),)
    except SchemaError as error:
        path = tuple(error.absolute_path)
        message = f"not a JSON Schema: {error.message[:300]}"
        return None, (Problem(_place_in_json(content, file, path), dotted(path), message),)
    except (ValueError, RecursionError) as error:
        return None, (Problem(Position(str(file), 1, 1), "", f"not JSON: {error}"),)
    if not isinstance(schema, dict):
        return None, (Problem(Position(str(file), 1, 1), "", "a schema is a JSON object"),)
    return schema, ()


def _place_in_json(content: bytes, file: Path, path: FieldPath) -> Position:
    documents, _ = read_yaml(content, str(file))  # JSON is YAML, and YAML nodes know their places
    return documents[0].source.value_position(path) if documents else Position(str(file), 1, 1)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _read(file: Path) -> tuple[bytes, tuple[Problem, ...]]:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1), ()
    except OSError as error:
        return b"", (Problem(Position(str(file)), "", f"cannot be read: {error.strerror}"),)
