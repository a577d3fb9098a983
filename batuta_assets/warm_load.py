"""What the warm process holds ready: modules, definitions, and how each pipeline's run is created.

Reads two files and no database. All it has made is shared, unchanged, by the processes forked from it.
"""

import hashlib
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg

from batuta.manifests.graph import CompiledGraph
from batuta.settings import Settings, get_settings
from batuta_assets import compat
from batuta_assets.locations import BUNDLE_VARIABLE, load_graph, locations
from batuta_assets.sockets import socket_path
from batuta_assets.storage import tables_are_there
from sensors.jobs import pipeline_jobs

LOCATION: Final = "batuta"
MODULE: Final = "batuta_assets.definitions"
ATTRIBUTE: Final = "batuta"
NEEDED: Final = (
    "alembic.config",
    "babel.dates",
    "batuta.reports.publish",
    "batuta_agents.retrieval.embed",
    "batuta_agents.runtime",
    "batuta_assets.coordinator",
    "batuta_assets.listener",
    "batuta_assets.run_worker",
    "dagster._cli.api",
    "dagster._core.execution.run_cancellation_thread",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.instance.runs.run_domain",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dbt.adapters.postgres",
    "dbt.cli.main",
    "fsspec.implementations.local",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "psycopg2.extras",
    "upath.implementations.local",
)
"""What runs import while they work; imported once, here."""


@dataclass(frozen=True, slots=True)
class LaunchableJob:
    """A job, and what a run of it is created from."""

    definition: dg.JobDefinition
    plan: Any
    """Snapshot of its execution plan."""
    code_origin: Any
    remote_origin: Any


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file looked: when it was written, how large it is, what is in it."""

    written_ns: int
    digest: str

    @classmethod
    def of(cls, path: Path, known: "Stamp | None" = None) -> "Stamp":
        """Look at a file; it is read only when it was written since it was `known`."""
        try:
            written = path.stat().st_mtime_ns
            if known is not None and known.written_ns == written:
                return known
            return cls(written, hashlib.sha256(path.read_bytes()).hexdigest())
        except FileNotFoundError:
            return cls(0, "")


@dataclass(slots=True)
class Loaded:
    """The definitions as they were loaded."""

    graph: CompiledGraph
    jobs: Mapping[str, LaunchableJob]
    """The jobs that events start, by name."""
    stamps: dict[Path, Stamp]

    def changed(self) -> bool:
        """Whether the bundle or dbt's manifest is another one than when this was loaded."""
        for path, known in self.stamps.items():
            now = Stamp.of(path, known)
            if now.digest != known.digest:
                return True
            self.stamps[path] = now
        return False

    def work(self, arguments: str) -> int:
        """Run a run, in a process that was forked for it."""
        from batuta_assets.run_worker import work

        return work(arguments)

    def listen(self, ears: int) -> int:
        """Launch runs when events land, in a process that was forked for it."""
        from batuta_assets.listener import listen

        return listen(self, ears)


def load() -> Loaded:
    """Import everything and load the definitions.

    Raises:
        BatutaError: the bundle or the manifest is broken.
    """
    settings = get_settings()
    found = locations(settings, os.environ.get(BUNDLE_VARIABLE))
    stamps = {path: Stamp.of(path) for path in (found.bundle, found.manifest)}
    module = importlib.import_module(MODULE)
    for name in NEEDED:
        importlib.import_module(name)
    recon = compat.ReconstructableRepository(
        compat.ModuleCodePointer(MODULE, ATTRIBUTE, str(Path.cwd())),
        container_image=None,
        executable_path=sys.executable,
        entry_point=["dagster"],
        container_context={},
    )
    repository = recon.get_definition()
    # A run looks its job up by module and attribute: it finds what is loaded and does not load it again.
    setattr(module, ATTRIBUTE, repository)
    if url := os.environ.get("BATUTA_DAGSTER_PG_URL"):
        tables_are_there(url)
    graph = load_graph(found)
    for name in repository.job_names:
        repository.get_job(name)
    names = [job.name for job in pipeline_jobs(graph) if any(p.events for p in job.pipelines)]
    jobs = {name: _launchable(name, recon, repository, settings) for name in names}
    return Loaded(graph, jobs, stamps)


def _launchable(name: str, recon: Any, repository: Any, settings: Settings) -> LaunchableJob:
    job = repository.get_job(name)
    location = compat.GrpcServerCodeLocationOrigin(
        host="localhost", socket=str(socket_path(settings.home, "code")), location_name=LOCATION
    )
    return LaunchableJob(
        definition=job,
        plan=compat.plan_snapshot(job, repository),
        code_origin=recon.get_reconstructable_job(name).get_python_origin(),
        remote_origin=compat.RemoteRepositoryOrigin(location, repository.name).get_job_origin(name),
    )
