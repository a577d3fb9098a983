"""`batuta export`: a data domain under its contract, as a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from batuta.quality.export import Exported, choose, export, format_of
from batuta.quality.reading import in_force
from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.progress import steps


@click.command("export")
@click.option("--domain", required=True, help="The data domain, as `batuta contracts list` names it.")
@click.option(
    "--contract", "version", required=True, help="Version of its contract: 1.0.0, or 1 for the newest 1.x."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write."
)
@click.option("--product", help="Only this product's rows.")
@click.option(
    "--format",
    "named",
    type=click.Choice(["parquet", "csv", "jsonl"]),
    help="By default what the file's name says.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON line.")
def export_domain(
    *, domain: str, version: str, out: Path, product: str | None, named: str | None, as_json: bool
) -> None:
    """Export a data domain under a version of its contract.

    Columns, types and order are the contract's. Data that break it are refused, with the rule, the product and the
    first rows.
    """
    settings = get_settings()
    contract = choose(in_force(settings.project, settings.home), domain, version)
    written_as = format_of(out, named)
    out.parent.mkdir(parents=True, exist_ok=True)
    with connect(ensure_database(settings, steps()), "reader") as conn, _progress(contract.reference) as show:
        done = export(conn, contract, out, product=product, format=written_as, progress=show)
    if as_json:
        click.echo(json.dumps(_document(done, product), ensure_ascii=False))
    else:
        click.echo(f"{done.rows} rows of {domain} under {contract.reference} in {done.path}")


@contextmanager
def _progress(title: str) -> Iterator[Any]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _document(done: Exported, product: str | None) -> dict[str, object]:
    return {
        "domain": done.contract.domain,
        "contract": done.contract.name,
        "version": done.contract.version,
        "product": product,
        "file": str(done.path),
        "rows": done.rows,
        "bytes": done.size_bytes,
        "sha256": done.sha256,
        "columns": [field.name for field in done.contract.fields],
    }
