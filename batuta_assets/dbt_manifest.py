"""Reads dbt's `manifest.json`.

Models with their lineage, tests with what they check. Plain data, no Dagster, no dbt.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import orjson

from batuta.errors import BatutaError

TABLES = ("model", "seed", "snapshot")
PLATFORM = "platform"
"""Tag of what is about the platform itself, and no product's."""


class ManifestError(BatutaError):
    """The dbt manifest is missing or cannot be read."""


@dataclass(frozen=True, slots=True)
class Column:
    """A documented column."""

    name: str
    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Model:
    """A relation that dbt builds. `key` is its asset key: layer and name.

    The latest version of a model has its name; an older one, kept beside it, that of its relation (`kpi_daily_v1`).
    """

    unique_id: str
    name: str
    key: tuple[str, ...]
    layer: str
    relation: str
    description: str
    materialized: str
    columns: tuple[Column, ...]
    depends_on: tuple[str, ...]
    owners: tuple[str, ...]
    path: str
    digest: str
    declared_in: str
    """The file that holds its columns, from the project's folder."""
    enforced: bool
    """Whether dbt holds the model to its columns and their types."""
    about_platform: bool = False
    declared_name: str = ""
    """What its file calls it, whichever version it is."""
    version: int | None = None
    """The version of what it promises, where dbt keeps several."""


@dataclass(frozen=True, slots=True)
class DataTest:
    """A dbt test on a model; `error` is structural and stops what lies below.

    `kind` is the generic test (`not_null`), "" for a test of its own; `column` and `arguments` are what it is given.
    """

    unique_id: str
    name: str
    model: str
    others: tuple[str, ...]
    severity: Literal["error", "warn"]
    description: str
    kind: str = ""
    column: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class DbtManifest:
    """What dbt knows of the project, by dbt's unique ids."""

    path: Path
    digest: str
    """Digest of all that is built: models, tests and macros of the project."""
    models: Mapping[str, Model]
    sources: Mapping[str, tuple[str, ...]]
    """Asset keys of the sources."""
    source_relations: Mapping[str, str]
    """Schema and name of the sources."""
    tests: Mapping[str, DataTest]
    exposures: Mapping[str, str] = field(default_factory=dict[str, str])
    """Unique ids of what is made outside dbt, by name: a report has its family's name."""

    def asset_key(self, unique_id: str) -> tuple[str, ...] | None:
        """The asset key of a model or source."""
        model = self.models.get(unique_id)
        return model.key if model is not None else self.sources.get(unique_id)

    def node_name(self, unique_id: str) -> str:
        """The name of a model or test, by which people know it."""
        node = self.models.get(unique_id) or self.tests.get(unique_id)
        return node.name if node else unique_id

    @cached_property
    def source_keys(self) -> Mapping[str, frozenset[tuple[str, ...]]]:
        """The sources each model is made of in the end."""
        found: dict[str, frozenset[tuple[str, ...]]] = {}

        def visit(unique_id: str) -> frozenset[tuple[str, ...]]:
            if unique_id in self.sources:
                return frozenset({self.sources[unique_id]})
            if unique_id not in self.models:
                return frozenset()
            if unique_id not in found:
                found[unique_id] = frozenset().union(*map(visit, self.models[unique_id].depends_on))
            return found[unique_id]

        for unique_id in self.models:
            visit(unique_id)
        return found

    def sources_of_relations(self, layer: str) -> dict[str, frozenset[tuple[str, ...]]]:
        """Source asset keys by the name of the layer's models."""
        return {
            m.name: self.source_keys[unique_id] for unique_id, m in self.models.items() if m.layer == layer
        }


def read_manifest(path: Path) -> DbtManifest:
    """Read a manifest.

    Raises:
        ManifestError: there is none, or it is not dbt's.
    """
    try:
        document = orjson.loads(path.read_bytes())
        nodes, sources = document["nodes"], document["sources"]
        models = {key: _model(node) for key, node in nodes.items() if node["resource_type"] in TABLES}
        return DbtManifest(
            path=path,
            digest=_digest(document),
            models=models,
            sources={key: _source_key(node) for key, node in sources.items()},
            source_relations={key: f"{node['schema']}.{node['identifier']}" for key, node in sources.items()},
            tests={
                key: test
                for key, node in nodes.items()
                if node["resource_type"] == "test" and (test := _test(node, models)) is not None
            },
            exposures={node["name"]: key for key, node in document.get("exposures", {}).items()},
        )
    except FileNotFoundError:
        raise ManifestError(
            f"{path} is not there", hint="run `make setup`, or dbt parse in dbt_project"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path} cannot be read as a dbt manifest", hint="run dbt parse again") from error


def _digest(document: Mapping[str, Any]) -> str:
    nodes = sorted((key, node["checksum"]["checksum"]) for key, node in document["nodes"].items())
    own = document.get("metadata", {}).get("project_name")
    macros = sorted(
        (key, macro["macro_sql"])
        for key, macro in document.get("macros", {}).items()
        if macro["package_name"] == own
    )
    return hashlib.sha256(json.dumps([nodes, macros]).encode()).hexdigest()


def _model(node: Mapping[str, Any]) -> Model:
    config = node["config"]
    types = config.get("column_types") or {}
    layer = config.get("schema") or node["fqn"][1]
    meta = _meta(node).get("dagster", {})
    return Model(
        unique_id=node["unique_id"],
        name=node["alias"],
        key=(layer, node["alias"]),
        layer=layer,
        relation=f"{node['schema']}.{node['alias']}",
        description=node.get("description") or "",
        materialized=config["materialized"],
        columns=tuple(
            Column(name, column.get("data_type") or types.get(name, ""), column.get("description") or "")
            for name, column in node["columns"].items()
        ),
        depends_on=tuple(node["depends_on"].get("nodes", ())),
        owners=tuple(meta.get("owners", ())),
        path=node["original_file_path"],
        digest=node["checksum"]["checksum"][:16],
        about_platform=PLATFORM in config.get("tags", ()),
        declared_name=node["name"],
        version=node.get("version"),
        declared_in=str(node.get("patch_path") or "").partition("://")[2],
        # A seed has no contract in dbt; its column types are what its table is made with.
        enforced=node["columns"].keys() <= types.keys()
        if node["resource_type"] == "seed"
        else bool(config.get("contract", {}).get("enforced")),
    )


def _test(node: Mapping[str, Any], models: Mapping[str, Model]) -> DataTest | None:
    """The test, or None where it looks at no model (it still runs, and still fails the build)."""
    on = [unique_id for unique_id in node["depends_on"]["nodes"] if unique_id in models]
    model = node.get("attached_node") if node.get("attached_node") in models else next(iter(on), None)
    if model is None:
        return None
    metadata = node.get("test_metadata") or {}
    return DataTest(
        unique_id=node["unique_id"],
        name=node["name"],
        model=model,
        others=tuple(unique_id for unique_id in on if unique_id != model),
        severity="warn" if str(node["config"]["severity"]).lower() == "warn" else "error",
        description=node.get("description") or "",
        kind=metadata.get("name") or "",
        column=node.get("column_name"),
        arguments=metadata.get("kwargs") or {},
    )


def _source_key(node: Mapping[str, Any]) -> tuple[str, ...]:
    key = _meta(node).get("dagster", {}).get("asset_key")
    return tuple(key) if key else (node["source_name"], node["name"])


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**node.get("meta", {}), **node["config"].get("meta", {})}
