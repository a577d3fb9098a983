"""Runs dbt in this process, so that it dies with the run, and keeps the manifest that definitions are made
of.

dbt takes seconds to import: it is imported when it is called, never before.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from batuta.errors import BatutaError
from batuta.warehouse.connection import dbt_environment
from batuta_assets.locations import Locations

Status: TypeAlias = Literal["success", "pass", "warn", "fail", "error", "skipped", "partial success"]
RESULT_EVENTS = frozenset(
    {"LogModelResult", "LogSeedResult", "LogSnapshotResult", "LogTestResult", "LogNodeResult"}
)
DATA_NODES = tuple(
    part for kind in ("model", "seed", "snapshot", "test") for part in ("--resource-type", kind)
)
OFFLINE = ("--no-introspect", "--no-populate-cache", "--select", "resource_type:model")
"""Compiling without a database: `is_incremental` says no then."""
SQL_OF_NODES = ("compiled_code", "raw_code", "extra_ctes")
STAMP = "manifest.stamp"
QUIET = ("--quiet", "--log-level", "none", "--log-level-file", "info")


class DbtFailed(BatutaError):
    """dbt could not do its work at all (as opposed to a model or test that failed)."""


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of one model or test."""

    unique_id: str
    status: Status
    message: str
    failures: int
    rows: int | None
    seconds: float

    @property
    def ok(self) -> bool:
        """Built, or passed; a warning is not a failure."""
        return self.status in {"success", "pass", "warn"}


def build(
    found: Locations,
    url: str,
    *,
    select: Sequence[str] = (),
    selector: str = "",
    anew: bool = False,
    log: Callable[[str], None],
) -> list[NodeResult]:
    """Build and test nodes by name, or those of a selector of `selectors.yml`; a line to `log` per finished node.

    Unit tests are left to the checks on every change: they say nothing about data. With `anew` tables are made from
    nothing: what is recorded was made by other models, and need not even have the same columns.

    Raises:
        DbtFailed: dbt did not get to the nodes.
    """
    if not select and not selector:
        return []
    chosen = ["--selector", selector] if selector else ["--select", *select]
    arguments = ["build", *DATA_NODES, "--no-write-json", *chosen]
    if anew:
        # Views that go with what they stand on lock one another: two at a time may wait for each other for good.
        arguments += ["--full-refresh", "--threads", "1"]
    return _invoke(found, arguments, dbt_environment(url), log)


def ensure_manifest(found: Locations, *, log: Callable[[str], None]) -> Path:
    """The manifest of the project as it is now, with the lineage of its columns beside it.

    Both are made anew where a file of the project has changed since. No database is asked.
    """
    from filelock import FileLock

    if not (found.dbt_project / "dbt_project.yml").is_file():
        raise DbtFailed(
            f"there is no dbt project at {found.dbt_project}",
            hint="Run inside the project folder, or name it with BATUTA_PROJECT.",
        )
    stamp, manifest = found.dbt_home / STAMP, found.dbt_home / "manifest.json"
    digest = project_digest(found.dbt_project)
    found.dbt_home.mkdir(parents=True, exist_ok=True)
    with FileLock(found.dbt_home / "parse.lock"):
        if manifest.is_file() and stamp.is_file() and stamp.read_text(encoding="ascii") == digest:
            return manifest
        stamp.unlink(missing_ok=True)
        _invoke(found, ["compile", *OFFLINE], {}, log)
        bake(found.dbt_home / "target" / "manifest.json", manifest, log)
        stamp.write_text(digest, encoding="ascii")
    return manifest


def project_manifest(found: Locations, *, log: Callable[[str], None]) -> Path:
    """The manifest that comes with the project, for installations whose home has none: `target` of the project."""
    return ensure_manifest(replace(found, dbt_home=found.dbt_project / "target"), log=log)


def bake(compiled: Path, manifest: Path, log: Callable[[str], None]) -> None:
    """Make our manifest of dbt's: what loading needs, without the SQL, whose columns' lineage is kept beside it."""
    from batuta_assets.column_lineage import column_lineage, write_lineage

    document = json.loads(compiled.read_bytes())
    write_lineage(manifest, column_lineage(document, log))
    waiting = manifest.with_suffix(".new")
    waiting.write_text(json.dumps(_slim(document), separators=(",", ":")), encoding="utf-8")
    waiting.replace(manifest)


def _slim(document: dict[str, Any]) -> dict[str, Any]:
    kept = ("metadata", "nodes", "sources", "macros", "exposures", "groups")
    found = {name: document[name] for name in kept}
    for node in found["nodes"].values():
        for name in SQL_OF_NODES:
            node.pop(name, None)
    return found


def _invoke(
    found: Locations, arguments: Sequence[str], environment: Mapping[str, str], log: Callable[[str], None]
) -> list[NodeResult]:
    from dbt.cli.main import dbtRunner

    def on_event(event: Any) -> None:
        if event.info.name in RESULT_EVENTS or event.info.level == "error":
            log(event.info.msg.strip())

    found.dbt_home.mkdir(parents=True, exist_ok=True)
    folders = {
        "--project-dir": found.dbt_project,
        "--profiles-dir": found.dbt_project,
        "--target-path": found.dbt_home / "target",
        "--log-path": found.dbt_home / "logs",
    }
    options = [part for name, folder in folders.items() for part in (name, str(folder))]
    with _environment(environment):
        outcome = dbtRunner(callbacks=[on_event]).invoke([*arguments, *QUIET, *options])
    results = getattr(outcome.result, "results", None)
    if results is None and (outcome.exception or not outcome.success):
        raise DbtFailed(
            f"dbt {arguments[0]} failed: {outcome.exception or 'see its log'}",
            hint=f"See the log in {folders['--log-path']}.",
        )
    return [_result(item) for item in results or ()]


def _result(item: Any) -> NodeResult:
    rows = (item.adapter_response or {}).get("rows_affected")
    return NodeResult(
        unique_id=item.node.unique_id,
        status=str(item.status),  # type: ignore[arg-type]
        message=item.message or "",
        failures=item.failures or 0,
        rows=rows if isinstance(rows, int) and rows >= 0 else None,
        seconds=item.execution_time,
    )


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def project_digest(project: Path) -> str:
    """Digest of everything dbt parses."""
    skipped = {"target", "logs", "dbt_packages"}
    files = sorted(
        p for p in project.rglob("*") if p.is_file() and not skipped & set(p.relative_to(project).parts)
    )
    listed = [(str(p.relative_to(project)), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
