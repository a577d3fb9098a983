"""`batuta quarantine`: what could not land, why, and taking it through today's code again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from batuta.counting import counted
from batuta.errors import UsageError
from batuta.keys import KeyRing
from batuta.landing.land import Landing
from batuta.landing.model import Parse
from batuta.landing.quarantine import QuarantineEntry, discard, entries, entry, held_ids, not_replayed, unseal
from batuta.settings import Settings, get_settings
from batuta.warehouse.connection import Connection, Role, connect
from batuta.warehouse.database import ensure_database
from batuta_cli.ingestion import Source, parse_for
from batuta_cli.progress import steps

SHOWN_REASONS = 20

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def quarantine() -> None:
    """Look at and replay what could not land."""


@quarantine.command("list")
@click.option("--product", help="Only this product's.")
@click.option("--connector", help="Only this connector's.")
@click.option("--all", "every", is_flag=True, help="Also what was replayed or discarded.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@_json_option
def list_held(product: str | None, connector: str | None, *, every: bool, limit: int, as_json: bool) -> None:
    """What is held, the latest attempt first."""
    with _connection(get_settings(), "auditor") as conn:
        state = None if every else "held"
        found = entries(conn, product=product, connector=connector, state=state, limit=limit)
    if as_json:
        click.echo(json.dumps([_document(item) for item in found], ensure_ascii=False))
        return
    if not found:
        click.echo("Nothing is in quarantine.")
    for item in found:
        times = counted(item.attempts, "attempt")
        state = "" if item.state == "held" else f" [{item.state}]"
        where = f"{item.product} {item.connector}"
        click.echo(f"{item.id}  {item.received_at:%Y-%m-%d %H:%M}  {where}  {times}{state}")
        click.echo(f"    {item.reason_code}: {item.sentence}")


@quarantine.command()
@click.argument("quarantine_id", metavar="ID")
@click.option("--reveal", is_flag=True, help="Decrypt and print headers and body: personal data in clear.")
@_json_option
def show(quarantine_id: str, *, reveal: bool, as_json: bool) -> None:
    """One of them, without its content unless asked for."""
    settings = get_settings()
    with _connection(settings, "writer" if reveal else "auditor") as conn:
        found = entry(conn, quarantine_id)
        document = _document(found)
        if reveal:
            keys = KeyRing.load(settings.home)
            for _, delivery in unseal(conn, [quarantine_id], keys):
                document["headers"] = dict(delivery.headers)
                document["body"] = delivery.body.decode("utf-8", "backslashreplace")
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    for name, value in document.items():
        if value is not None:
            click.echo(f"{name.replace('_', ' '):<18}{value}")


@quarantine.command()
@click.argument("ids", nargs=-1, metavar="ID...")
@click.option("--all", "every", is_flag=True, help="Everything that is held.")
@click.option("--product", help="With --all: only this product's.")
@_json_option
def replay(ids: tuple[str, ...], *, every: bool, product: str | None, as_json: bool) -> int:
    """Take deliveries through today's code, with the time they were received."""
    settings = get_settings()
    landing = Landing.open(settings, lambda: datetime.now(UTC))
    with _connection(settings, "writer") as conn:
        chosen = _chosen(conn, ids, every=every, product=product)
        parses = _Parses(settings)
        counts = landing.replay(conn, chosen, parses.of, progress=None)
        stayed = not_replayed(conn, chosen) if counts.quarantined else []
    document = dataclasses.asdict(counts)
    if as_json:
        click.echo(json.dumps(document | {"held": [_document(item) for item in stayed]}, ensure_ascii=False))
        return 1 if counts.quarantined else 0
    click.echo("   ".join(f"{k} {v:,}" for k, v in document.items()))
    for item in stayed[:SHOWN_REASONS]:
        click.echo(f"{item.id}  {item.reason_code}: {item.sentence}", err=True)
    if len(stayed) > SHOWN_REASONS:
        click.echo(f"... and {len(stayed) - SHOWN_REASONS} more; see `batuta quarantine list`", err=True)
    return 1 if counts.quarantined else 0


@quarantine.command("discard")
@click.argument("ids", nargs=-1, metavar="ID...", required=True)
def give_up(ids: tuple[str, ...]) -> int:
    """Give up deliveries; their rows stay, marked as discarded."""
    with _connection(get_settings(), "writer") as conn:
        for quarantine_id in ids:
            entry(conn, quarantine_id)
        count = discard(conn, list(ids))
    click.echo(f"discarded {count}")
    return 0


class _Parses:
    """Parse functions for replay: what was held for its signature has to prove it now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def of(self, entry_: QuarantineEntry) -> Parse:
        """The parse function for one row."""
        trusted = entry_.reason_code != "signature"
        source = Source(entry_.connector, entry_.product, entry_.account, trusted=trusted)
        return parse_for(self._settings, source)


def _chosen(conn: Connection, ids: tuple[str, ...], *, every: bool, product: str | None) -> list[str]:
    if every == bool(ids):
        raise UsageError("name the ids to replay, or pass --all")
    if product is not None and not every:
        raise UsageError("--product goes with --all")
    chosen = held_ids(conn, product) if every else list(ids)
    conn.commit()
    return chosen


@contextmanager
def _connection(settings: Settings, role: Role) -> Iterator[Connection]:
    with connect(ensure_database(settings, steps()), role) as conn:
        yield conn


def _document(found: QuarantineEntry) -> dict[str, object]:
    document = dataclasses.asdict(found)
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in document.items()}
