"""Files and folders: which are read, what references to files are relative to, and what is said of the rest."""

from pathlib import Path

import pytest

from batuta.manifests.load import PathMissing, load
from batuta.manifests.project import check_path
from tests.support.manifest_catalog import small_catalog

HEAD = "apiVersion: batuta.avila.inc/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"


def agent(name: str, spec: str = "skills: [a.b]") -> str:
    return HEAD.format(kind="Agent", name=name) + f"spec: {{{spec}}}\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def shown(path: Path) -> list[str]:
    return [str(problem).replace(f"{path}/", "") for problem in load(path).problems]


def test_manifests_are_found_in_any_yaml_file_below_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "agents/a.yaml", agent("a") + "---\n" + agent("b"))
    write(tmp_path, "deep/er/c.yml", agent("c"))

    loaded = load(tmp_path)

    assert [document.name for document in loaded.documents] == ["a", "b", "c"]
    assert not loaded.problems


def test_other_yaml_is_left_alone_only_where_it_belongs(tmp_path: Path) -> None:
    foreign = "apiVersion: apps/v1\nkind: Deployment\n"
    for folder in ("schemas", "contracts", "prompts", "policies", ".hidden"):
        write(tmp_path, f"{folder}/x.yaml", foreign)
    write(tmp_path, "batuta.yaml", "")
    write(tmp_path, "x.yaml", foreign)

    assert shown(tmp_path) == [
        'x.yaml:1:13: apiVersion: "apps/v1" is not batuta.avila.inc/v1; other YAML stays out of this folder'
    ]


@pytest.mark.parametrize("where", [".", "agents"])
def test_schema_references_are_relative_to_the_project_folder(tmp_path: Path, where: str) -> None:
    write(tmp_path, "schemas/in.json", '{"type": "object"}')
    write(
        tmp_path, "agents/a.yaml", agent("a", "skills: [a.b], contracts: {inputSchemaRef: schemas/in.json}")
    )

    [document] = load(tmp_path / where).documents

    assert document.schemas == {"schemas/in.json": {"type": "object"}}


def test_a_schema_that_is_missing_or_broken_has_a_place(tmp_path: Path) -> None:
    write(tmp_path, "schemas/broken.json", '{"type":\n x}')
    write(tmp_path, "schemas/wrong.json", '{"properties":\n  {"a": {"type": "txt"}}}')
    refs = "inputSchemaRef: schemas/broken.json, outputSchemaRef: schemas/none.json"
    write(tmp_path, "a.yaml", agent("a", f"skills: [a.b], contracts: {{{refs}}}"))

    assert shown(tmp_path) == [
        (
            "a.yaml:4:89: spec.contracts.outputSchemaRef: no file schemas/none.json in the project folder;"
            " write the schema or mend the reference"
        ),
        "schemas/broken.json:2:2: not JSON: Expecting value",
        (
            "schemas/wrong.json:2:18: properties.a.type: not a JSON Schema:"
            " 'txt' is not valid under any of the given schemas"
        ),
    ]


def test_a_path_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match="is not there"):
        load(tmp_path / "nowhere")


def test_nobody_calls_a_manifest_unknown_that_is_there_but_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, "agents/nova.yaml", agent("nova", "skillz: [a.b]"))
    write(
        tmp_path,
        "products/shop.yaml",
        HEAD.format(kind="Product", name="shop")
        + "spec: {datasets: [orders], kpis: [LTV], owners: [nova]}\n",
    )

    [problem] = check_path(tmp_path, small_catalog()).problems

    assert problem.field == "spec.skillz"


def test_the_projects_own_event_contracts_open_new_triggers(tmp_path: Path) -> None:
    contract = '{"type": "object", "properties": {"path": {"type": "string"}}}'
    write(tmp_path, "schemas/events/com.avila.file.created/1.json", contract)
    write(
        tmp_path,
        "all.yaml",
        HEAD.format(kind="Product", name="shop")
        + "spec: {datasets: [orders], kpis: [LTV], owners: [vox]}\n---\n"
        + HEAD.format(kind="Pipeline", name="shop-files")
        + "spec: {triggers: [{event: com.avila.file.created}], steps: [{use: vox.crm.playbook}]}\n",
    )

    assert check_path(tmp_path, small_catalog()).problems == ()
