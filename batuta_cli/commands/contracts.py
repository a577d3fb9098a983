"""`batuta contracts`: what marts and exports promise, whether code and data keep it, and how a contract begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from batuta.errors import BatutaError, UsageError
from batuta.manifests.problems import Problem, closest
from batuta.quality.breaks import Break, LastCheck, breaks, last_checks
from batuta.quality.contract import DataContract
from batuta.quality.draft import draft as begin
from batuta.quality.drift import drift
from batuta.quality.expectations import suite as suite_of
from batuta.quality.reading import (
    PROJECT_FOLDER,
    SHIPPED_FOLDER,
    contract_files,
    enforced,
    in_force,
    read_contract,
)
from batuta.settings import get_settings
from batuta.warehouse.connection import connect
from batuta.warehouse.database import ensure_database
from batuta_cli.installed import installed_catalog
from batuta_cli.progress import steps

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def contracts() -> None:
    """Data contracts of marts and exports."""


@contracts.command("list")
@_json_option
def list_contracts(*, as_json: bool) -> None:
    """Every contract in force, with its domain, version and owner."""
    settings = get_settings()
    found = in_force(settings.project, settings.home)
    if as_json:
        click.echo(json.dumps([_contract_document(contract) for contract in found], ensure_ascii=False))
        return
    for c in found:
        click.echo(f"{c.domain:<20} {c.version:<8} {c.status:<11} {c.relation:<40} {c.owner:<12} {c.title}")


@contracts.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True), required=False)
@_json_option
@click.pass_context
def check(context: click.Context, path: Path | None, *, as_json: bool) -> None:
    """Whether contracts are sound, and dbt builds what they promise; needs no database.

    Without PATH the shipped contracts, which must cover every mart; with it the contracts of that project folder.
    """
    settings = get_settings()
    folder = settings.project / SHIPPED_FOLDER if path is None else path / PROJECT_FOLDER
    files = contract_files(folder if folder.is_dir() or path is None else path)
    built = installed_catalog(settings, steps()).built
    read = [read_contract(file.read_bytes(), _shown(file)) for file in files]
    problems = sorted({
        *(problem for item in read for problem in item.problems), *drift(read, built, complete=path is None)
    })  # fmt: skip
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        document = {"contracts": len(read), "errors": errors, "problems": [_problem(p) for p in problems]}
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(str(problem))
        click.echo(f"{len(read)} contracts: {errors or 'no'} error{'' if errors == 1 else 's'}")
    context.exit(1 if errors else 0)


@contracts.command()
@click.argument("model")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there instead of printing it."
)
def draft(model: str, out: Path | None) -> None:
    """Begin the contract of a dbt model: columns, types, key and tests are filled in, the rest is asked for."""
    built = {
        name.partition(".")[2]: b for name, b in installed_catalog(get_settings(), steps()).built.items()
    }
    if model not in built:
        meant = closest(model, built)
        raise UsageError(f'no dbt model "{model}"', hint=f'Did you mean "{meant}"?' if meant else None)
    text = begin(built[model], "team:sigma")
    if out is None:
        click.echo(text, nl=False)
    elif out.exists():
        raise UsageError(
            f"{out} is there already", hint="Choose another file, or print it by leaving out --out."
        )
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        click.echo(f"{out}: say what is marked FILL IN, then `batuta contracts check`")


@contracts.command()
@click.argument("name")
def suite(name: str) -> None:
    """The suite of Great Expectations that a contract comes down to, as JSON."""
    click.echo(json.dumps(suite_of(_named(name)), ensure_ascii=False, indent=2))


@contracts.command()
@click.option("--product", help="Only this product.")
@click.option("--all", "every", is_flag=True, help="Also what is mended.")
@_json_option
@click.pass_context
def status(context: click.Context, product: str | None, *, every: bool, as_json: bool) -> None:
    """What is broken, for whom, since when and by which events; exit code 1 where something is."""
    with connect(ensure_database(get_settings(), steps()), "reader") as conn:
        found, checks = breaks(conn, product=product, mended=every), last_checks(conn)
    unreadable = [check for check in checks if check.problem]
    if as_json:
        document = {
            "checks": [_check_document(c) for c in checks],
            "breaks": [_break_document(b) for b in found],
        }
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        _print_status(found, checks)
    is_open = any(b.mended_at is None and b.severity == "error" for b in found)
    context.exit(1 if is_open or unreadable else 0)


def _print_status(found: list[Break], checks: list[LastCheck]) -> None:
    if not checks:
        click.echo("No contract was ever checked; that is done by each refresh of the marts.")
        return
    newest = max(check.checked_at for check in checks)
    click.echo(f"{len(checks)} contracts, last checked {newest:%Y-%m-%d %H:%M UTC}")
    for check in checks:
        if check.problem:
            click.echo(f"{check.contract}: could not be checked: {check.problem}")
    for b in found:
        mended = f"; mended {b.mended_at:%Y-%m-%d %H:%M UTC}" if b.mended_at else ""
        click.echo(f"{b.severity}: {b.text}{mended}")
        for row in b.evidence[:3]:
            events = ", ".join(id for _, id in row["events"]) or "no event is named"
            click.echo(f"    {', '.join(f'{k} {v}' for k, v in row['key'].items())}: events {events}")
    if not any(b.mended_at is None for b in found):
        click.echo("Nothing is broken.")


def _named(name: str) -> DataContract:
    settings = get_settings()
    found = {c.name: c for c in enforced(in_force(settings.project, settings.home))}
    by_domain = {c.domain: c for c in found.values()}
    if name not in found and name not in by_domain:
        raise BatutaError(f'no contract "{name}"', hint=f"contracts: {', '.join(found)}")
    return found.get(name) or by_domain[name]


def _shown(file: Path) -> str:
    """A file as it is called from the current folder, where it lies below it."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


def _problem(problem: Problem) -> dict[str, object]:
    place = problem.position
    return {
        "file": place.file, "line": place.line, "column": place.column, "field": problem.field,
        "severity": problem.severity, "message": problem.message,
    }  # fmt: skip


def _contract_document(contract: DataContract) -> dict[str, Any]:
    return {
        "name": contract.name,
        "version": contract.version,
        "status": contract.status,
        "domain": contract.domain,
        "relation": contract.relation,
        "owner": contract.owner,
        "grain": contract.grain,
        "key": list(contract.key),
        "rules": len(contract.rules),
        "fresh_within_seconds": contract.fresh_within.total_seconds() if contract.fresh_within else None,
        "used_by": list(contract.breaking.used_by),
        "notice_days": contract.breaking.notice_days,
        "file": contract.file,
    }


def _check_document(check: LastCheck) -> dict[str, Any]:
    return {
        "contract": check.contract,
        "version": check.version,
        "checked_at": check.checked_at.isoformat(),
        "batch": check.batch,
        "rules": check.rules,
        "products": check.products,
        "problem": check.problem,
    }


def _break_document(b: Break) -> dict[str, Any]:
    return {
        "contract": b.contract,
        "version": b.version,
        "rule": b.rule,
        "product": b.product,
        "severity": b.severity,
        "found_by": b.found_by,
        "since": b.since.isoformat(),
        "since_batch": b.since_batch,
        "seen_at": b.seen_at.isoformat(),
        "rows": b.broken_rows,
        "detail": b.detail,
        "evidence": b.evidence,
        "mended_at": b.mended_at.isoformat() if b.mended_at else None,
    }
