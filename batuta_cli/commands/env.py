"""`batuta env`: what other programs need to work with the warehouse."""

import shlex
from collections.abc import Mapping

import click

from batuta.settings import get_settings
from batuta.warehouse.connection import database_name, dbt_environment
from batuta.warehouse.database import ensure_database
from batuta_cli.progress import steps


@click.command()
def env() -> None:
    """Print the variables with which psql and dbt find the warehouse: eval "$(batuta env)"

    psql then acts as the reader; dbt builds as the owner, as its profile says. The output has the database's password.
    """
    for name, value in variables(ensure_database(get_settings(), steps())).items():
        click.echo(f"export {name}={shlex.quote(value)}")


def variables(url: str) -> Mapping[str, str]:
    """The variables of libpq and of the dbt profile, for the warehouse at `url`."""
    for_dbt = dbt_environment(url)
    names = {
        "PGHOST": "HOST",
        "PGPORT": "PORT",
        "PGUSER": "USER",
        "PGPASSWORD": "PASSWORD",
        "PGSSLMODE": "SSLMODE",
    }
    for_psql = {
        name: value
        for name, part in names.items()
        if (value := for_dbt.get(f"BATUTA_DBT_{part}")) is not None
    }
    return {
        **for_psql,
        "PGDATABASE": database_name(url),
        "PGOPTIONS": "-c role=batuta_reader -c timezone=UTC -c jit=off",
        **for_dbt,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
