"""Where the code location finds what it is made of. Files only: no database, no network, no secrets."""

from dataclasses import dataclass
from pathlib import Path

from batuta.manifests.bundle import BundleError, bundle_path, read_bundle
from batuta.manifests.graph import CompiledGraph
from batuta.settings import Settings

BUNDLE_VARIABLE = "BATUTA_BUNDLE"


@dataclass(frozen=True, slots=True)
class Locations:
    """The files of one installation."""

    bundle: Path
    dbt_project: Path
    dbt_home: Path
    """Where our copy of dbt's manifest is, and below it dbt's target and log folders."""

    @property
    def manifest(self) -> Path:
        """dbt's manifest: ours, else the one that came with the project."""
        own = self.dbt_home / "manifest.json"
        return own if own.is_file() else self.dbt_project / "target" / "manifest.json"


def locations(settings: Settings, bundle: str | None = None) -> Locations:
    """The files of an installation; `bundle` names another bundle than the one in force."""
    return Locations(
        bundle=Path(bundle) if bundle else bundle_path(settings.home),
        dbt_project=settings.project / "dbt_project",
        dbt_home=settings.home / "dbt",
    )


def load_graph(found: Locations) -> CompiledGraph:
    """The compiled graph in force; without a bundle, one without products.

    Raises:
        BundleError: there is a bundle, and it is broken.
    """
    try:
        return read_bundle(found.bundle)
    except BundleError:
        if found.bundle.exists():
            raise
        return CompiledGraph()
