"""`batuta connectors`: how the accounts at vendors stand; poll or audit one now; open a set-up window."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from batuta.errors import BatutaError, UsageError
from batuta.manifests.bundle import bundle_path, read_bundle
from batuta.settings import Settings, get_settings
from batuta.setup_windows import LONGEST_MINUTES, open_window
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.fetching import STRETCH_S, Busy, account_names, chosen_accounts, poll_now, product_named
from batuta_cli.progress import steps
from sensors.connectors import CONNECTORS, learns
from sensors.connectors import connector as connector_named
from sensors.pull.accounts import Unready
from sensors.pull.means import Means
from sensors.pull.overview import AccountView, overview
from sensors.pull.run import audit_account

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True)
@click.option("--product", help="Only this product's.")
@_json_option
@click.pass_context
def connectors(context: click.Context, product: str | None, *, as_json: bool) -> None:
    """How the accounts at vendors stand."""
    if context.invoked_subcommand is not None:
        return
    settings = get_settings()
    graph = read_bundle(bundle_path(settings.home))
    with connect(ensure_database(settings, steps()), "reader") as conn:
        views = [view for view in overview(conn, graph, settings) if product in {None, view.product}]
    if as_json:
        click.echo(json.dumps([_document(view) for view in views], ensure_ascii=False))
        return
    if not views:
        click.echo("No connector is applied. Add one under spec.connectors of a Product, and apply.")
    for view in views:
        _show(view)


@connectors.command()
@click.argument("product")
@click.argument("connector")
@click.argument("account", required=False)
@_json_option
def poll(product: str, connector: str, account: str | None, *, as_json: bool) -> int:
    """Fetch what is new now, also from an account that was stopped or is failing."""
    settings = get_settings()
    bounds, unready = chosen_accounts(settings, product, connector, account)
    failed = _show_unready(unready, as_json=as_json)
    with closing(_means(settings)) as means:
        results = [(bound, poll_now(bound, means)) for bound in bounds]
    for bound, found in results:
        failed = failed or found.problem is not None
        counts = dataclasses.asdict(found.counts)
        if as_json:
            document = {"account": bound.key[2], **counts, "notes": found.notes} | _problem(found.problem)
            click.echo(json.dumps(document, ensure_ascii=False))
            continue
        idle = isinstance(found.problem, Busy) and not found.pages
        told = "not fetched here" if idle else "   ".join(f"{k} {v:,}" for k, v in counts.items())
        click.echo(f"{_name(*bound.key)}   {told}")
        for line in (*found.notes, *_sentences(found.problem)):
            click.echo(f"    {line}", err=True)
    return 1 if failed else 0


@connectors.command()
@click.argument("product")
@click.argument("connector")
@click.argument("account", required=False)
@_json_option
def audit(product: str, connector: str, account: str | None, *, as_json: bool) -> int:
    """Look at the push channels now, and mend what can be mended."""
    settings = get_settings()
    bounds, unready = chosen_accounts(settings, product, connector, account)
    sick = _show_unready(unready, as_json=as_json)
    with closing(_means(settings)) as means:
        results = [
            (bound, audit_account(bound, means, deadline=means.monotonic() + STRETCH_S)) for bound in bounds
        ]
    for bound, (found, problem) in results:
        sick = sick or problem is not None or any(not one.well for one in found)
        if as_json:
            channels = [{"name": one.name, "state": one.state, "detail": one.detail} for one in found]
            document = {"account": bound.key[2], "subscriptions": channels} | _problem(problem)
            click.echo(json.dumps(document, ensure_ascii=False))
            continue
        click.echo(_name(*bound.key) + ("" if found or problem else "   nothing to look at"))
        for one in found:
            click.echo(f"    {one.name:<40} {one.state}" + (f"   {one.detail}" if one.detail else ""))
        for line in _sentences(problem):
            click.echo(f"    {line}", err=True)
    return 1 if sick else 0


@connectors.command()
@click.argument("product")
@click.argument("connector")
@click.argument("account", required=False)
@click.option(
    "--minutes", type=click.IntRange(1, LONGEST_MINUTES), default=15, show_default=True, help="For how long."
)
@_json_option
def window(product: str, connector: str, account: str | None, *, minutes: int, as_json: bool) -> None:
    """Let a vendor choose an account's secret (Notion's verification token) within the next minutes."""
    settings = get_settings()
    connector_named(connector)
    found = product_named(read_bundle(bundle_path(settings.home)), product)
    if not learns(connector):
        learning = ", ".join(name for name in CONNECTORS if learns(name))
        raise UsageError(
            f"{connector} never chooses the secret it signs with, so no window is needed; connectors that do: "
            f"{learning}"
        )
    names = [one.account for one in found.connectors if one.type == connector]
    if account is None and len(names) == 1:
        account = names[0]
    if account not in names:
        which = f" {account}" if account else ""
        there = account_names(found, connector)
        raise UsageError(f"product {product} has no account{which} of {connector}; there are: {there}")
    now = datetime.now(UTC)
    until = now + timedelta(minutes=minutes)
    open_window(settings.home, product, connector, account, now=now, until=until)
    if as_json:
        click.echo(json.dumps({"until": until.isoformat()}))
        return
    click.echo(f"Open until {until.astimezone():%H:%M}. Now let the vendor send its verification.")


def _means(settings: Settings) -> Means:
    return Means.open(settings, ensure_database(settings, steps()), application="batuta connectors")


def _show(view: AccountView) -> None:
    click.echo(f"{_name(view.product, view.connector, view.account)}   {view.standing}")
    if view.fetched:
        last = f"{view.last_success_at:%Y-%m-%d %H:%M} UTC" if view.last_success_at else "never"
        due = f"{view.next_due_at:%Y-%m-%d %H:%M} UTC" if view.next_due_at else "as soon as it can be"
        click.echo(f"    fetched {last}, next {'not' if view.stopped else due}")
    if view.counted:
        missing = f", {view.missing:,} not accounted for" if view.missing else ", all accounted for"
        click.echo(f"    the source handed over {view.counted:,}{missing}")
    for name, state in view.subscriptions.items():
        click.echo(f"    push {name}: {state}")
    for wrong in filter(None, (view.problem, view.refuses)):
        click.echo(f"    {wrong}")


def _show_unready(unready: Sequence[Unready], *, as_json: bool) -> bool:
    """Show the accounts that are left out because they are not ready; whether there are any."""
    for one in unready:
        if as_json:
            click.echo(json.dumps({"account": one.key[2], "problem": one.sentence}, ensure_ascii=False))
            continue
        click.echo(f"{_name(*one.key)}   left out")
        click.echo(f"    {one.sentence}", err=True)
    return bool(unready)


def _name(product: str, connector: str, account: str) -> str:
    return f"{product} {connector}" + (f" {account}" if account else "")


def _sentences(problem: BatutaError | None) -> tuple[str, ...]:
    return () if problem is None else tuple(filter(None, (problem.message, problem.hint)))


def _problem(problem: BatutaError | None) -> dict[str, str | None]:
    return {"problem": problem.message if problem is not None else None}


def _document(view: AccountView) -> dict[str, Any]:
    document = dataclasses.asdict(view) | {"standing": view.standing}
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in document.items()}
