"""Contracts outside the profile are refused where they are loaded, every problem at once, with file and place."""

import json
from pathlib import Path
from typing import Any

import pytest

from batuta.contracts.contract import ContractError, Contracts, NoContract
from batuta.contracts.profile import read_profile


def problems(**keywords: Any) -> str:
    root, found = read_profile({"type": "object", "properties": {"x": keywords}})
    assert (root is None) == bool(found)
    return "; ".join(found)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"type": "string", "minLenght": 1}, "keyword 'minLenght' is not in the profile"),
        ({"type": "string", "oneOf": []}, "keyword 'oneOf' is not in the profile"),
        ({"type": "text"}, 'x: needs a "type"'),
        ({}, 'x: needs a "type"'),
        ({"type": "array"}, "an array needs items"),
        ({"type": "object"}, "an object needs properties"),
        ({"type": "string", "minimum": 1}, "minimum has no effect"),
        ({"type": "string", "pattern": "["}, "pattern must be a regular expression"),
        ({"type": "string", "format": "uuid"}, "format must be one of date, date-time"),
        ({"$ref": "https://example.com/schema.json"}, "$ref must name one of the contract's own"),
        (
            {"type": "string", "x-batuta": {"personal": "mail", "rule": "hash"}},
            "x-batuta.personal must be one of",
        ),
        ({"type": "string", "x-batuta": {"personal": "email"}}, "x-batuta.rule must be one of"),
        ({"type": "string", "x-batuta": {"personal": "email", "rul": "hash"}}, "x-batuta must be"),
        ({"enum": []}, "enum and const take"),
        ({"enum": [{"a": 1}]}, "enum and const take"),
        (
            {"type": "array", "items": {"type": "string"}, "x-batuta": {"personal": "email", "rule": "hash"}},
            "can only be dropped",
        ),
    ],
)
def test_what_the_profile_does_not_have_is_named(keywords: dict[str, Any], message: str) -> None:
    assert message in problems(**keywords)


def test_a_contract_that_refers_to_itself_is_refused() -> None:
    schema = {
        "type": "object",
        "properties": {"x": {"$ref": "#/$defs/tree"}},
        "$defs": {"tree": {"type": "object", "properties": {"x": {"$ref": "#/$defs/tree"}}}},
    }
    root, found = read_profile(schema)
    assert root is None
    assert "refers to itself" in found[0]


def write(project: Path, name: str, version: str, schema: Any) -> None:
    folder = project / "schemas" / "events" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{version}.json").write_text(schema if isinstance(schema, str) else json.dumps(schema))


FILE_CREATED = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


def test_every_problem_of_a_project_is_told_at_once_with_its_file(tmp_path: Path) -> None:
    write(tmp_path, "com.avila.a", "1", {"type": "object", "properties": {"x": {"type": "text"}}})
    write(tmp_path, "com.avila.b", "1", "{broken")
    write(tmp_path, "com.avila.c", "first", FILE_CREATED)
    write(tmp_path, "batuta.spend", "1", FILE_CREATED)
    with pytest.raises(ContractError) as caught:
        Contracts.load(tmp_path)
    for part in (
        "com.avila.a/1.json: x: needs",
        "com.avila.b/1.json: cannot be read",
        "com.avila.c/first.json",
        "give yours a higher version",
    ):
        assert part in caught.value.message


def test_a_projects_contract_governs_the_type_it_is_called_like_and_those_it_names(tmp_path: Path) -> None:
    write(tmp_path, "com.avila.file.created", "1", FILE_CREATED)
    write(tmp_path, "notes", "1", FILE_CREATED | {"x-batuta": {"types": ["com.avila.note.*"]}})
    contracts = Contracts.load(tmp_path)
    assert contracts.for_type("com.avila.file.created").name == "com.avila.file.created"
    assert contracts.for_type("com.avila.note.written").name == "notes"
    with pytest.raises(NoContract):
        contracts.for_type("com.avila.other")


def test_the_newest_version_is_in_force_and_ten_comes_after_nine(tmp_path: Path) -> None:
    for version in ("9", "10"):
        write(tmp_path, "batuta.survey", version, FILE_CREATED | {"title": version})
    contracts = Contracts.load(tmp_path)
    assert contracts.for_type("com.batuta.survey.answered").version == "10"
    assert contracts.get("batuta.survey", "1").version == "1"


def test_the_digest_does_not_depend_on_spacing_or_order(tmp_path: Path) -> None:
    write(tmp_path, "com.a", "1", '{"type":"object","properties":{"x":{"type":"string"}}}')
    write(tmp_path, "com.b", "1", '{ "properties": {"x": {"type": "string"}}, "type": "object" }')
    contracts = Contracts.load(tmp_path)
    assert contracts.get("com.a").digest == contracts.get("com.b").digest
