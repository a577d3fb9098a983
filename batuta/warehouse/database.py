"""Have a migrated warehouse at hand: the one BATUTA_DATABASE_URL names, or the embedded one."""

from batuta.settings import Settings
from batuta.warehouse.binaries import Progress
from batuta.warehouse.connection import dagster_url, database_name, with_database
from batuta.warehouse.embedded import DATABASE, EmbeddedServer
from batuta.warehouse.migrate import ensure_database_exists, migrate


def quiet(_message: str) -> None:
    """Progress that nobody sees."""


def embedded_server(settings: Settings) -> EmbeddedServer:
    """The embedded server of this home, running or not."""
    return EmbeddedServer(settings.home, settings.cache, settings.database_port)


def ensure_database(settings: Settings, progress: Progress = quiet) -> str:
    """Address of the warehouse, started, migrated and with Dagster's storage beside it.

    Raises:
        DatabaseUnreachable, DatabaseUnfit: what BATUTA_DATABASE_URL names does not serve.
        NoEmbeddedDatabase, ServerFailed: the embedded server cannot be had.
    """
    if settings.database_url is None:
        url = embedded_server(settings).start(progress)
        ensure_database_exists(with_database(url, "postgres"), DATABASE)
    else:
        url = settings.database_url
    for revision in migrate(url):
        progress(f"applied migration {revision}")
    ensure_database_exists(url, database_name(dagster_url(url)))
    return url


def stop_database(settings: Settings) -> bool:
    """Stop the embedded server; False when it did not run or the warehouse is elsewhere."""
    return settings.database_url is None and embedded_server(settings).stop()
