"""The ears: what rings is written, also when the database was away, a line was lost or the manifests changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from batuta.manifests.bundle import write_bundle
from batuta.manifests.graph import CompiledGraph, CompiledProduct
from batuta.manifests.models import ConnectorBinding
from batuta.settings import Settings, get_settings
from batuta.warehouse.connection import connect
from sensors.connectors.pulling import Account, SourceFailed
from sensors.pull import listener
from sensors.pull.accounts import BoundAccount, Key, read_states
from sensors.pull.listener import Bundled, Ears, Writing
from tests.support.toy_vendor import ToySettings

PATIENCE_S = 30.0


class Line:
    """A vendor's line that rings when told to, and can be lost."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.lose = threading.Event()
        self.watches: list[str] = []
        self.woken: dict[str, Callable[[], None]] = {}

    def watch(self, account: Account, stop: threading.Event, woken: Callable[[], None]) -> None:
        self.watches.append(account.name or "")
        self.woken[account.name or ""] = woken
        while not stop.is_set():
            if self.lose.is_set():
                self.lose.clear()
                raise SourceFailed("the line is lost")
            time.sleep(0.01)
        self.held.add(account.name or "")


def bound(name: str, **settings: Any) -> BoundAccount:
    binding = ConnectorBinding(type="trial", account=name, settings=settings)
    account = Account("arcsat", "trial", name, ToySettings(api_url="http://127.0.0.1"), {})
    return BoundAccount(account, binding, "UTC", get_settings())


def until(true: Callable[[], bool]) -> None:
    """Wait for what must come to pass."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


@contextmanager
def listening(ears: Ears) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=ears.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_what_rings_is_written_and_heard_once(database_url: str) -> None:
    settings = replace_url(database_url)
    line, watched = Line(), [bound("a"), bound("b")]
    writing = Writing(settings)
    with listening(Ears(lambda: [(one, line) for one in watched], writing, look_s=0.02)):
        until(lambda: set(line.watches) == {"a", "b"})
        line.woken["b"]()
        with connect(database_url, "reader", autocommit=True) as conn:
            until(lambda: bool(read_states(conn)))
            assert {key[2]: state.woken for key, state in read_states(conn).items()} == {"b": True}
    writing.close()
    until(lambda: line.held == {"a", "b"})


def test_wake_ups_outlive_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "FIRST_REST_S", 0.05)
    line, written, refusals = Line(), [frozenset[Key]()], iter([True, True])

    def write(keys: frozenset[Key]) -> None:
        if next(refusals, False):
            raise psycopg.OperationalError("the server is shutting down")
        written.append(keys)

    with listening(Ears(lambda: [(bound("a"), line)], write, look_s=0.02)):
        until(lambda: "a" in line.woken)
        line.woken["a"]()
        until(lambda: len(written) > 1)

    assert written[1:] == [frozenset({("arcsat", "trial", "a")})]


def test_a_lost_line_is_taken_up_again() -> None:
    line = Line()
    with listening(Ears(lambda: [(bound("a"), line)], lambda keys: None, look_s=0.02)):
        until(lambda: line.watches == ["a"])
        line.lose.set()
        until(lambda: line.watches == ["a", "a"])


def test_another_binding_or_credential_is_another_watch_and_what_is_gone_is_left() -> None:
    line, watched = Line(), [bound("a"), bound("b")]
    with listening(Ears(lambda: [(one, line) for one in watched], lambda keys: None, look_s=0.02)):
        until(lambda: sorted(line.watches) == ["a", "b"])
        renewed = replace(watched[0], account=replace(watched[0].account, credentials={"token": b"new"}))
        watched[:] = [renewed]
        until(lambda: line.watches.count("a") == 2 and "b" in line.held)
        watched[:] = [bound("a", folders=["INBOX"])]
        until(lambda: line.watches.count("a") == 3)
    assert line.watches.count("b") == 1


def replace_url(url: str) -> Settings:
    """Settings with this database."""
    return get_settings().model_copy(update={"database_url": url})


def apply(settings: Settings, *bindings: dict[str, Any]) -> None:
    product = CompiledProduct(
        name="arcsat", description="", locale="pt-BR", currency="BRL", timezone="America/Sao_Paulo", owners=(),
        kpis=(), datasets={}, policies=(),
        connectors=tuple(ConnectorBinding.model_validate(binding) for binding in bindings),
    )  # fmt: skip
    write_bundle(settings.home, CompiledGraph(products=(product,)))


def test_the_bundle_says_what_is_watched(tmp_path: Path) -> None:
    settings, vault = get_settings(), tmp_path / "vault"
    vault.mkdir()
    found = Bundled(settings)
    assert found() == ()
    apply(
        settings,
        {"type": "obsidian", "account": "notes", "settings": {"path": str(vault)}},
        {"type": "events"},
    )
    assert [one.key for one, _ in found()] == [("arcsat", "obsidian", "notes")]
    (settings.home / "bundle" / "current.json").write_text("half")
    assert [one.key for one, _ in found()] == [("arcsat", "obsidian", "notes")]
    apply(settings, {"type": "events"})
    assert found() == ()


def test_the_service_hears_a_note_being_written_and_ends_when_told(database_url: str, tmp_path: Path) -> None:
    settings, vault = get_settings(), tmp_path / "vault"
    vault.mkdir()
    apply(settings, {"type": "obsidian", "account": "notes", "settings": {"path": str(vault)}})
    environment = os.environ | {"BATUTA_DATABASE_URL": database_url, "BATUTA_HOME": str(settings.home)}
    project = Path(__file__).parents[3]
    service = subprocess.Popen([sys.executable, "-m", "sensors.pull.listener"], cwd=project, env=environment)
    try:
        with connect(database_url, "reader", autocommit=True) as conn:

            def heard() -> bool:
                (vault / "Nota.md").write_text(f"escrita {time.monotonic()}")
                time.sleep(0.2)
                return any(state.woken for state in read_states(conn).values())

            until(heard)
        service.send_signal(signal.SIGTERM)
        assert service.wait(PATIENCE_S) == 0
    finally:
        service.kill()
        service.wait()
