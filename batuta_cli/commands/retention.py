"""`batuta retention`: what the log lets go of by policy, and letting it go."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from batuta.errors import UsageError
from batuta.retention.letting_go import carry_out, plan
from batuta.retention.steps import Period, Step, periods_of, readers_of
from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.progress import steps as show_steps


@click.command()
@click.option("--apply", "apply_", is_flag=True, help="Do it; without it, only say what would be done.")
@click.option(
    "--product", "names", multiple=True, help="Only this product's events; may be given several times."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def retention(names: tuple[str, ...], *, apply_: bool, as_json: bool) -> None:
    """Let the log go of events older than the products' policies (`retention-180d`) say.

    How every entity stands is kept, so that a full rebuild of the models gives the same values. Without --apply it
    only says what would be done. Killed anywhere, call it again: it goes on.
    """
    from batuta.blob_store import open_blobs
    from batuta.keys import keys_for
    from batuta_agents.retrieval.embed import CONSUMER
    from batuta_assets.gates import hold_models
    from batuta_assets.locations import load_graph, locations

    settings = get_settings()
    graph = load_graph(locations(settings))
    periods = _chosen(periods_of(graph), names, [product.name for product in graph.products])
    readers = readers_of(graph, CONSUMER)
    url = ensure_database(settings, show_steps())
    with connect(url, "owner", application="batuta retention") as conn:
        if apply_:
            with connect(url, "owner", application="batuta retention: lock") as lock:
                hold_models(lock)
                store = open_blobs(settings, keys_for(conn, settings.home))
                conn.commit()
                found = carry_out(conn, periods, readers, settings.quarantine_days, _now, store)
        else:
            found = plan(conn, periods, readers, settings.quarantine_days, _now())
    if as_json:
        document = {"applied": apply_, "steps": [_document(step) for step in found]}
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    _print(found, periods, applied=apply_)


def _chosen(periods: Sequence[Period], names: Sequence[str], products: Sequence[str]) -> list[Period]:
    unknown = [name for name in names if name not in products]
    if unknown:
        raise UsageError(f'no product "{unknown[0]}"', hint=f"products: {', '.join(products) or 'none'}")
    return [period for period in periods if not names or period.product in names]


def _print(found: Sequence[Step], periods: Sequence[Period], *, applied: bool) -> None:
    for period in periods:
        click.echo(f"{period.product}: {period.policy}")
    if not periods:
        click.echo("No product has a retention policy: every event is kept.")
    for step in found:
        where = step.place.replace("_", " ")
        if step.chunk_from is not None and step.chunk_to is not None:
            where = f"{step.chunk_from:%Y-%m-%d} to {step.chunk_to:%Y-%m-%d}"
        line = f"{where:<24} {step.product:<16} {step.found:>9,} rows  {step.kept:>9,} kept  {step.removed:>9,} go"
        click.echo(f"{line}  waits for {step.waits_for}" if step.waits_for else line)
    going = sum(step.removed for step in found if step.waits_for is None)
    if applied:
        click.echo(f"{going:,} rows are gone.")
    else:
        click.echo(
            f"{going:,} rows would go. Do it: batuta retention --apply" if going else "Nothing is to go."
        )


def _document(step: Step) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in dataclasses.asdict(step).items()
    }


def _now() -> datetime:
    return datetime.now(UTC)
