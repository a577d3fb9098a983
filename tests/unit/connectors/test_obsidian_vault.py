"""A vault scanned: every difference told once, whatever happens between two scans."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.contracts.contract import Contracts
from sensors.connectors import obsidian
from sensors.connectors.obsidian import pull
from sensors.connectors.obsidian.export import VaultUnwritable, file_name, write_note
from sensors.connectors.pulling import Account, SourceFailed, Window
from tests.support.pulling import NOW, MemoryKnown, TrialTime, pull_all, tools


class Vault:
    """A vault in a folder, and its reader."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = root
        (root / ".obsidian").mkdir(parents=True, exist_ok=True)
        form = obsidian.Settings.model_validate({"path": str(root)} | options)
        self.account = Account("arcsat", "obsidian", "Cofre", form, {})
        self.known = MemoryKnown()
        self.time = TrialTime()
        self._clock = 1_700_000_000_000_000_000

    def write(self, path: str, text: str | bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        self._clock += 1_000_000_000
        os.utime(file, ns=(self._clock, self._clock))

    def scan(self, **options: Any) -> list[tuple[str, str]]:
        box = tools(known=self.known, time=self.time)
        pulled = pull_all(pull, self.account, box, None, **options)
        self.events = [c.event for c in pulled.candidates(obsidian)]
        return [(e.type.rpartition(".")[2], e.data["path"].removeprefix("Cofre/")) for e in self.events]


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "Cofre")


def test_files_are_told_of_once(vault: Vault):
    vault.write("a.md", "# Título\n[[b]] #tag")
    vault.write("sub/b.md", "b")
    vault.write("foto.png", b"\x89PNG")
    assert vault.scan() == [("created", "a.md"), ("created", "foto.png"), ("created", "sub/b.md")]
    note = vault.events[0].data["note"]
    assert (note["title"], note["tags"]) == ("Título", ["tag"])
    assert note["links"][0]["path"] == "Cofre/sub/b.md"
    assert vault.events[1].data["mime"] == "image/png"
    assert vault.scan() == []
    assert Contracts.load().for_type("com.avila.file.renamed").name == "avila.file"


def test_a_name_that_is_no_utf_8_is_told_of_like_any_other(vault: Vault):
    place = os.fsencode(vault.root) + b"/caf\xe9.md"
    Path(os.fsdecode(place)).write_text("latim")
    vault.write("b.md", "[[caf]]")
    assert vault.scan() == [("created", "b.md"), ("created", "caf\\xe9.md")]
    assert vault.events[1].data["note"]["text"] == "latim"
    assert vault.scan() == []
    Path(os.fsdecode(place)).unlink()
    assert vault.scan() == [("deleted", "caf\\xe9.md")]


def test_a_vault_that_cannot_be_looked_at_is_a_sentence(tmp_path: Path):
    form = obsidian.Settings.model_validate({"path": str(tmp_path / ("a" * 300))})
    with pytest.raises(SourceFailed, match="cannot be read: File name too long"):
        pull_all(pull, Account("arcsat", "obsidian", "Cofre", form, {}), tools(), None)
    with pytest.raises(VaultUnwritable, match="cannot be read: File name too long"):
        write_note(tmp_path / ("a" * 300), "BATUTA", "Nota", "texto", {})


def test_changed_renamed_moved_deleted(vault: Vault):
    vault.write("a.md", "um")
    vault.write("b.md", "dois")
    vault.write("c.md", "três")
    vault.scan()
    vault.write("a.md", "outro")
    (vault.root / "sub").mkdir()
    (vault.root / "b.md").rename(vault.root / "sub" / "novo.md")
    (vault.root / "c.md").unlink()
    assert vault.scan() == [("updated", "a.md"), ("renamed", "sub/novo.md"), ("deleted", "c.md")]
    assert vault.events[1].data["previousPath"] == "Cofre/b.md"
    assert vault.events[2].time == NOW
    assert vault.scan() == []


def test_a_folder_that_is_renamed_takes_its_files_with_it(vault: Vault):
    for number in range(3):
        vault.write(f"pasta/{number}.md", f"texto {number}")
    vault.scan()
    (vault.root / "pasta").rename(vault.root / "outra")
    assert vault.scan() == [("renamed", f"outra/{number}.md") for number in range(3)]


def test_what_was_only_touched_is_no_news(vault: Vault):
    vault.write("a.md", "um")
    vault.scan()
    vault.write("a.md", "um")
    assert vault.scan() == []


def test_a_content_that_comes_back_is_told_again(vault: Vault):
    ids: set[str] = set()
    for number, text in enumerate(["A", "B", "A", "B", "A"]):
        vault.write("a.md", text)
        kinds = vault.scan()
        assert len(kinds) == 1
        ids.add(vault.events[0].id)
        assert len(ids) == number + 1
    (vault.root / "a.md").unlink()
    vault.scan()
    ids |= {e.id for e in vault.events}
    vault.write("a.md", "A")
    assert vault.scan() == [("created", "a.md")]
    assert len(ids | {e.id for e in vault.events}) == 7


def test_a_vault_that_is_not_there_deletes_nothing(vault: Vault):
    vault.write("a.md", "um")
    vault.scan()
    shutil.move(vault.root, vault.root.with_name("elsewhere"))
    vault.root.mkdir()
    with pytest.raises(SourceFailed, match="is no vault"):
        vault.scan()
    vault.root.rmdir()
    with pytest.raises(SourceFailed, match="is no vault"):
        vault.scan()


def test_what_is_hidden_or_to_be_ignored_is_left_alone(tmp_path: Path):
    vault = Vault(tmp_path / "Cofre", ignore=["Privado/**", "*.tmp"], attachments=False)
    for path in (
        ".obsidian/workspace.json",
        ".trash/x.md",
        "Privado/a.md",
        "x.tmp",
        "foto.png",
        "ok.md",
        "q.canvas",
    ):
        vault.write(path, "x")
    (vault.root / "link.md").symlink_to("/etc/hostname")
    assert vault.scan() == [("created", "ok.md"), ("created", "q.canvas")]


def test_a_window_gives_what_is_not_known_yet(vault: Vault):
    vault.write("a.md", "um")
    modified = (vault.root / "a.md").stat().st_mtime
    from datetime import UTC, datetime, timedelta

    at = datetime.fromtimestamp(modified, UTC)
    assert vault.scan(window=Window(at + timedelta(days=1), at + timedelta(days=2))) == []
    window = Window(at - timedelta(days=1), at + timedelta(days=1))
    assert vault.scan(window=window) == [("created", "a.md")]
    assert vault.scan(window=window) == []
    assert vault.scan() == []


def test_our_own_notes_do_not_come_back_until_somebody_writes_into_them(vault: Vault):
    vault.write("a.md", "um")
    path = write_note(
        vault.root, "BATUTA", "Revisão 12/11: arcsat", "# Revisão\n\ntexto", {"produto": "arcsat"}
    )
    assert path.name == "Revisão 12 11 arcsat.md"
    assert vault.scan() == [("created", "a.md")]
    write_note(
        vault.root, "BATUTA", "Revisão 12/11: arcsat", "# Revisão\n\noutro texto", {"produto": "arcsat"}
    )
    assert vault.scan() == []
    path.write_text(path.read_text() + "\nminha nota")
    assert vault.scan() == [("created", "BATUTA/Revisão 12 11 arcsat.md")]
    write_note(vault.root, "BATUTA", "Revisão 12/11: arcsat", "# de novo", {})
    assert "minha nota" in path.read_text()


def test_a_note_is_written_into_the_vault_or_not_at_all(vault: Vault, tmp_path: Path):
    for folder in ("../elsewhere", "/tmp", ".obsidian/plugins"):
        with pytest.raises(VaultUnwritable):
            write_note(vault.root, folder, "x", "y", {})
    with pytest.raises(VaultUnwritable):
        write_note(tmp_path / "none", "B", "x", "y", {})


@given(st.text(max_size=200))
def test_any_title_gives_a_file_name(title: str):
    name = file_name(title)
    assert name
    assert not set(name) & set('*"\\/<>:|?#^[]\0\n')
    assert not name.startswith(".")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "delete", "move", "scan", "cut"]),
        st.sampled_from(["a.md", "b.md", "p/c.md", "p/q/d.png"]),
        st.sampled_from(["a.md", "n.md", "p/n.md", "r/s.png"]),
        st.sampled_from(["", "um", "dois", "três"]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_events_folded_give_the_vault(steps: list[tuple[str, str, str, str]], tmp_path: Path):
    root = tmp_path / "Cofre"
    shutil.rmtree(root, ignore_errors=True)
    vault = Vault(root)
    told: dict[str, Any] = {}
    folded: dict[str, str] = {}

    def take(**options: Any) -> None:
        vault.scan(**options)
        for event in vault.events:
            if event.id in told:
                continue
            told[event.id] = event
            if event.data["previousPath"]:
                folded.pop(event.data["previousPath"], None)
            if event.type.endswith("deleted"):
                folded.pop(event.data["path"], None)
            else:
                folded[event.data["path"]] = event.data["hash"]

    for step, path, other, text in [*steps, ("scan", "", "", "")]:
        if step == "write":
            vault.write(path, text)
        elif step == "delete":
            (root / path).unlink(missing_ok=True)
        elif step == "move" and (root / path).exists():
            (root / other).parent.mkdir(parents=True, exist_ok=True)
            (root / path).replace(root / other)
        elif step in ("scan", "cut"):
            take()
    here = {
        f"Cofre/{file.relative_to(root).as_posix()}": f"sha256:{_sha256(file)}"
        for file in root.rglob("*")
        if file.is_file() and ".obsidian" not in file.parts
    }
    assert folded == here


def _sha256(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_watcher_wakes_the_scan_also_below_a_hidden_folder_named_by_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    vault = Vault(Path(".hidden/Cofre"))
    stop, woken = threading.Event(), threading.Event()
    thread = threading.Thread(target=pull.watch, args=(vault.account, stop, woken.set))
    thread.start()
    try:
        for number in range(100):
            vault.write("a.md", str(number))
            if woken.wait(0.2):
                break
        assert woken.is_set()
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
