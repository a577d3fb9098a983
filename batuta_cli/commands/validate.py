"""`batuta validate`: every problem of the manifests at a path, with its place."""

import json
from pathlib import Path

import click

from batuta.manifests.problems import Problem
from batuta.manifests.project import Checked, check_path
from batuta.settings import get_settings
from batuta_cli.installed import installed_catalog
from batuta_cli.progress import steps


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON line.")
@click.pass_context
def validate(context: click.Context, path: Path, as_json: bool) -> None:
    """Check the manifests, schemas and contracts at PATH, a file or a folder.

    Prints every problem as file:line:column: message. Exits with 0 when there are only warnings, with 1 when
    there is an error.
    """
    checked = check_path(path, installed_catalog(get_settings(), steps()))
    if as_json:
        click.echo(json.dumps(as_document(checked), ensure_ascii=False))
    else:
        for problem in checked.problems:
            click.echo(str(problem))
        click.echo(summary(checked))
    context.exit(1 if checked.errors else 0)


def as_document(checked: Checked) -> dict[str, object]:
    """The result as JSON values."""
    graph = checked.compilation.graph
    return {
        "manifests": len(checked.documents),
        "errors": len(checked.errors),
        "warnings": len(checked.problems) - len(checked.errors),
        "digest": graph.digest if graph is not None and not checked.errors else None,
        "problems": [_problem_document(problem) for problem in checked.problems],
    }


def summary(checked: Checked) -> str:
    """The result in one line."""
    errors = len(checked.errors)
    warnings = len(checked.problems) - errors
    counts = [_count(errors, "error"), *([_count(warnings, "warning")] if warnings else [])]
    return f"{_count(len(checked.documents), 'readable manifest')}: {', '.join(counts)}"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _problem_document(problem: Problem) -> dict[str, object]:
    position = problem.position
    return {
        "file": position.file,
        "line": position.line,
        "column": position.column,
        "field": problem.field,
        "severity": problem.severity,
        "message": problem.message,
    }
