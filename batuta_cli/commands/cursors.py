"""`batuta cursors`: how far each reader and each poll has come, and setting one back."""

from __future__ import annotations

import json

import click

from batuta.errors import UsageError
from batuta.landing.cursors import list_cursors, rewind_cursor
from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.progress import steps

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def cursors() -> None:
    """Look at and rewind reading positions."""


@cursors.command("list")
@_json_option
def list_positions(*, as_json: bool) -> None:
    """Every position."""
    with connect(ensure_database(get_settings(), steps()), "reader") as conn:
        found = list_cursors(conn)
    if as_json:
        rows = [
            {
                "consumer": c.consumer,
                "product": c.product,
                "position": c.position,
                "updated_at": c.updated_at.isoformat(),
            }
            for c in found
        ]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not found:
        click.echo("Nothing has a position yet.")
    for c in found:
        position = json.dumps(c.position, ensure_ascii=False)
        click.echo(f"{c.consumer:<36} {c.product:<16} {position:<24} {c.updated_at:%Y-%m-%d %H:%M:%S}")


@cursors.command()
@click.argument("consumer")
@click.option("--product", default="", help="The product, where the position is one product's.")
@click.option("--to", "position", required=True, help="The new position: a batch number, or JSON.")
@_json_option
def rewind(consumer: str, product: str, position: str, *, as_json: bool) -> None:
    """Set a position back, so that what came after is read again; nothing lands twice by it."""
    try:
        value = json.loads(position)
    except ValueError:
        raise UsageError(f"--to {position!r} is no number and no JSON") from None
    with connect(ensure_database(get_settings(), steps()), "writer") as conn:
        before = rewind_cursor(conn, consumer, product, value)
        conn.commit()
    if as_json:
        click.echo(
            json.dumps({"consumer": consumer, "product": product, "from": before.position, "to": value})
        )
        return
    click.echo(f"{consumer}: {json.dumps(before.position)} -> {json.dumps(value)}")
