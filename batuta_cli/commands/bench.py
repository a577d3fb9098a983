"""`batuta bench`.

Benchmarks with their peers measured in the same call; the last line of each is its JSON.
"""

import json
from typing import Any

import click

from batuta.settings import get_settings
from batuta_cli.progress import steps


@click.group()
def bench() -> None:
    """Run a benchmark against its peers; the last line of the output is JSON."""


@bench.command()
@click.option("--scale", default=1.0, show_default=True, help="Share of the full numbers of rows.")
@click.option("--runs", default=3, show_default=True, help="How often it is measured.")
def ingest(*, scale: float, runs: int) -> None:
    """Events a second of the bulk path, beside COPY and dlt."""
    from batuta_cli.bench import ingest as measured

    _print(measured.run(get_settings(), steps(), scale=scale, runs=runs))


@bench.command()
@click.option("--runs", default=10, show_default=True, help="How many events are sent, one after the other.")
def latency(*, runs: int) -> None:
    """Seconds from an acknowledged event to the analysis it triggered, beside plain Dagster."""
    from batuta_cli.bench import latency as measured

    _print(measured.run(get_settings(), steps(), runs=runs))


@bench.command()
@click.option("--scale", default=1.0, show_default=True, help="Share of the full numbers of requests.")
@click.option("--runs", default=3, show_default=True, help="Rounds; in each, both are measured.")
def webhook(*, scale: float, runs: int) -> None:
    """Signed webhooks a second, acknowledged after commit, beside a plain FastAPI handler."""
    from batuta_cli.bench import webhook as measured

    _print(measured.run(get_settings(), steps(), scale=scale, runs=runs))


@bench.command()
@click.option("--scale", default=1.0, show_default=True, help="Share of the full number of events.")
@click.option("--seed", default=20_251_112, show_default=True, help="Decides who is killed when.")
def chaos(*, scale: float, seed: int) -> None:
    """Events lost or doubled while gateway, daemon, runs and database are killed under load."""
    from batuta_cli.bench import chaos as measured

    _print(measured.run(get_settings(), steps(), scale=scale, seed=seed))


def _print(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, ensure_ascii=False))
