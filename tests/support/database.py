"""A database server for the tests, and databases made from one migrated template."""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from batuta.settings import get_settings
from batuta.warehouse.connection import with_database
from batuta.warehouse.embedded import EmbeddedServer
from batuta.warehouse.migrate import migrate

SERVER_VARIABLE = "BATUTA_TEST_DATABASE_SERVER"
# A test server may lose its data in a power cut.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(environ: dict[str, str]) -> Iterator[str]:
    """The server that BATUTA_TEST_DATABASE_SERVER names, else an embedded one for this session."""
    given = environ.get(SERVER_VARIABLE)
    if given:
        yield given
        return
    home = Path(tempfile.mkdtemp(prefix="batuta-tests-"))
    home.chmod(0o755)
    embedded = EmbeddedServer(home, get_settings(environ).cache, free_port(), FAST)
    try:
        yield with_database(embedded.start(print), "postgres")
    finally:
        embedded.stop()
        remove_home(home)


def remove_home(home: Path) -> None:
    """Remove a home and the part of it that may lie outside."""
    place = (home / "postgres").resolve()
    shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


@contextmanager
def template(server_url: str) -> Iterator[str]:
    """Name of a migrated database that others can be made from: nobody may connect to it."""
    name = f"batuta_template_{os.getpid()}_{secrets.token_hex(3)}"
    _execute(server_url, "create database {}", name)
    try:
        migrate(with_database(server_url, name))
        close(server_url, name)
        yield name
    finally:
        _execute(server_url, "drop database if exists {} with (force)", name)


@contextmanager
def database(server_url: str, template_name: str | None) -> Iterator[str]:
    """Address of a new database, made from the template or empty, and dropped afterwards."""
    name = f"batuta_test_{os.getpid()}_{secrets.token_hex(4)}"
    if template_name is None:
        _execute(server_url, "create database {}", name)
    else:
        _execute(server_url, "create database {} template {}", name, template_name)
    try:
        yield with_database(server_url, name)
    finally:
        _execute(server_url, "drop database if exists {} with (force)", name)
        _execute(server_url, "drop database if exists {} with (force)", f"{name}_dagster")


def _execute(server_url: str, statement: str, *names: str) -> None:
    with psycopg.connect(_maintenance(server_url), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # pyright: ignore[reportArgumentType]


def close(server_url: str, name: str) -> None:
    """Let nobody into that database, so that it can be a template; TimescaleDB's worker would be in it again."""
    _execute(server_url, "alter database {} with allow_connections false", name)
    with psycopg.connect(_maintenance(server_url), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", (name,)
        )


def _maintenance(server_url: str) -> str:
    return with_database(server_url, "postgres")
