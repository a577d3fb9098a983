"""The embedded server: made, killed, left behind, run by root and by others, and refused with a sentence."""

import os
import shutil
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from batuta.errors import BatutaError
from batuta.ports import PortTaken
from batuta.settings import Settings, get_settings
from batuta.warehouse import binaries, embedded
from batuta.warehouse.connection import with_database
from batuta.warehouse.database import ensure_database, quiet, stop_database
from batuta.warehouse.embedded import EmbeddedServer, ServerFailed
from tests.support.database import free_port, remove_home

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")

MakeServer = Callable[[Path], EmbeddedServer]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can reach."""
    folder = Path(tempfile.mkdtemp(prefix="batuta-embedded-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    """Makes servers for a home and stops them in the end."""
    made: list[EmbeddedServer] = []

    def make(home: Path) -> EmbeddedServer:
        server = EmbeddedServer(home, get_settings().cache, free_port())
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
        remove_home(server.home)


def _query(url: str, statement: LiteralString) -> object:
    with psycopg.connect(with_database(url, "postgres"), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def test_committed_rows_survive_a_killed_server(open_folder: Path, make_server: MakeServer) -> None:
    server = make_server(open_folder / "home")
    url = server.start(quiet)
    _query(url, "create table kept (n int)")
    _query(url, "insert into kept select generate_series(1, 1000)")
    running = server.running()
    assert running is not None

    os.kill(running.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(p) for p in psutil.pids() if p == running.pid], timeout=10)
    assert server.running() is None
    assert (server.data / "postmaster.pid").exists()

    assert _query(server.start(quiet), "select count(*) from kept") == [(1000,)]


def test_a_pid_file_that_names_a_stranger_does_not_count(open_folder: Path, make_server: MakeServer) -> None:
    server = make_server(open_folder / "home")
    server.start(quiet)
    lines = (server.data / "postmaster.pid").read_text().splitlines()
    server.stop()
    lines[0] = str(os.getpid())
    (server.data / "postmaster.pid").write_text("\n".join(lines) + "\n")

    assert server.running() is None
    server.start(quiet)
    running = server.running()
    assert running is not None
    assert running.pid != os.getpid()


def test_several_callers_at_once_start_one_server(open_folder: Path, make_server: MakeServer) -> None:
    server = make_server(open_folder / "home")
    with ThreadPoolExecutor(3) as threads:
        urls = set(threads.map(lambda _: server.start(quiet), range(3)))

    assert len(urls) == 1


def test_an_interrupted_making_is_begun_anew(open_folder: Path, make_server: MakeServer) -> None:
    server = make_server(open_folder / "home")
    (server.place / "data.making").mkdir(parents=True)
    (server.place / "data.making" / "PG_VERSION").write_text("16\n")

    assert _query(server.start(quiet), "select 1") == [(1,)]


def test_a_taken_port_is_named_with_who_holds_it(open_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = EmbeddedServer(open_folder / "home", get_settings().cache, listener.getsockname()[1])
        with pytest.raises(PortTaken) as refused:
            server.start(quiet)

    assert f"(pid {os.getpid()})" in refused.value.message
    assert "BATUTA_DATABASE_PORT" in (refused.value.hint or "")


def test_too_little_disk_is_said_before_anything_is_made(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(open_folder)
    monkeypatch.setattr(binaries.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))

    with pytest.raises(BatutaError, match="1 MB free"):
        EmbeddedServer(open_folder / "home", get_settings().cache, free_port()).start(quiet)
    assert not (open_folder / "home" / "postgres").exists()


def test_a_server_that_cannot_start_says_why(open_folder: Path) -> None:
    server = EmbeddedServer(
        open_folder / "home",
        get_settings().cache,
        free_port(),
        {"shared_preload_libraries": "no_such_library"},
    )

    with pytest.raises(ServerFailed, match="no_such_library"):
        server.start(quiet)


def test_without_a_password_nobody_comes_in(open_folder: Path, make_server: MakeServer) -> None:
    url = make_server(open_folder / "home").start(quiet)
    port = conninfo_to_dict(url)["port"]

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://batuta@127.0.0.1:{port}/postgres")
    assert (open_folder / "home" / "postgres" / "password").stat().st_mode & 0o077 == 0


@AS_ROOT
def test_root_with_a_closed_home_gets_a_server_elsewhere(
    open_folder: Path, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PLACE_OUTSIDE_HOME", open_folder / "var")
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    server = make_server(closed / "home")

    assert _query(server.start(quiet), "select 1") == [(1,)]
    assert (closed / "home" / "postgres").is_symlink()
    assert closed.stat().st_mode & 0o777 == 0o700
    server.stop()
    assert _query(server.start(quiet), "select 2") == [(2,)]


@AS_ROOT
def test_an_ordinary_user_runs_a_server_of_their_own(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_folder / "home"
    home.mkdir()
    name = binaries.tree_name()
    binaries.ensure_tree(get_settings().cache, home / "postgres" / name, quiet)
    os.chown(home, NOBODY, NOBODY)
    os.chown(home / "postgres", NOBODY, NOBODY)
    # The interpreter's own folder may be closed to others, so the name is read before changing user.
    monkeypatch.setattr(embedded, "tree_name", lambda: name)
    server = EmbeddedServer(home, open_folder / "cache", free_port())

    def use() -> None:
        assert _query(server.start(quiet), "select 1") == [(1,)]
        running = server.running()
        assert running is not None
        assert psutil.Process(running.pid).uids().real == NOBODY
        assert server.stop()

    assert _as_user(NOBODY, use) == 0


def _as_user(uid: int, act: Callable[[], None]) -> int:
    """Act in a fork: what is imported stays at hand, wherever it lies. Idle threads of other tests are not in it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            act()
            code = 0
        except BaseException:  # noqa: BLE001 - the forked child must never return into pytest
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_ensure_database_gives_a_migrated_warehouse_and_storage_for_dagster(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATUTA_HOME", str(open_folder / "home"))
    monkeypatch.setenv("BATUTA_DATABASE_PORT", str(free_port()))
    settings: Settings = get_settings()
    try:
        url = ensure_database(settings)
        assert ensure_database(settings) == url
        assert _query(
            url, "select datname::text from pg_database where datname like 'batuta%' order by 1"
        ) == [
            ("batuta",),
            ("batuta_dagster",),
        ]
    finally:
        assert stop_database(settings)
        assert not stop_database(settings)
        remove_home(settings.home)
