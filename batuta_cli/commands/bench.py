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


@bench.command()
@click.option("--events", default=200, show_default=True, help="Orders sent per size of history.")
@click.option(
    "--size",
    "sizes",
    multiple=True,
    default=("demo", "large"),
    show_default=True,
    type=click.Choice(["small", "demo", "large"]),
    help="Scale of the example company that is the history; may be given several times.",
)
def freshness(*, events: int, sizes: tuple[str, ...]) -> None:
    """Milliseconds from an acknowledged order to the KPI value that counts it, beside a plain view."""
    from batuta_cli.bench import freshness as measured

    _print(measured.run(get_settings(), steps(), events=events, sizes=sizes))


@bench.command()
@click.option(
    "--scale", default=1.0, show_default=True, help="Share of the full sizes of history and company."
)
@click.option("--runs", default=5, show_default=True, help="Rounds; in each, every size is measured.")
def growth(*, scale: float, runs: int) -> None:
    """Cost of one more day after 1, 10 and 100 days, and of one event with 1, 100 and 1,000 products."""
    from batuta_cli.bench import growth as measured

    _print(measured.run(get_settings(), steps(), scale=scale, runs=runs))


@bench.command()
@click.option("--scale", default="demo", show_default=True, type=click.Choice(["small", "demo"]))
@click.option("--runs", default=5, show_default=True, help="Rounds; in each, both are measured.")
def review(*, scale: str, runs: int) -> None:
    """Seconds of the marts' refresh and the daily review, beside `dbt build` as a process."""
    from batuta_cli.bench import review as measured

    _print(measured.run(get_settings(), steps(), scale=scale, runs=runs))


@bench.command()
@click.option("--runs", default=7, show_default=True, help="Rounds; in each, all are measured.")
@click.option("--products", default=1000, show_default=True, help="How many products are compared with ten.")
def graph(*, runs: int, products: int) -> None:
    """Seconds to load the definitions with 10 and 1,000 products, beside as many bare assets."""
    from batuta_cli.bench import graph as measured

    _print(measured.run(get_settings(), steps(), runs=runs, products=products))


def _print(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, ensure_ascii=False))
