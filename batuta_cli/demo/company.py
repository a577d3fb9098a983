"""The example company on this machine: its secrets, its manifests, and its vendors' deliveries, made once and kept."""

import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from batuta.errors import BatutaError
from batuta.landing.land import Landing
from batuta.landing.model import LandingCounts
from batuta.manifests.graph import CompiledGraph
from batuta.manifests.project import check_path
from batuta.registry import apply
from batuta.settings import Settings
from batuta.warehouse.connection import connect
from batuta_cli.dagster_reload import reload_code_location
from batuta_cli.ingestion import Source, ingest_files
from batuta_cli.installed import installed_catalog

AS_OF = date(2025, 11, 12)
"""The last day of the example; every figure of the demo is as of it."""
EXAMPLE = Path("examples") / "arcsat"
STAMP = "made-from"

Progress = Callable[[str], None]


class DemoFailed(BatutaError):
    """The demo could not go on."""


@dataclass(frozen=True, slots=True)
class DeliveryFile:
    """The captured deliveries of one product and connector, with how many there are."""

    product: str
    connector: str
    path: Path
    deliveries: int


def apply_manifests(settings: Settings, url: str, progress: Progress) -> CompiledGraph:
    """Register the example's manifests and put their bundle in force.

    Raises:
        DemoFailed: they have errors, which means that the example was edited.
    """
    folder = settings.project / EXAMPLE
    checked = check_path(folder, installed_catalog(settings, progress))
    if checked.errors:
        raise DemoFailed("\n".join(map(str, checked.errors)), hint=f"Mend {folder}.")
    with connect(url, "owner") as conn:
        applied = apply(
            conn,
            checked.documents,
            checked.catalog,
            home=settings.home,
            now=datetime.now(UTC),
            project=checked.project,
        )
    changed = sum(change.action != "unchanged" for change in (*applied.changes, *applied.contracts))
    progress(f"manifests and contracts: {changed or 'nothing'} changed")
    if changed:
        reload_code_location(settings.dagster_port)
    return applied.graph


def make_secrets(settings: Settings) -> None:
    """Make up the keys that the example's vendors sign with, where they are missing."""
    settings.secrets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for product in ("arcsat", "lojablock"):
        for connector in ("shopify", "github", "events"):
            path = settings.secrets_dir / f"{product}-{connector}"
            if not path.exists():
                draft = path.with_suffix(".new")
                draft.touch(mode=0o600)
                draft.write_text(secrets.token_hex(32), encoding="ascii")
                draft.replace(path)


def deliveries(settings: Settings, scale: str, progress: Progress) -> list[DeliveryFile]:
    """The vendors' deliveries: made by the example's generator, anew only when it or the keys have changed."""
    folder = settings.home / "demo" / scale
    stamp = folder / STAMP
    wanted = _made_from(settings, scale)
    if not stamp.is_file() or stamp.read_text(encoding="ascii") != wanted:
        progress("making the vendors' deliveries: ninety days of two shops")
        folder.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        script = settings.project / EXAMPLE / "generate.py"
        options = ["--out", str(folder), "--secrets", str(settings.secrets_dir), "--scale", scale]
        made = subprocess.run(
            [sys.executable, str(script), *options], capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise DemoFailed(f"{script} failed: {made.stderr.strip()[-500:]}")
        stamp.write_text(wanted, encoding="ascii")
    listed = json.loads((folder / "manifest.json").read_bytes())["files"]
    return [_delivery_file(folder, entry) for entry in listed]


def land(
    settings: Settings, url: str, files: list[DeliveryFile], progress: Progress
) -> dict[str, LandingCounts]:
    """Land every file through its connector, signatures checked; counts by product."""
    landing = Landing.open(settings, lambda: datetime.now(UTC))
    counts: dict[str, LandingCounts] = {}
    with connect(url, "writer", application="batuta demo") as conn:
        for file in files:
            progress(f"landing {file.deliveries:,} deliveries of {file.product}/{file.connector}")
            source = Source(file.connector, file.product)
            result = ingest_files(settings, landing, conn, [str(file.path)], source)
            counts[file.product] = counts.get(file.product, LandingCounts()) + result.counts
    return counts


def _delivery_file(folder: Path, entry: dict[str, object]) -> DeliveryFile:
    fates = ("landed", "duplicate", "quarantined", "filtered")
    return DeliveryFile(
        product=str(entry["product"]),
        connector=str(entry["connector"]),
        path=folder / str(entry["path"]),
        deliveries=sum(int(str(entry[fate])) for fate in fates),
    )


def _made_from(settings: Settings, scale: str) -> str:
    """Digest of what the deliveries are made from: the generator, the keys, the scale."""
    digest = hashlib.sha256(scale.encode())
    sources = sorted((settings.project / EXAMPLE).rglob("*.py"))
    for path in [*sources, *sorted(settings.secrets_dir.glob("*-*"))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Hold the demo's lock, which the system frees when this process ends, however it ends.

    Raises:
        DemoFailed: another demo holds it.
    """
    from filelock import FileLock, Timeout

    path = settings.home / "run" / "demo.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise DemoFailed("another `batuta demo` is running", hint="Wait for it to end.") from None
    try:
        yield
    finally:
        lock.release()
