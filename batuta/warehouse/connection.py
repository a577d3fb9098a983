"""Connections to the warehouse: as which role, with which session settings.

A connection takes one of the four roles for its whole life; UTC, orjson for jsonb, no autocommit.
"""

from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import orjson
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import ConnectionPool

from batuta.errors import BatutaError

Role = Literal["owner", "writer", "reader", "auditor"]
Connection = psycopg.Connection[TupleRow]
Connect = Callable[[Role], Connection]
"""Opens a connection in a role."""

CONNECT_TIMEOUT_S = 10


class DatabaseUnreachable(BatutaError):
    """No connection could be made."""


class DatabaseUnfit(BatutaError):
    """The server answers but lacks what BATUTA needs."""


def connect(url: str, role: Role, *, autocommit: bool = False, application: str = "batuta") -> Connection:
    """Open a connection that acts as `batuta_<role>`.

    Raises:
        DatabaseUnreachable: the server does not answer or refuses.
    """
    try:
        connection = psycopg.connect(conninfo(url, role, application=application), autocommit=autocommit)
    except psycopg.OperationalError as error:
        raise unreachable(url, error) from error
    configure(connection)
    return connection


def pool(
    url: str, role: Role, *, min_size: int = 1, max_size: int = 8, application: str = "batuta"
) -> ConnectionPool[Connection]:
    """A pool of connections as `connect` makes them, not yet open: a context manager, or call `open()`."""
    return ConnectionPool(
        conninfo(url, role, application=application),
        min_size=min_size,
        max_size=max_size,
        open=False,
        configure=configure,
        check=ConnectionPool.check_connection,
        timeout=CONNECT_TIMEOUT_S,
        name=application,
    )


def conninfo(url: str, role: Role | None, *, application: str = "batuta") -> str:
    """libpq connection string of `url` with the session settings of `role`; None stays the login role."""
    given = conninfo_to_dict(url)
    options = [str(given["options"])] if given.get("options") else []
    # The planner takes live views for far dearer than they are, and compiling them costs more than reading them.
    options.append("-c timezone=UTC -c jit=off")
    if role is not None:
        options.append(f"-c role=batuta_{role}")
    defaults: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": application}
    return make_conninfo(
        url, **{k: v for k, v in defaults.items() if k not in given}, options=" ".join(options)
    )


def configure(connection: psycopg.Connection[Any]) -> None:
    """Read and write jsonb with orjson."""
    set_json_loads(orjson.loads, connection)
    set_json_dumps(orjson.dumps, connection)


def unreachable(url: str, error: Exception) -> DatabaseUnreachable:
    """The error for a server that does not answer, without the password of `url`."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return DatabaseUnreachable(
        f"cannot reach the database {redact(url)}: {reason}",
        hint="Check BATUTA_DATABASE_URL and that the server runs; unset it to use the embedded server.",
    )


def redact(url: str) -> str:
    """`url` as host, port and database, without user, password and options."""
    given = conninfo_to_dict(url)
    return f"{given.get('host') or 'localhost'}:{given.get('port') or 5432}/{given.get('dbname') or ''}"


def database_name(url: str) -> str:
    """Name of the database that `url` points to."""
    given = conninfo_to_dict(url)
    return str(given.get("dbname") or given.get("user") or "postgres")


def with_database(url: str, name: str) -> str:
    """`url` pointing to another database of the same server."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def dagster_url(url: str) -> str:
    """Dagster's own storage: the database `<name>_dagster` on the same server."""
    return with_database(url, f"{database_name(url)}_dagster")


def dbt_environment(url: str) -> dict[str, str]:
    """The variables that the dbt profile reads."""
    given = conninfo_to_dict(url)
    environment = {
        "BATUTA_DBT_HOST": str(given.get("host") or "localhost"),
        "BATUTA_DBT_PORT": str(given.get("port") or 5432),
        "BATUTA_DBT_USER": str(given.get("user") or "postgres"),
        "BATUTA_DBT_PASSWORD": str(given.get("password") or ""),
        "BATUTA_DBT_DBNAME": database_name(url),
    }
    if given.get("sslmode"):
        environment["BATUTA_DBT_SSLMODE"] = str(given["sslmode"])
    return environment
