"""The tree of the embedded database: what is said where it cannot be built."""

import shutil
from pathlib import Path

import pytest

from batuta.warehouse import binaries
from batuta.warehouse.binaries import NoEmbeddedDatabase
from batuta.warehouse.database import quiet


def test_missing_build_tools_are_named_with_the_way_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = shutil.which
    monkeypatch.setattr(
        binaries.shutil, "which", lambda name: None if name in {"cmake", "gcc"} else which(name)
    )

    with pytest.raises(NoEmbeddedDatabase, match="cmake, gcc") as refused:
        binaries.ensure_tree(tmp_path / "cache", tmp_path / "place" / binaries.tree_name(), quiet)
    assert "apt-get install cmake gcc" in (refused.value.hint or "")
    assert "BATUTA_DATABASE_URL" in (refused.value.hint or "")


def test_a_machine_without_apt_is_told_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries.shutil, "which", lambda _: None)

    with pytest.raises(NoEmbeddedDatabase) as refused:
        binaries._debian_mirror()
    assert "BATUTA_DATABASE_URL" in (refused.value.hint or "")


def test_a_cached_tree_is_copied_and_nothing_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = binaries.tree_name()
    program = tmp_path / "cache" / "postgres" / name / binaries.INSTALL / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setattr(binaries, "_build", lambda *_: pytest.fail("built"))

    programs = binaries.ensure_tree(tmp_path / "cache", tmp_path / "place" / name, quiet)
    shutil.rmtree(tmp_path / "cache")
    assert (programs / "bin" / "postgres").exists()
    assert sorted(path.name for path in (tmp_path / "place").iterdir()) == [name]
