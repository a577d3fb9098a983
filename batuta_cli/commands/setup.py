"""`batuta setup`: keys, secrets folder, database, Dagster's home and dbt's manifest, where missing."""

import click

from batuta.keys import KeyRing, bind_keys, create_keys
from batuta.settings import Settings, get_settings
from batuta.warehouse.binaries import Progress
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.progress import steps
from batuta_cli.stack import dagster_home


@click.command()
def setup() -> None:
    """Make keys, database, Dagster's home and dbt's manifest where they are missing."""
    prepare(get_settings(), steps())


def prepare(settings: Settings, progress: Progress) -> str:
    """Set up what is missing; the warehouse's address."""
    from batuta_assets.dbt_run import ensure_manifest
    from batuta_assets.locations import locations

    dagster_home.prepare(settings)
    settings.secrets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys: KeyRing = create_keys(settings.home)
    url = ensure_database(settings, progress)
    with connect(url, "owner") as connection:
        bind_keys(connection, keys)
    found = locations(settings)
    if not found.manifest.is_file():
        progress("reading the dbt project")
    ensure_manifest(found, log=lambda _line: None)
    return url
