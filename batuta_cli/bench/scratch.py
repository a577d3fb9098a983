"""What benches measure in: databases of their own beside the warehouse, dropped at the end."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from batuta.warehouse.connection import with_database
from batuta.warehouse.migrate import migrate


@contextmanager
def scratch_database(server: str) -> Iterator[str]:
    """A migrated database on the warehouse's server."""
    name = f"batuta_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        migrate(with_database(server, name))
        yield with_database(server, name)
    finally:
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def clear(url: str, *others: str) -> None:
    """Empty what landed, and other tables."""
    landed = ("batuta.events", "batuta.inbox", "batuta.batches", "batuta.intake_counts")
    with psycopg.connect(url, autocommit=True) as conn:
        tables = sql.SQL(", ").join(sql.Identifier(*name.split(".")) for name in (*landed, *others))
        conn.execute(sql.SQL("truncate {}").format(tables))
        conn.execute("checkpoint")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
