"""`batuta events`: look at the event log, also from a run or a fact back to its events."""

from __future__ import annotations

import dataclasses
import json
from datetime import date, datetime
from typing import Any

import click

from batuta.errors import BatutaError, UsageError
from batuta.facts import FactEvents, events_of_fact
from batuta.landing.reader import LoggedEvent, find, has_landed, newest
from batuta.reports.own_facts import kpi_of_page
from batuta.settings import get_settings
from batuta.warehouse.connection import Connection, connect
from batuta.warehouse.database import ensure_database
from batuta_agents.sigma.evidence import events_of_kpi
from batuta_cli.days import DAY
from batuta_cli.progress import steps

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one event a line.")

_OF_RUN = """
select t.product, t.source, t.id
from batuta.trigger_events as t inner join batuta.trigger_windows as w using (digest)
where w.run_id = %s order by t.batch, t.source, t.id
"""


@click.group()
def events() -> None:
    """Look at the event log."""


@events.command("list")
@click.option("--product", help="Only this product's.")
@click.option("--type", "types", multiple=True, help="Only this type, or a family: com.shopify.orders.*")
@click.option("--run", "run_id", help="Those that triggered this Dagster run.")
@click.option("--fact", "fact_id", help="Those this number of a report was computed from.")
@click.option("--kpi", help="Those behind this KPI's value; with --product and --as-of.")
@click.option("--as-of", type=DAY, help="The business day of the KPI's value.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@_json_option
def list_events(
    product: str | None,
    types: tuple[str, ...],
    run_id: str | None,
    fact_id: str | None,
    kpi: str | None,
    as_of: date | None,
    *,
    limit: int,
    as_json: bool,
) -> None:
    """The events that landed last, or those behind a run, a number of a report or a KPI's value."""
    if sum(given is not None for given in (run_id, fact_id, kpi)) > 1:
        raise UsageError("--run, --fact and --kpi do not go together")
    if (kpi is None) != (as_of is None) or (kpi is not None and product is None):
        raise UsageError(
            "--kpi, --as-of and --product go together", hint="A KPI has a value for each product and day."
        )
    with connect(ensure_database(get_settings(), steps()), "reader") as conn:
        if fact_id is not None:
            _show_behind(_behind(conn, fact_id), limit, as_json=as_json)
            return
        if product is not None and kpi is not None and as_of is not None:
            behind = FactEvents(events_of_kpi(conn, product, kpi, [as_of]), None)
            _show_behind(behind, limit, as_json=as_json)
            return
        if run_id is not None:
            _show_run(conn, run_id, limit, as_json=as_json)
            return
        found = newest(conn, product=product, types=types or None, limit=limit)
    if not found and not as_json:
        click.echo("No events.")
    for event in found:
        click.echo(json.dumps(_document(event), ensure_ascii=False) if as_json else _line(event))


@events.command()
@click.argument("event_id", metavar="ID")
@click.option("--product", help="Where several products have that id.")
@click.option("--source", help="Where several sources have that id.")
def show(event_id: str, product: str | None, source: str | None) -> None:
    """Everything the log holds of an event, as JSON; personal data is masked since before it was written."""
    with connect(ensure_database(get_settings(), steps()), "reader") as conn:
        found = find(conn, event_id, product=product, source=source)
        gone = not found and _was_removed(conn, event_id, product, source)
    if gone:
        raise BatutaError(
            f"the event {event_id} expired by policy",
            hint="It landed, and retention has removed it from the log; see docs/retention.md.",
        )
    if not found:
        raise BatutaError(
            f"no event has the id {event_id}", hint="It may be in quarantine: batuta quarantine list"
        )
    for event in found:
        click.echo(json.dumps(_document(event), ensure_ascii=False, indent=2))


def _was_removed(conn: Connection, event_id: str, product: str | None, source: str | None) -> bool:
    """Whether an event of that id landed; where product or source are not given, among those known to the log."""
    pairs = conn.execute(
        """
        select distinct product, source from batuta.history
        where (%(product)s::text is null or product = %(product)s) and (%(source)s::text is null or source = %(source)s)
        """,
        {"product": product, "source": source},
    ).fetchall()
    if product is not None and source is not None:
        pairs.append((product, source))
    return any(has_landed(conn, of, where, event_id) for of, where in pairs)


def _show_run(conn: Connection, run_id: str, limit: int, *, as_json: bool) -> None:
    refs = conn.execute(_OF_RUN, (run_id,)).fetchall()
    if not refs:
        raise BatutaError(
            f"no events are recorded for run {run_id}",
            hint="Runs that a clock, a person or another run started have none.",
        )
    for product, source, id_ in refs[:limit]:
        found = find(conn, id_, product=product, source=source)
        for event in found:
            click.echo(json.dumps(_document(event), ensure_ascii=False) if as_json else _line(event))
        if not found:
            expired = {"product": product, "source": source, "id": id_, "expired": True}
            click.echo(json.dumps(expired, ensure_ascii=False) if as_json else _expired_line(product, id_))


def _expired_line(product: str, event_id: str) -> str:
    return f"{'':>7}  {'expired by policy':<19}  {product:<12} {'':<36} {event_id}"


def _behind(conn: Connection, fact_id: str) -> FactEvents:
    """The events of a recorded fact, or of a KPI's value that a page shows."""
    page = kpi_of_page(fact_id)
    if page is None:
        return events_of_fact(conn, fact_id)
    return FactEvents(events_of_kpi(conn, page.product, page.kpi, page.days), None)


def _show_behind(found: FactEvents, limit: int, *, as_json: bool) -> None:
    for event in found.events[:limit]:
        if as_json:
            document = dataclasses.asdict(event) | {"expired": event.expired}
            click.echo(json.dumps(_plain(document), ensure_ascii=False))
        else:
            click.echo(f"{event.type or 'expired by policy':<40} {event.id:<40} {event.source}")
    if not as_json:
        more = len(found.events) - limit
        click.echo(f"{len(found.events)} events" + (f", {more} not shown" if more > 0 else ""))
        if found.unchanged is False:
            click.echo("They are no longer the ones the fact was computed from.")


def _line(event: LoggedEvent) -> str:
    received = f"{event.received_at:%Y-%m-%d %H:%M:%S}"
    return f"{event.batch:>7}  {received}  {event.product:<12} {event.type:<36} {event.id:<38} {event.subject or ''}"


def _document(event: LoggedEvent) -> dict[str, Any]:
    return _plain(dataclasses.asdict(event))


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in document.items()}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value
