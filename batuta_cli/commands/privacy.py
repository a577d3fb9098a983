"""`batuta privacy`: what persons and shops asked for, and carrying it out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from batuta.blob_store import open_blobs
from batuta.errors import UsageError
from batuta.keys import keys_for
from batuta.privacy.person import Person, person_known_by
from batuta.privacy.requests import PrivacyRequest, carry_out_requests, forget_by_hand, take_up
from batuta.privacy.requests import requests as stored_requests
from batuta.settings import Settings, get_settings
from batuta.warehouse.connection import Connection, Role, connect
from batuta.warehouse.database import ensure_database

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_KINDS = ("email", "phone", "cpf", "cnpj", "person_id")
_WORDS = {
    "forget_person": "forget a person",
    "forget_shop": "delete a shop",
    "disclose_person": "tell what is held of a person",
}


@click.group()
def privacy() -> None:
    """Requests of persons and shops."""


@privacy.group()
def requests() -> None:
    """Requests that came by webhook: customers/redact, customers/data_request, shop/redact."""


@requests.command("list")
@click.option("--product", help="Only this product's.")
@click.option("--all", "every", is_flag=True, help="Also those that are done.")
@_json_option
def list_requests(product: str | None, *, every: bool, as_json: bool) -> None:
    """What is open, due first at the top."""
    with _connection(get_settings(), "writer") as conn:
        take_up(conn)
        found = stored_requests(conn, product=product, everything=every)
    if as_json:
        click.echo(json.dumps([_document(request) for request in found], ensure_ascii=False))
        return
    if not found:
        click.echo("No request is open." if not every else "There has been no request.")
    for request in found:
        _print(request)


@requests.command()
@click.option("--product", help="Only this product's.")
@_json_option
def run(product: str | None, *, as_json: bool) -> None:
    """Carry out what is open."""
    settings = get_settings()
    with _connection(settings, "owner") as conn:
        keys = keys_for(conn, settings.home)
        conn.commit()
        folders = (settings.reports_dir, settings.outbox_dir, settings.home / "quality")
        store = open_blobs(settings, keys)
        done = carry_out_requests(conn, keys, settings.home, _now, store, product=product, folders=folders)
    if as_json:
        click.echo(json.dumps([_document(request) for request in done], ensure_ascii=False))
    elif not done:
        click.echo("No request is open.")
    for request in () if as_json else done:
        _print(request)
        if request.kind == "disclose_person" and request.state == "done":
            click.echo(f"    {settings.home / 'privacy' / request.name}.json")
    if any(request.state == "open" for request in done):
        raise click.exceptions.Exit(1)


@privacy.command()
@click.option("--product", required=True, help="Whose log the person is to be forgotten in.")
@_json_option
def forget(product: str, *, as_json: bool) -> None:
    """Forget the person whose addresses and numbers stand on standard input.

    One value a line, with its kind: `email maria@example.com`, `phone +55 11 99999-0000`, `person_id 7100000000001`.
    Values are read from there so that no shell keeps them.
    """
    values = _values(sys.stdin.read())
    settings = get_settings()
    with _connection(settings, "owner") as conn:
        keys = keys_for(conn, settings.home)
        person: Person = person_known_by(conn, product, values, keys)
        conn.commit()
        folders = (settings.reports_dir, settings.outbox_dir, settings.home / "quality")
        store = open_blobs(settings, keys)
        counts = forget_by_hand(conn, person, keys, settings.home, _now(), folders, store)
    if as_json:
        click.echo(json.dumps(counts))
        return
    click.echo(
        ", ".join(f"{place} {count}" for place, count in counts.items()) or "Nothing was held of them."
    )


def _values(text: str) -> list[tuple[str, str]]:
    values: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        kind, _, value = line.strip().partition(" ")
        if not kind:
            continue
        if kind not in _KINDS or not value.strip():
            raise UsageError(
                f"line {number} of the input is no kind and value",
                hint=f"Write a kind ({', '.join(_KINDS)}), a space, and the value.",
            )
        values.append((kind, value.strip()))
    if not values:
        raise UsageError(
            "nobody is named", hint="Give values on standard input: echo 'email ...' | batuta privacy forget"
        )
    return values


def _print(request: PrivacyRequest) -> None:
    click.echo(
        f"{request.name}  due {request.due_at:%Y-%m-%d}  {request.product} {request.connector}  "
        f"{_WORDS[request.kind]} [{request.state}]"
    )
    if request.problem:
        click.echo(f"    {request.problem}")
    if request.counts:
        click.echo("    " + ", ".join(f"{place} {count}" for place, count in request.counts.items()))


def _document(request: PrivacyRequest) -> dict[str, Any]:
    return {
        "request": request.name,
        "product": request.product,
        "connector": request.connector,
        "kind": request.kind,
        "state": request.state,
        "receivedAt": request.received_at.isoformat(),
        "dueAt": request.due_at.isoformat(),
        "doneAt": request.done_at.isoformat() if request.done_at else None,
        "attempts": request.attempts,
        "problem": request.problem,
        "counts": request.counts,
    }


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _connection(settings: Settings, role: Role) -> Iterator[Connection]:
    with connect(ensure_database(settings), role) as conn:
        yield conn
