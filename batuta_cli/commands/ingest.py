"""`batuta ingest`: land what a vendor sent, from files, through the same path as webhooks."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from batuta.landing.land import Landing
from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.ingestion import STDIN, Advance, Source, ingest_files
from batuta_cli.progress import steps

SHOWN_BAD_LINES = 20


@click.command()
@click.argument("connector")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--product", required=True, help="The product the deliveries belong to.")
@click.option("--account", help="Shop, repository or other account, where the product has several.")
@click.option("--trusted", is_flag=True, help="Skip the signature: for files of your own.")
@click.option(
    "--way",
    type=click.Choice(["file", "backfill"]),
    default="file",
    show_default=True,
    help="backfill: leave out versions of an entity that are there already.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON line.")
def ingest(
    connector: str,
    paths: tuple[str, ...],
    product: str,
    account: str | None,
    *,
    trusted: bool,
    way: str,
    as_json: bool,
) -> int:
    """Land files of captured deliveries: JSON lines of {"headers": {...}, "body": "..."}; - is stdin.

    For the connector `events` the lines are CloudEvents. Where a connector has files of its own, any other path
    is read as these: mails (.eml, mbox, Maildir; one mail or an mbox on stdin), a vault folder, a drive's saved
    pages. What cannot be accepted
    goes to quarantine with its reason; what landed before is counted as duplicate.
    """
    settings = get_settings()
    source = Source(connector, product, account, trusted, "backfill" if way == "backfill" else "file")
    landing = Landing.open(settings, lambda: datetime.now(UTC))
    url = ensure_database(settings, steps())
    with connect(url, "writer", application="batuta ingest") as conn, _progress(paths) as advance:
        result = ingest_files(settings, landing, conn, paths, source, advance=advance)
    for line in result.bad_lines[:SHOWN_BAD_LINES]:
        click.echo(line, err=True)
    if len(result.bad_lines) > SHOWN_BAD_LINES:
        click.echo(
            f"... and {len(result.bad_lines) - SHOWN_BAD_LINES} more lines that were not read", err=True
        )
    counts = dataclasses.asdict(result.counts)
    if as_json:
        click.echo(json.dumps(counts))
    else:
        click.echo("   ".join(f"{name} {count:,}" for name, count in counts.items()))
        if result.counts.quarantined:
            click.echo("See why with: batuta quarantine list")
    return 1 if result.bad_lines else 0


@contextmanager
def _progress(paths: Sequence[str]) -> Iterator[Advance | None]:
    """A bar over the bytes of the files, on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    total = None if STDIN in paths else sum(Path(p).stat().st_size for p in paths if Path(p).is_file())
    columns = (TextColumn("landing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("landing", total=total)
        yield lambda size: bar.advance(task, size)
