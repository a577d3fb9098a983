"""Dagster's home under ours: its instance file, its workspace, and the environment its processes need."""

import shutil
from pathlib import Path

from batuta.errors import BatutaError
from batuta.settings import Settings
from batuta.warehouse.connection import dagster_url, dbt_environment
from batuta_assets import sockets

LOCATION = "batuta"
MODULE = "batuta_assets.definitions"


def prepare(settings: Settings) -> Path:
    """Write DAGSTER_HOME; its path."""
    source = settings.project / "deploy" / "dagster.yaml"
    if not source.is_file():
        raise BatutaError(
            f"{source} is missing: {settings.project} is not a BATUTA project",
            hint="Run inside the project folder, or name it with BATUTA_PROJECT.",
        )
    folder = settings.home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / "dagster.yaml")
    server = f"{{socket: {socket_path(settings.home)}, location_name: {LOCATION}}}"
    workspace_path(settings.home).write_text(f"load_from:\n  - grpc_server: {server}\n", encoding="utf-8")
    return folder


def workspace_path(home: Path) -> Path:
    """The workspace that names the code server's socket."""
    return home / "dagster" / "workspace.yaml"


def socket_path(home: Path) -> Path:
    """The code server's socket."""
    return sockets.socket_path(home, "code")


def environment(settings: Settings, url: str) -> dict[str, str]:
    """Variables for every process that works with Dagster, dbt or the warehouse at `url`."""
    return {
        **dbt_environment(url),
        "BATUTA_PROJECT": str(settings.project),
        "BATUTA_HOME": str(settings.home),
        "BATUTA_DATABASE_URL": url,
        "BATUTA_DAGSTER_PG_URL": dagster_url(url),
        # The events that announce a run's assets are one transaction (`batuta_assets/storage.py`).
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        # A tick that waits for slow vendors holds a thread of both servers; small machines have few by default.
        "DAGSTER_CODE_SERVER_MAX_WORKERS": "32",
        "DAGSTER_GRPC_MAX_WORKERS": "32",
        "DAGSTER_HOME": str(settings.home / "dagster"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
