"""`batuta demo`: the main job on the example company, from its vendors' deliveries to its reports."""

import dataclasses
import json
import os
from datetime import datetime
from typing import Any

import click

from batuta.kpis import current_kpis
from batuta.landing.model import LandingCounts
from batuta.platform.kpis import platform_kpis
from batuta.settings import Settings, get_settings
from batuta.warehouse.connection import connect
from batuta_cli.commands.kpi import kpi
from batuta_cli.commands.setup import prepare
from batuta_cli.demo import company
from batuta_cli.progress import steps
from batuta_cli.stack import dagster_home


@click.command()
@click.option(
    "--serve", is_flag=True, help="Start everything afterwards and leave it running, as `batuta up`."
)
@click.option(
    "--scale",
    type=click.Choice(["demo", "small"]),
    default="demo",
    show_default=True,
    help="small: a twentieth of the customers and orders.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON line.")
@click.pass_context
def demo(context: click.Context, *, serve: bool, scale: str, as_json: bool) -> None:
    """Run the main job on the example company, as of 2025-11-12.

    Lands ninety days of sample deliveries through the real landing path, refreshes the marts, materializes the
    daily reviews and prints counts, KPIs and where the reports are. Safe to run again: nothing lands twice.
    """
    settings = get_settings()
    with company.only_one(settings):
        result = play(settings, scale)
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    else:
        _print(context, result)
    if serve:
        from batuta_cli.commands.up import up

        context.invoke(up)


def play(settings: Settings, scale: str) -> dict[str, Any]:
    """Do all of it, with a line per step on standard error; what came of it, as JSON values."""
    from batuta_cli.demo import runs

    progress = steps()
    company.make_secrets(settings)
    url = prepare(settings, progress)
    os.environ.update(dagster_home.environment(settings, url))
    graph = company.apply_manifests(settings, url, progress)
    files = company.deliveries(settings, scale, progress)
    counts = company.land(settings, url, files, progress)
    made: dict[str, str] = {}
    with runs.stage(settings, graph, url, progress) as stage:
        refreshed = runs.refresh(stage, {p.name: company.AS_OF for p in graph.products}, progress)
        predicted = runs.predict(stage, settings, [p.name for p in graph.products], progress)
        for pipeline in graph.pipelines:
            for product in pipeline.products:
                made[product] = runs.review(stage, pipeline.name, product, company.AS_OF, progress)
        runs.look_at_platform(stage, progress)
    progress("done")
    return {
        "as_of": company.AS_OF.isoformat(),
        "counts": dataclasses.asdict(sum(counts.values(), LandingCounts())),
        "refresh": refreshed,
        "predictions": predicted,
        "platform": _platform_figures(url),
        "products": {
            name: {
                "counts": dataclasses.asdict(counts.get(name, LandingCounts())),
                "run": run,
                **_figures(url, name),
            }
            for name, run in made.items()
        },
    }


def _figures(url: str, product: str) -> dict[str, Any]:
    with connect(url, "reader") as conn:
        values = current_kpis(conn, product, company.AS_OF)
        row = conn.execute(
            """
            select path from batuta.reports where product = %s and business_date = %s
            order by created_at desc limit 1
            """,
            (product, company.AS_OF),
        ).fetchone()
    kpis = {value.kpi: None if value.value is None else str(value.value) for value in values}
    return {"kpis": kpis, "report": row[0] if row else None}


def _platform_figures(url: str) -> dict[str, str | None]:
    """Values by KPI and subject, as in `pipeline_lead_time arcsat-daily-review arcsat`."""
    with connect(url, "reader") as conn:
        found = platform_kpis(conn)
    return {
        f"{one.kpi} {one.subject} {one.product}": None if one.value is None else str(one.value)
        for one in found
    }


def _print(context: click.Context, result: dict[str, Any]) -> None:
    for name, found in result["products"].items():
        counts = "   ".join(f"{key} {value:,}" for key, value in found["counts"].items())
        click.echo(f"{name:10} {counts}")
    click.echo()
    context.invoke(
        kpi,
        names=tuple(result["products"]),
        as_of=datetime.fromisoformat(result["as_of"]),
        platform=False,
        as_json=False,
    )
    click.echo()
    for name, found in result["products"].items():
        click.echo(f"report of {name}: {found['report']}")
    click.echo("\nHow the platform itself did: batuta kpi --platform")
    click.echo("See it all in Dagster, the data docs and the gateway: batuta up")
