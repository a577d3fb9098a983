"""The dbt documentation site: one self-contained page, made anew when project or database changed."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg

from batuta.settings import Settings

SKIPPED = frozenset({"target", "logs", "dbt_packages"})
PLACEHOLDER = """<!doctype html><meta charset="utf-8"><title>BATUTA: data documentation</title>
<p>The documentation could not be made. See <code>{log}</code>.</p>
"""


def folder(settings: Settings) -> Path:
    """What the static server serves."""
    return settings.home / "docs"


def prepare(settings: Settings) -> None:
    """Make sure there is a page to serve."""
    index = folder(settings) / "index.html"
    if not index.exists():
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text(PLACEHOLDER.format(log=_log(settings)), encoding="utf-8")


def stamp(settings: Settings, url: str) -> str:
    """Changes when the page must be made anew."""
    project = settings.project / "dbt_project"
    digest = hashlib.sha256()
    for path in sorted(project.rglob("*")):
        if path.is_file() and not SKIPPED & set(path.relative_to(project).parts):
            digest.update(str(path.relative_to(project)).encode())
            digest.update(path.read_bytes())
    with psycopg.connect(url, connect_timeout=10) as connection:
        rows = connection.execute(
            "select oid::text from pg_namespace where nspname like 'batuta\\_%' order by oid"
        )
        digest.update(repr(rows.fetchall()).encode())
    return digest.hexdigest()


def is_current(settings: Settings, wanted: str) -> bool:
    """Whether the page there is was made for this stamp."""
    try:
        return (folder(settings) / "stamp").read_text(encoding="ascii") == wanted
    except OSError:
        return False


def generate(settings: Settings, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Begin to make the page, in a process of its own."""
    project = settings.project / "dbt_project"
    command = [
        sys.executable,
        "-m",
        "dbt.cli.main",
        "--log-path",
        str(settings.home / "logs"),
        "docs",
        "generate",
    ]
    command += ["--static", "--project-dir", str(project), "--profiles-dir", str(project)]
    command += ["--target-path", str(_target(settings))]
    _log(settings).parent.mkdir(parents=True, exist_ok=True)
    with _log(settings).open("ab") as output:
        return subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=settings.project,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def publish(settings: Settings, made_for: str) -> None:
    """Put the page that `generate` made in its place."""
    index = folder(settings) / "index.html"
    draft = index.with_suffix(".new")
    shutil.copyfile(_target(settings) / "static_index.html", draft)
    draft.replace(index)
    (folder(settings) / "stamp").write_text(made_for, encoding="ascii")


def _target(settings: Settings) -> Path:
    return settings.home / "dbt" / "docs"


def _log(settings: Settings) -> Path:
    return settings.home / "logs" / "docs-generate.log"
