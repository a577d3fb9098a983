"""`batuta doctor`: look at everything that can be wrong, and say how to mend it."""

import json
import os
from dataclasses import asdict

import click

from batuta.counting import counted
from batuta.settings import Settings, get_settings
from batuta_cli.checkup import accounts, bus, data, machine, orchestra
from batuta_cli.checkup.finding import Finding

SIGNS = {"ok": ("ok", "green"), "note": ("note", "cyan"), "problem": ("PROBLEM", "red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON line.")
def doctor(as_json: bool) -> int:
    """Say what is wrong and how to mend it; exit code 1 when something is."""
    found = examine(get_settings())
    problems = [finding for finding in found if finding.verdict == "problem"]
    if as_json:
        click.echo(json.dumps({"ok": not problems, "findings": [asdict(finding) for finding in found]}))
    else:
        for finding in found:
            _show(finding)
        click.echo(f"{counted(len(problems), 'problem')}." if problems else "Nothing is wrong.")
    return 1 if problems else 0


def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order in which problems are best mended."""
    found = [machine.python(), *machine.packages(), *machine.variables(os.environ)]
    found += [machine.disk(settings), machine.build_tools(settings)]
    database, url = data.database(settings)
    found += [data.keys(settings, url), *database, data.manifest(settings), bus.brokers(settings)]
    found += accounts.standing(settings, url)
    found += [*machine.ports(settings), machine.left_behind(settings)]
    found += [
        *orchestra.services(settings),
        *orchestra.triggers(settings, url),
        *orchestra.dead_runs(settings, url),
    ]
    return found


def _show(finding: Finding) -> None:
    sign, color = SIGNS[finding.verdict]
    click.echo(f"{click.style(f'{sign:8}', fg=color)} {finding.check}: {finding.message}")
    if finding.mend:
        click.echo(f"{'':8} {finding.mend}")
