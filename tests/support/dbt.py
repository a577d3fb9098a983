"""The dbt manifest of the project as it is now, parsed once and kept beside the project's own target folder."""

from functools import cache
from pathlib import Path

from batuta_assets.dbt_manifest import DbtManifest, read_manifest
from batuta_assets.dbt_run import ensure_manifest
from batuta_assets.locations import Locations

PROJECT = Path(__file__).parents[2]


@cache
def manifest() -> DbtManifest:
    """The manifest of this working tree; parsing it takes seconds, once per change of the project."""
    folder = PROJECT / "dbt_project" / "target" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    found = Locations(bundle=folder / "none.json", dbt_project=PROJECT / "dbt_project", dbt_home=folder)
    return read_manifest(ensure_manifest(found, log=lambda _line: None))
