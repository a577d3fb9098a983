"""`batuta ingest` of files in a connector's own form: a vault folder, mails, a drive's saved pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from batuta.keys import create_keys
from batuta.manifests.bundle import bundle_path, read_bundle, write_bundle
from batuta.manifests.graph import CompiledGraph, CompiledProduct
from batuta.manifests.models import ConnectorBinding
from batuta.settings import get_settings
from batuta_cli.main import main

Ingest = Callable[..., tuple[int, list[int], str]]
MAIL = (
    "From: maria@example.com\r\nTo: loja@example.com\r\nSubject: Oi\r\nMessage-ID: <1@example.com>\r\n"
    "Date: Mon, 2 Mar 2026 10:00:00 +0000\r\n\r\nCorpo\r\n"
)
PAGE = {
    "value": [
        {"id": "R1", "root": {}, "name": "root", "folder": {}, "parentReference": {"driveId": "d1"}},
        {
            "id": "F1",
            "name": "lojablock.png",
            "file": {"hashes": {"quickXorHash": "AAAA"}},
            "eTag": "e1",
            "size": 3,
            "lastModifiedDateTime": "2026-03-01T10:00:00Z",
            "parentReference": {"driveId": "d1", "id": "R1"},
        },
    ],
    "@odata.deltaLink": "https://graph.microsoft.com/v1.0/drives/d1/root/delta?token=t",
}


@pytest.fixture
def ingest(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ingest:
    monkeypatch.setenv("BATUTA_DATABASE_URL", database_url)
    monkeypatch.setenv("BATUTA_PROJECT", str(tmp_path))
    home = get_settings().home
    create_keys(home)
    vaults = [{"type": "obsidian", "account": name, "settings": {"path": "/none"}} for name in ("a", "b")]
    product = CompiledProduct(
        name="arcsat", description="", locale="pt-BR", currency="BRL", timezone="America/Sao_Paulo", owners=(),
        kpis=(), datasets={}, policies=(),
        connectors=tuple(ConnectorBinding.model_validate(vault) for vault in vaults),
    )  # fmt: skip
    write_bundle(home, CompiledGraph(products=(product,)))

    def call(*arguments: str) -> tuple[int, list[int], str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["ingest", *arguments, "--product", "arcsat", "--json"])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        counts = json.loads(out.splitlines()[-1]) if out.strip() else {}
        return int(str(ended.value.code or 0)), list(counts.values()), err

    return call


def test_a_vault_is_read_against_what_is_known(ingest: Ingest, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    (vault / ".obsidian").mkdir(parents=True)
    (vault / "Nota.md").write_text("---\ntags: [a]\n---\nOlá")
    arguments = ("obsidian", str(vault), "--account", "a")

    assert ingest(*arguments)[:2] == (0, [1, 0, 0, 0])
    assert ingest(*arguments)[:2] == (0, [0, 0, 0, 0])
    (vault / "Nota.md").write_text("---\ntags: [a]\n---\nOlá de novo")
    assert ingest(*arguments)[:2] == (0, [1, 0, 0, 0])


def test_another_folder_is_not_taken_for_a_vault_that_is_here(ingest: Ingest, tmp_path: Path) -> None:
    vault, other = tmp_path / "vault", tmp_path / "other"
    for folder in (vault, other):
        (folder / ".obsidian").mkdir(parents=True)
        (folder / f"{folder.name}.md").write_text("Olá")
    binding = ConnectorBinding.model_validate(
        {"type": "obsidian", "account": "a", "settings": {"path": str(vault)}}
    )
    home = get_settings().home
    graph = read_bundle(bundle_path(home))
    bound = graph.products[0].model_copy(update={"connectors": (binding,)})
    write_bundle(home, graph.model_copy(update={"products": (bound,)}))

    assert ingest("obsidian", str(vault))[:2] == (0, [1, 0, 0, 0])
    code, _, err = ingest("obsidian", str(other))
    assert code == 1
    assert f"{other} is not the vault of this account" in err
    assert ingest("obsidian", str(vault))[:2] == (0, [0, 0, 0, 0])


def test_a_folder_that_is_no_vault_is_told_by_its_own_path(ingest: Ingest, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    code, _, err = ingest("obsidian", str(folder), "--account", "a")

    assert code == 1
    assert f"{folder} is no vault: it has no .obsidian" in err
    assert "settings.path" not in err


def test_captures_of_a_connector_that_is_sent_nothing_need_no_secret_that_could_be_named(
    ingest: Ingest, tmp_path: Path
) -> None:
    captures = tmp_path / "captured.jsonl"
    captures.write_text("")
    code, _, err = ingest("obsidian", str(captures), "--account", "a")

    assert code == 1
    assert "--trusted" in err
    assert "secretRefs" not in err


def test_of_several_accounts_one_must_be_named(ingest: Ingest, tmp_path: Path) -> None:
    code, _, err = ingest("obsidian", str(tmp_path))

    assert code == 2
    assert "several accounts of obsidian: a, b" in err


def test_mails_are_read_from_files_and_folders_without_a_manifest(ingest: Ingest, tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    (folder / "1.eml").write_text(MAIL, newline="")

    assert ingest("email", str(folder))[:2] == (0, [1, 0, 0, 0])
    assert ingest("email", str(folder / "1.eml"))[:2] == (0, [0, 1, 0, 0])
    (folder / "1.eml").unlink()
    code, counts, err = ingest("email", str(folder))
    assert (code, counts) == (1, [0, 0, 0, 0])
    assert f"{folder}: holds no mail" in err


def test_mails_are_read_from_a_pipe(ingest: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = MAIL.replace("1@example", "2@example").replace("Corpo", "Outro corpo")
    separator = "From maria@example.com Mon Mar  2 10:00:00 2026\n"
    for text, counts in ((MAIL, [1, 0, 0, 0]), (f"{separator}{MAIL}\r\n{separator}{other}", [1, 1, 0, 0])):
        piped = tmp_path / "piped"
        piped.write_text(text, newline="")
        with piped.open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            assert ingest("email", "-")[:2] == (0, counts)
    with piped.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        code, _, err = ingest("obsidian", "-", "--account", "a")
    assert (code, "Name the folder" in err) == (2, True)


def test_saved_pages_of_a_drive_are_read(ingest: Ingest, tmp_path: Path) -> None:
    page = tmp_path / "page.json"
    page.write_text(json.dumps(PAGE))

    code, (landed, duplicate, quarantined, _), _ = ingest("onedrive", str(page))
    assert (code, landed, duplicate, quarantined) == (0, 1, 0, 0)
    code, (landed, _, quarantined, _), _ = ingest("onedrive", str(page))
    assert (code, landed, quarantined) == (0, 0, 0)
    code, _, err = ingest("onedrive", str(tmp_path / "none.json"))
    assert (code, "is not there" in err) == (2, True)
