"""`batuta registry`: what is registered, in which version, since when, and what changed."""

import difflib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import click

from batuta.registry import Entry, NotRegistered, history, registered
from batuta.settings import get_settings
from batuta.warehouse.connection import Connection, connect
from batuta.warehouse.database import ensure_database
from batuta_cli.progress import steps

KINDS = ("Agent", "Product", "Pipeline", "Schema", "Skill")
_KIND = click.Choice(KINDS, case_sensitive=False)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def registry() -> None:
    """List, show and compare what `batuta apply` registered."""


@registry.command("list")
@click.argument("kind", type=_KIND, required=False)
@_json_option
def list_entries(kind: str | None, as_json: bool) -> None:
    """Everything that is registered, or one KIND of it."""
    with _connection() as connection:
        entries = sorted(registered(connection, kind), key=lambda e: (KINDS.index(e.kind), e.name))
    if as_json:
        click.echo(json.dumps([_heading(entry) for entry in entries], ensure_ascii=False))
        return
    if not entries:
        click.echo("Nothing is registered yet; run batuta apply PATH.")
    for entry in entries:
        click.echo(f"{entry.kind:<9}{entry.name:<36}{_line(entry)}")


@registry.command()
@click.argument("kind", type=_KIND)
@click.argument("name")
@click.option("--version", type=click.IntRange(min=1), help="An older version.")
def show(kind: str, name: str, version: int | None) -> None:
    """The document of one thing, as JSON."""
    with _connection() as connection:
        entry = _version(history(connection, kind, name), version)
    click.echo(_text(entry))


@registry.command("history")
@click.argument("kind", type=_KIND)
@click.argument("name")
@_json_option
def show_history(kind: str, name: str, as_json: bool) -> None:
    """Every version of one thing, newest first."""
    with _connection() as connection:
        entries = history(connection, kind, name)
    if as_json:
        click.echo(json.dumps([_heading(entry) for entry in entries], ensure_ascii=False))
        return
    for entry in entries:
        removed = f", removed {entry.removed_at:%Y-%m-%d %H:%M}" if entry.removed_at else ""
        click.echo(f"{_line(entry)}  {entry.origin}{removed}")


@registry.command()
@click.argument("kind", type=_KIND)
@click.argument("name")
@click.option(
    "--from", "old", type=click.IntRange(min=1), help="Version before; the last but one by default."
)
@click.option("--to", "new", type=click.IntRange(min=1), help="Version after; the last by default.")
def diff(kind: str, name: str, old: int | None, new: int | None) -> None:
    """What changed between two versions of one thing."""
    with _connection() as connection:
        entries = history(connection, kind, name)
    after = _version(entries, new)
    if old is None and after.version == 1:
        click.echo(f"{kind} {name} has one version.")
        return
    before = _version(entries, old if old is not None else after.version - 1)
    lines = difflib.unified_diff(
        _text(before).splitlines(),
        _text(after).splitlines(),
        f"{kind} {name} version {before.version}",
        f"{kind} {name} version {after.version}",
        lineterm="",
    )
    click.echo("\n".join(lines) or "The two versions have the same content.")


@contextmanager
def _connection() -> Iterator[Connection]:
    with connect(ensure_database(get_settings(), steps()), "reader") as connection:
        yield connection


def _version(entries: list[Entry], version: int | None) -> Entry:
    for entry in entries:
        if version in (None, entry.version):
            return entry
    last = entries[0]
    raise NotRegistered(
        f"{last.kind} {last.name} has no version {version}", hint=f"its versions are 1 to {last.version}"
    )


def _line(entry: Entry) -> str:
    return f"version {entry.version:<4}{entry.digest[:12]}  {entry.applied_at:%Y-%m-%d %H:%M}"


def _heading(entry: Entry) -> dict[str, object]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "version": entry.version,
        "digest": entry.digest,
        "origin": entry.origin,
        "applied_at": entry.applied_at.isoformat(),
        "removed_at": entry.removed_at.isoformat() if entry.removed_at else None,
    }


def _text(entry: Entry) -> str:
    return json.dumps(entry.document, ensure_ascii=False, indent=2, sort_keys=True)
