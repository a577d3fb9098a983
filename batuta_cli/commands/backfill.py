"""`batuta backfill`: fetch what a vendor has of a span of days; adds exactly what is missing."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime

import click

from batuta.counting import counted
from batuta.errors import UsageError
from batuta.landing.model import LandingCounts
from batuta.settings import get_settings
from batuta.warehouse.database import ensure_database
from batuta_cli.days import DAY
from batuta_cli.fetching import Fetched, backfill_now, chosen_accounts
from batuta_cli.progress import steps
from sensors.connectors import backfill_kind
from sensors.connectors.pulling import Window
from sensors.pull.means import Means
from sensors.pull.windows import begun_windows, monthly_windows

SECONDS_A_LINE = 10.0


@click.command()
@click.argument("connector")
@click.option("--product", required=True, help="The product whose account it is.")
@click.option("--account", help="The account, where the product has several; without it, all of them.")
@click.option("--from", "first", type=DAY, required=True, help="First day, in the product's zone.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, included.")
@click.option("--again", is_flag=True, help="Also months that are done already.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON line.")
def backfill(
    connector: str,
    product: str,
    account: str | None,
    first: date,
    last: date,
    *,
    again: bool,
    as_json: bool,
) -> int:
    """Fetch what a vendor has of some days, month by month.

    What is there already is left out. Broken off, it goes on where it was; months that are done cost nothing.
    """
    if backfill_kind(connector) is None:
        raise UsageError(f"{connector} gives nothing of the past: there is nothing to backfill")
    settings = get_settings()
    bounds, unready = chosen_accounts(settings, product, connector, account)
    months = begun_windows(monthly_windows(first, last, bounds[0].timezone), datetime.now(UTC))
    total = Fetched()
    url = ensure_database(settings, steps())
    with (
        closing(Means.open(settings, url, application="batuta backfill")) as means,
        _progress(len(months) * len(bounds)) as (told, month_done),
    ):
        for bound in bounds:
            found = backfill_now(bound, months, means, again=again, told=told, window_done=month_done)
            total.counts += found.counts
            total.notes += [note for note in found.notes if note not in total.notes]
            if found.problem is not None:
                total.problem = found.problem
                break
    _show(total, len(months), as_json=as_json)
    for one in unready:
        click.echo(f"{one.key[2] or one.key[0]} is left out: {one.sentence}", err=True)
    if total.problem is not None:
        raise total.problem
    return 1 if unready else 0


def _show(total: Fetched, months: int, *, as_json: bool) -> None:
    counts = dataclasses.asdict(total.counts)
    if as_json:
        document = {**counts, "months": months, "notes": total.notes, "done": total.problem is None}
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    click.echo("   ".join(f"{name} {count:,}" for name, count in counts.items()))
    for note in total.notes:
        click.echo(note, err=True)


class _Lines:
    """Says how far it is in lines, for who reads no bar: each month, and now and then within one."""

    def __init__(self, months: int) -> None:
        self._months = months
        self._done = 0
        self._show = steps()
        self._told_at = time.monotonic()

    def so_far(self, counts: LandingCounts) -> None:
        if time.monotonic() - self._told_at >= SECONDS_A_LINE:
            self._say(f"{counts.total:,} events of month {self._done + 1} of {self._months} so far")

    def month_done(self, _: Window) -> None:
        self._done += 1
        self._say(f"{self._done} of {counted(self._months, 'month')} done")

    def _say(self, message: str) -> None:
        self._show(message)
        self._told_at = time.monotonic()


@contextmanager
def _progress(months: int) -> Iterator[tuple[Callable[[LandingCounts], None], Callable[[Window], None]]]:
    """A bar over the months with the events so far on a terminal, lines anywhere else."""
    if not sys.stderr.isatty():
        lines = _Lines(months)
        yield lines.so_far, lines.month_done
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("months"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=months)
        yield (
            lambda counts: bar.update(task, description=f"{counts.total:,} events in this one"),
            lambda window: bar.advance(task),
        )
