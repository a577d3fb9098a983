"""The dbt documentation site: one self-contained page, made anew when project or database changed.

It is about data: macros, ours and dbt's, are written about where they are, and not shown.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg

from batuta.errors import BatutaError
from batuta.settings import Settings
from batuta.warehouse.binaries import Progress
from batuta.warehouse.connection import dbt_environment

SKIPPED = frozenset({"target", "logs", "dbt_packages"})
SEEDS_AND_MODELS: Final = ("--resource-type", "seed", "--resource-type", "model")
SITE: Final = ("index.html", "manifest.json", "catalog.json")
"""What is published. Results of runs are not: they say nothing of the project."""
PLACEHOLDER = """<!doctype html><meta charset="utf-8"><title>BATUTA: data documentation</title>
<p>The documentation could not be made. See <code>{log}</code>.</p>
"""


class DocsFailed(BatutaError):
    """dbt could not make the documentation."""


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
    command += ["--project-dir", str(project), "--profiles-dir", str(project)]
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


def build_site(settings: Settings, out: Path, progress: Progress) -> tuple[Path, ...]:
    """Build the site in a folder of its own, from models built in an empty database.

    Returns:
        The page, dbt's manifest and dbt's catalog.

    Raises:
        DocsFailed: dbt could not make them.
    """
    from batuta.warehouse.database import ensure_database
    from batuta_cli.bench.scratch import scratch_database

    with TemporaryDirectory(prefix="batuta-docs-") as folder_name:
        target = Path(folder_name)
        with scratch_database(ensure_database(settings, progress)) as url:
            for command, words in (
                (["build", *SEEDS_AND_MODELS], "building the models"),
                (["docs", "generate"], "writing the site"),
            ):
                progress(words)
                _dbt(settings, command, target, dbt_environment(url))
        out.mkdir(parents=True, exist_ok=True)
        (out / "index.html").write_text(page(target), encoding="utf-8")
        (out / "manifest.json").write_text(json.dumps(_manifest(target)), encoding="utf-8")
        shutil.copyfile(target / "catalog.json", out / "catalog.json")
    return tuple(out / name for name in SITE)


def page(target: Path) -> str:
    """dbt's page with what `dbt docs generate` wrote to `target` in it: it needs no other file."""
    manifest = _manifest(target)
    html = (target / "index.html").read_text(encoding="utf-8")
    catalog = json.loads((target / "catalog.json").read_bytes())
    for name, document in (("MANIFEST", manifest), ("CATALOG", catalog)):
        placeholder = f'"{name}.JSON INLINE DATA"'
        if html.count(placeholder) != 1:
            raise DocsFailed(f"dbt's page has no place for {name.lower()}.json", hint="See docs_site.page.")
        html = html.replace(placeholder, json.dumps(document, separators=(",", ":")).replace("</", r"<\/"))
    return html


def _manifest(target: Path) -> dict[str, Any]:
    """dbt's manifest without paths of this machine, without macros, and with the KPIs told where they are listed."""
    manifest = json.loads((target / "manifest.json").read_bytes())
    for node in manifest["nodes"].values():
        node.pop("compiled_path", None)
        node.pop("build_path", None)
        if catalogue := node.get("config", {}).get("meta", {}).get("kpis"):
            node["description"] = f"{node.get('description') or ''}\n\n{kpi_table(catalogue)}"
    for macro in manifest["macros"].values():
        macro["docs"] = {**macro.get("docs", {}), "show": False}
    return manifest


def kpi_table(catalogue: Mapping[str, Mapping[str, Any]]) -> str:
    """The catalogue of KPIs as a table in Markdown, a row each: what it is called, counted in, and made of."""
    rows = ["| KPI | | unit | window | owner | definition |", "|---|---|---|---|---|---|"]
    for name, kpi in catalogue.items():
        cells = (
            name,
            kpi["title"]["en"],
            kpi["unit"],
            kpi["window"],
            kpi["owner"],
            kpi["definition"]["en"],
        )
        rows.append(f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |")
    return "\n".join(rows)


def _dbt(settings: Settings, command: list[str], target: Path, environment: Mapping[str, str]) -> None:
    project = str(settings.project / "dbt_project")
    folders = ["--project-dir", project, "--profiles-dir", project, "--target-path", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "--log-path", str(target), "--quiet", *command, *folders],
        env={**os.environ, **environment},
        cwd=settings.project,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DocsFailed(
            f"dbt {command[0]} failed: {(done.stdout + done.stderr).strip()[-1500:]}",
            hint="Try `dbt build` in dbt_project.",
        )


def publish(settings: Settings, made_for: str) -> None:
    """Put the page that `generate` made in its place."""
    index = folder(settings) / "index.html"
    draft = index.with_suffix(".new")
    draft.write_text(page(_target(settings)), encoding="utf-8")
    draft.replace(index)
    (folder(settings) / "stamp").write_text(made_for, encoding="ascii")


def _target(settings: Settings) -> Path:
    return settings.home / "dbt" / "docs"


def _log(settings: Settings) -> Path:
    return settings.home / "logs" / "docs-generate.log"
