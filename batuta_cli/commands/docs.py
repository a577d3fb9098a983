"""`batuta docs`: the documentation site and dbt's manifest, made where no installation runs (CI, images)."""

import json
from pathlib import Path

import click

from batuta.settings import get_settings
from batuta_cli.progress import steps


@click.group()
def docs() -> None:
    """Make the documentation site or dbt's manifest."""


@docs.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/docs"),
    show_default=True,
    help="Folder for index.html, manifest.json and catalog.json.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the paths as one JSON line.")
def build(out: Path, as_json: bool) -> None:
    """Build the site of the project, from models built in an empty database that is dropped again."""
    from batuta_cli.stack.docs_site import build_site

    made = build_site(get_settings(), out, steps())
    if as_json:
        click.echo(json.dumps({path.name: str(path) for path in made}))
        return
    for path in made:
        click.echo(path)


@docs.command()
def manifest() -> None:
    """Write dbt's manifest and the lineage of its columns where the project's own is looked for.

    An installation whose home has none yet reads them there: with them in an image nothing is parsed when it starts.
    """
    from batuta_assets.dbt_run import project_manifest
    from batuta_assets.locations import locations

    click.echo(project_manifest(locations(get_settings()), log=steps()))
