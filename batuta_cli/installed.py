"""What is installed here, for commands that check manifests against it."""

from batuta.manifests.catalog import Catalog
from batuta.settings import Settings
from batuta.warehouse.binaries import Progress


def installed_catalog(settings: Settings, progress: Progress) -> Catalog:
    """Skills, relations, connectors and event types of this installation; reads the dbt project anew if it changed."""
    from batuta_assets.catalog import project_catalog
    from batuta_assets.dbt_manifest import read_manifest
    from batuta_assets.dbt_run import ensure_manifest
    from batuta_assets.locations import locations

    found = locations(settings)
    if not found.manifest.is_file():
        progress("reading the dbt project")
    manifest = read_manifest(ensure_manifest(found, log=lambda _line: None))
    return project_catalog(manifest, found.dbt_project)
