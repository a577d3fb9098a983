"""`batuta apply`: register manifests, put their bundle in force, and have Dagster read it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from batuta.errors import BatutaError
from batuta.manifests.project import Checked, check_path
from batuta.registry import Applied
from batuta.registry import apply as apply_manifests
from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.dagster_reload import Reload, reload_code_location
from batuta_cli.installed import installed_catalog
from batuta_cli.progress import steps

_RELOADED = {
    "reloaded": "Dagster has read the new bundle.",
    "not running": "Dagster is not running; it reads the bundle when it starts.",
}


class Invalid(BatutaError):
    """The manifests have errors."""


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--prune", is_flag=True, help="Remove registered manifests that PATH does not have.")
@click.option("--json", "as_json", is_flag=True, help="Print what changed as one JSON line.")
def apply(path: Path, prune: bool, as_json: bool) -> None:
    """Check the manifests at PATH, register what changed, and tell Dagster.

    What PATH does not mention stays registered, unless --prune is given. Nothing is applied when there is an
    error.
    """
    settings = get_settings()
    progress = steps()
    checked = check_path(path, installed_catalog(settings, progress))
    _refuse_errors(checked, path)
    with connect(ensure_database(settings, progress), "owner") as connection:
        applied = apply_manifests(
            connection,
            checked.documents,
            checked.catalog,
            home=settings.home,
            now=datetime.now(UTC),
            project=checked.project,
            prune=prune,
        )
    reload = reload_code_location(settings.dagster_port)
    if as_json:
        click.echo(json.dumps(_document(applied, reload), ensure_ascii=False))
        return
    for problem in checked.problems:
        click.echo(str(problem), err=True)
    _print(applied, reload)


def _refuse_errors(checked: Checked, path: Path) -> None:
    if checked.errors:
        raise Invalid(
            f"{path} has errors\n" + "\n".join(map(str, checked.problems)),
            hint="Nothing was applied; mend the errors and apply again.",
        )
    if not checked.documents:
        raise Invalid(
            f"no manifests in {path}", hint="Name a folder or file with Agent, Product or Pipeline."
        )


def _print(applied: Applied, reload: Reload) -> None:
    changed = [change for change in applied.changes if change.action != "unchanged"]
    for change in changed:
        click.echo(f"{change.action:<8} {change.kind} {change.name} (version {change.version})")
    contracts = [change for change in applied.contracts if change.action != "unchanged"]
    for change in contracts:
        click.echo(f"{change.action:<8} {change.kind} {change.name}")
    count, all_ = len(changed) + len(contracts), len(applied.changes) + len(applied.contracts)
    click.echo(f"{count or 'nothing'} changed, {all_ - count} unchanged")
    click.echo(f"bundle {applied.graph.digest[:12]} in {applied.bundle}")
    click.echo(_RELOADED.get(reload.state) or f"Dagster could not read the new bundle: {reload.reason}")


def _document(applied: Applied, reload: Reload) -> dict[str, object]:
    return {
        "changes": [
            {"action": c.action, "kind": c.kind, "name": c.name, "version": c.version}
            for c in applied.changes
        ],
        "contracts": [{"action": c.action, "kind": c.kind, "name": c.name} for c in applied.contracts],
        "digest": applied.graph.digest,
        "bundle": str(applied.bundle),
        "dagster": reload.state,
        "reason": reload.reason,
    }
