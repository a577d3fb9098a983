"""`batuta schema`: JSON Schemas for editors, CRDs for Kubernetes, and the table of settings."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from batuta.errors import BatutaError
from batuta.manifests.crd import crd_file_name, crd_yaml
from batuta.manifests.models import FORMS
from batuta.manifests.schemas import editor_schema, editor_schema_of_all
from batuta.settings import describe

_out = click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write files into this folder."
)


@click.group()
def schema() -> None:
    """Print JSON Schemas, CRDs and the settings table."""


@schema.command("json")
@click.argument("kind", type=click.Choice(tuple(FORMS), case_sensitive=False), required=False)
@_out
def json_schema(kind: str | None, out: Path | None) -> None:
    """JSON Schema of one KIND of manifest, or of any manifest, for editors."""
    if out is not None:
        _write(out, json_files())
        return
    found = editor_schema(kind) if kind else editor_schema_of_all()
    click.echo(json.dumps(found, ensure_ascii=False, indent=2))


@schema.command("crd")
@_out
def crd(out: Path | None) -> None:
    """CustomResourceDefinitions of all kinds, as YAML."""
    if out is not None:
        _write(out, crd_files())
        return
    click.echo("---\n".join(crd_files().values()), nl=False)


@schema.command("settings")
def settings() -> None:
    """Every setting with its default and meaning, as a Markdown table."""
    click.echo("| setting | default | meaning |\n|---|---|---|")
    for name, default, meaning in describe():
        click.echo(f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |")


def json_files() -> Mapping[str, str]:
    """The editor schemas by file name."""
    schemas = {"manifest.json": editor_schema_of_all()}
    schemas |= {f"{kind.lower()}.json": editor_schema(kind) for kind in FORMS}
    return {name: json.dumps(found, ensure_ascii=False, indent=2) + "\n" for name, found in schemas.items()}


def crd_files() -> Mapping[str, str]:
    """The CRDs by file name."""
    return {crd_file_name(kind): crd_yaml(kind) for kind in FORMS}


def _write(folder: Path, files: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
            click.echo(str(folder / name))
    except OSError as error:
        raise BatutaError(
            f"cannot write into {folder}: {error.strerror}", hint="name another folder"
        ) from error
