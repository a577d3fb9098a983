"""Checks of what holds the data: keys, database, migrations, dbt's manifest."""

import psycopg

from batuta.errors import BatutaError
from batuta.keys import KeyRing
from batuta.settings import Settings
from batuta.warehouse.connection import CONNECT_TIMEOUT_S, redact, unreachable
from batuta.warehouse.database import embedded_server
from batuta.warehouse.migrate import check_server, pending
from batuta_cli.checkup.finding import Finding, note, ok, problem

MEND_SETUP = "Run `make setup`."


def keys(settings: Settings, url: str | None) -> Finding:
    """The master keys are there and are those of the database."""
    if not settings.home.is_dir():
        return problem("keys", f"nothing is set up in {settings.home}", MEND_SETUP)
    try:
        ring = KeyRing.load(settings.home)
    except BatutaError as error:
        return problem("keys", error.message, error.hint or MEND_SETUP)
    if url is not None:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            table = connection.execute("select to_regclass('batuta.key_fingerprint')").fetchone()
            row = None
            if table is not None and table[0] is not None:
                row = connection.execute("select fingerprint from batuta.key_fingerprint").fetchone()
        if row is not None and row[0] != ring.fingerprint():
            mend = "Put back the keys folder that belongs to this database, or point BATUTA_DATABASE_URL to its own."
            return problem("keys", "the master keys are not the ones this database was filled with", mend)
    return ok("keys", f"master keys in {settings.home / 'keys'}")


def database(settings: Settings) -> tuple[list[Finding], str | None]:
    """The database answers, has its extensions and its newest schema; its address where it answers."""
    try:
        url = settings.database_url or _embedded_url(settings)
    except BatutaError as error:
        return [problem("database", error.message, error.hint)], None
    if url is None:
        message = "the embedded database does not run; `batuta up` and every command that needs it start it"
        return [note("database", message)], None
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True) as connection:
            check_server(connection, url)
        missing = pending(url)
    except psycopg.OperationalError as error:
        said = unreachable(url, error)
        return [problem("database", said.message, said.hint)], None
    except BatutaError as error:
        return [problem("database", error.message, error.hint)], None
    found = [ok("database", f"{redact(url)} answers, with TimescaleDB and pgvector")]
    if missing:
        found.append(
            problem(
                "migrations", f"not yet applied: {', '.join(missing)}", "Run `batuta up` or `make setup`."
            )
        )
    else:
        found.append(ok("migrations", "all applied"))
    return found, url


def manifest(settings: Settings) -> Finding:
    """dbt's manifest, from which the asset graph is made."""
    path = settings.home / "dbt" / "manifest.json"
    if path.is_file():
        return ok("dbt", f"manifest at {path}")
    return problem("dbt", f"dbt's manifest is missing at {path}", MEND_SETUP)


def _embedded_url(settings: Settings) -> str | None:
    server = embedded_server(settings)
    return server.url() if server.running() is not None else None
