"""Editor schemas and CRDs: generated from the models, in step with them, and fit for who reads them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from batuta.manifests.crd import crd
from batuta.manifests.models import FORMS
from batuta.manifests.schemas import editor_schema, editor_schema_of_all
from batuta_cli.commands.schema import crd_files, json_files

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(
    path for path in (ROOT / "examples" / "arcsat").glob("*/*.yaml") if not path.name.endswith(".odcs.yaml")
)


def test_the_editor_schemas_in_the_repository_are_those_of_the_models() -> None:
    for name, content in json_files().items():
        assert (ROOT / "docs" / "manifests" / name).read_text("utf-8") == content, (
            "run batuta schema json --out"
        )


def test_the_crds_in_the_repository_are_those_of_the_models() -> None:
    for name, content in crd_files().items():
        assert (ROOT / "deploy" / "crds" / name).read_text("utf-8") == content, "run batuta schema crd --out"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_editors_and_the_cluster_accept_the_example_manifests(path: Path) -> None:
    manifest = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    schema = crd(manifest["kind"])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    Draft202012Validator(editor_schema(manifest["kind"])).validate(manifest)
    Draft202012Validator(editor_schema_of_all()).validate(manifest)
    Draft202012Validator(schema).validate(manifest)


def test_the_first_line_of_every_example_leads_editors_to_its_schema() -> None:
    assert EXAMPLES
    for path in EXAMPLES:
        first = path.read_text("utf-8").splitlines()[0]
        target = (path.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve()
        kind = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))["kind"]
        assert target == ROOT / "docs" / "manifests" / f"{kind.lower()}.json"


def test_editors_refuse_a_misspelt_field_and_two_triggers_in_one() -> None:
    manifest: dict[str, Any] = {
        "apiVersion": "batuta.avila.inc/v1",
        "kind": "Pipeline",
        "metadata": {"name": "a"},
        "spec": {"steps": [{"use": "vector.embed"}], "triggers": [{"schedule": "0 6 * * *"}]},
    }
    validator = Draft202012Validator(editor_schema("Pipeline"))
    assert validator.is_valid(manifest)
    assert not validator.is_valid({**manifest, "spec": {**manifest["spec"], "step": []}})
    both = [{"schedule": "0 6 * * *", "event": "a.b"}]
    assert not validator.is_valid({**manifest, "spec": {**manifest["spec"], "triggers": both}})


FORBIDDEN = {"$ref", "$defs", "$schema", "const", "title", "propertyNames", "anyOf", "oneOf", "allOf", "not"}


@pytest.mark.parametrize("kind", FORMS)
def test_crds_are_structural(kind: str) -> None:
    definition = crd(kind)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for place, node in nodes(schema, kind):
        loose = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
        assert "type" in node or loose, f"{place} has no type"
        assert not FORBIDDEN & node.keys(), f"{place} has {FORBIDDEN & node.keys()}"
        assert node.get("additionalProperties") is not False, place
        assert not ("properties" in node and "additionalProperties" in node), place
        assert node.get("type") != "array" or "items" in node, place
        assert node.get("type") == "string" or not {"minLength", "maxLength", "pattern"} & node.keys(), place
        assert node.get("type") == "array" or not {"minItems", "maxItems"} & node.keys(), place
        assert set(node.get("required", ())) <= set(node.get("properties", ())), place
        for name in node.get("required", ()):
            assert "default" not in node["properties"][name], f"{place}.{name} is required and has a default"


@pytest.mark.parametrize("kind", FORMS)
def test_arrays_above_a_rule_are_bounded_so_that_its_cost_is(kind: str) -> None:
    schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for place, node in nodes(schema, kind):
        if node.get("type") == "array" and "x-kubernetes-validations" in json.dumps(node["items"]):
            assert "maxItems" in node, place


@pytest.mark.parametrize("kind", FORMS)
def test_a_crd_has_one_stored_version_with_status_and_columns(kind: str) -> None:
    definition = crd(kind)
    [version] = definition["spec"]["versions"]

    assert definition["metadata"]["name"] == f"{definition['spec']['names']['plural']}.batuta.avila.inc"
    assert (version["name"], version["served"], version["storage"]) == ("v1", True, True)
    assert version["subresources"] == {"status": {}}
    assert {column["name"] for column in version["additionalPrinterColumns"]} >= {"Ready", "Age"}


def nodes(schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield place, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{place}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            yield from nodes(schema[name], f"{place}.{name}")
