"""Bring a database to the newest schema.

Alembic keeps the version and runs the steps; the steps are the plain SQL files of `migrations/sql`, one
revision a file, each in a transaction of its own. An advisory lock makes concurrent callers wait; a
second run does nothing.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from batuta.warehouse.connection import DatabaseUnfit, conninfo, database_name, redact, unreachable

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from alembic.script.revision import RevisionMap
    from sqlalchemy import Connection as SqlConnection

SQL_FOLDER = Path(__file__).parent / "migrations" / "sql"
VERSION_TABLE = "batuta_schema_version"
LOCK_KEY = 0x6261_7475_7461  # "batuta"
OLDEST_SERVER = 150000
EXTENSIONS = ("timescaledb", "vector")
FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file."""

    revision: str
    path: Path


def migrations(folder: Path = SQL_FOLDER) -> tuple[Migration, ...]:
    """The migrations of `folder`, in order."""
    found = [(FILE_NAME.fullmatch(path.name), path) for path in sorted(folder.glob("*.sql"))]
    misnamed = [path.name for match, path in found if match is None]
    if misnamed:
        raise DatabaseUnfit(f"{folder}: not named 0000_words.sql: {', '.join(misnamed)}")
    result = tuple(Migration(match[1], path) for match, path in found if match is not None)
    revisions = [migration.revision for migration in result]
    if len(set(revisions)) != len(revisions):
        raise DatabaseUnfit(f"{folder}: two migrations carry the same number")
    return result


def current(url: str) -> str | None:
    """Revision the database is at; None before the first migration."""
    with _session(url) as connection:
        return _current(connection)


def pending(url: str, folder: Path = SQL_FOLDER) -> tuple[str, ...]:
    """Revisions that `migrate` would apply."""
    return _after(current(url), folder)


def migrate(url: str, folder: Path = SQL_FOLDER) -> tuple[str, ...]:
    """Apply what is pending; the revisions that this call applied.

    Raises:
        DatabaseUnreachable: no connection.
        DatabaseUnfit: server too old, extension missing, or the database is newer than this code.
    """
    with _session(url) as connection:
        if not _after(_current(connection), folder):
            return ()
        check_server(connection, url)
        connection.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        before = _after(_current(connection), folder)
        if before:
            _run(url, folder)
        return before


def check_server(connection: psycopg.Connection[Any], url: str) -> None:
    """Refuse a server that cannot carry the schema, with what is missing."""
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise DatabaseUnfit(
            f"{redact(url)} runs PostgreSQL {version // 10000}; {OLDEST_SERVER // 10000} or newer is needed",
            hint="Point BATUTA_DATABASE_URL to a newer server, or unset it to use the embedded one.",
        )
    rows = connection.execute(
        "select name from pg_available_extensions where name = any(%s)", (list(EXTENSIONS),)
    )
    missing = sorted(set(EXTENSIONS) - {name for (name,) in rows})
    if missing:
        raise DatabaseUnfit(
            f"{redact(url)} lacks the extension{'s' * (len(missing) > 1)} {', '.join(missing)}",
            hint="Use an image that carries TimescaleDB and pgvector (timescale/timescaledb-ha), "
            "or unset BATUTA_DATABASE_URL to use the embedded server.",
        )
    row = connection.execute("select current_setting('shared_preload_libraries')").fetchone()
    if row is None or "timescaledb" not in row[0]:
        raise DatabaseUnfit(
            f"{redact(url)} has TimescaleDB but does not preload it",
            hint="Set shared_preload_libraries = 'timescaledb' in postgresql.conf and restart the server.",
        )


def ensure_database_exists(url: str, name: str) -> None:
    """Create database `name` on the server of `url` unless it is there."""
    with _session(url) as connection:
        if connection.execute("select from pg_database where datname = %s", (name,)).fetchone() is not None:
            return
        try:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseUnfit(
                f"may not create the database {name} on {redact(url)}: {error.diag.message_primary}",
                hint=f'Its administrator can run: create database "{name}" owner <user>;',
            ) from error


def _after(revision: str | None, folder: Path) -> tuple[str, ...]:
    revisions = [migration.revision for migration in migrations(folder)]
    if revision is None:
        return tuple(revisions)
    if revision not in revisions:
        raise DatabaseUnfit(
            f"the database is at migration {revision}, which this code does not know",
            hint="It was migrated by a newer BATUTA: update the code.",
        )
    return tuple(revisions[revisions.index(revision) + 1 :])


def _current(connection: psycopg.Connection[Any]) -> str | None:
    table = connection.execute("select to_regclass(%s)", (f"public.{VERSION_TABLE}",)).fetchone()
    if table is None or table[0] is None:
        return None
    row = connection.execute(
        sql.SQL("select version_num from public.{}").format(sql.Identifier(VERSION_TABLE))
    ).fetchone()
    return None if row is None else str(row[0])


def _run(url: str, folder: Path) -> None:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo(url, None)), poolclass=NullPool
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "fn": _steps_of(_revision_map(folder)),
                "version_table": VERSION_TABLE,
                "version_table_schema": "public",
                "transaction_per_migration": True,
            },
        )
        try:
            with context.begin_transaction():
                context.run_migrations(connection=connection)
        except psycopg.Error as error:
            raise _unfit(url, error) from error


def _unfit(url: str, error: psycopg.Error) -> DatabaseUnfit:
    message = error.diag.message_primary or " ".join(str(error).split())
    return DatabaseUnfit(
        f"migrating {redact(url)} failed: {message}",
        hint=f"{database_name(url)} is as it was before the failed step; mend the cause and run again.",
    )


def _revision_map(folder: Path) -> "RevisionMap":
    from alembic.script.base import Script
    from alembic.script.revision import RevisionMap

    scripts: list[Script] = []
    previous: str | None = None
    for migration in migrations(folder):
        module = ModuleType(f"migration_{migration.revision}", f"{migration.path.name}")
        module.__dict__.update(down_revision=previous, upgrade=_execute(migration.path))
        scripts.append(Script(module, migration.revision, str(migration.path)))
        previous = migration.revision
    return RevisionMap(lambda: scripts)


def _execute(path: Path) -> Callable[..., None]:
    def upgrade(connection: "SqlConnection") -> None:
        # The driver's own cursor, without parameters: percent signs and colons reach the server as written.
        raw = connection.connection.cursor()
        try:
            raw.execute(path.read_text(encoding="utf-8"))
        finally:
            raw.close()

    return upgrade


def _steps_of(revisions: "RevisionMap") -> Callable[[tuple[str, ...], "MigrationContext"], list[Any]]:
    from alembic.runtime.migration import MigrationStep

    def steps(heads: tuple[str, ...], _context: "MigrationContext") -> list[Any]:
        missing = revisions.iterate_revisions("heads", heads, implicit_base=True)
        return [MigrationStep.upgrade_from_script(revisions, script) for script in reversed(list(missing))]  # pyright: ignore[reportArgumentType]

    return steps


@contextmanager
def _session(url: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        connection = psycopg.connect(conninfo(url, None), autocommit=True)
    except psycopg.OperationalError as error:
        raise unreachable(url, error) from error
    with connection:
        yield connection
