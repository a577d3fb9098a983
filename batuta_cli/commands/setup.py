"""`batuta setup`: keys, secrets folder, database, Dagster's home and dbt's manifest, where missing."""

import os

import click

from batuta.keys import keys_for
from batuta.settings import Settings, get_settings
from batuta.warehouse.binaries import Progress
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.progress import steps
from batuta_cli.stack import dagster_home


@click.command()
def setup() -> None:
    """Make keys, database, Dagster's home and dbt's manifest where they are missing."""
    settings, progress = get_settings(), steps()
    _end_dead_runs(settings, prepare(settings, progress), progress)


def prepare(settings: Settings, progress: Progress) -> str:
    """Set up what is missing; the warehouse's address."""
    from batuta_assets.dbt_run import ensure_manifest
    from batuta_assets.locations import locations

    dagster_home.prepare(settings)
    settings.secrets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = ensure_database(settings, progress)
    with connect(url, "owner") as connection:
        keys_for(connection, settings.home)
    found = locations(settings)
    if not found.manifest.is_file():
        progress("reading the dbt project")
    ensure_manifest(found, log=lambda _line: None)
    return url


def _end_dead_runs(settings: Settings, url: str, progress: Progress) -> None:
    """Make Dagster's tables, and end the runs that died with an earlier daemon: they would block the next ones."""
    import dagster as dg

    from batuta_assets.reaper import reap_dead_runs

    os.environ.update(dagster_home.environment(settings, url))
    with dg.DagsterInstance.from_config(str(settings.home / "dagster")) as instance:
        for reaped in reap_dead_runs(instance):
            progress(f"ended {reaped}")
