"""What the installed code and a project offer to manifests: the argument of the manifest compiler."""

from pathlib import Path

from batuta.events.types import EVENT_TYPES, datasets
from batuta.manifests.catalog import Catalog, RelationInfo
from batuta_agents.catalog import catalog as skill_catalog
from batuta_assets.dbt_manifest import DbtManifest
from batuta_assets.quality.declared import declared
from sensors.connectors import account_forms


def project_catalog(manifest: DbtManifest, dbt_project: Path | None = None) -> Catalog:
    """The catalog of a project whose dbt manifest is given; with its dbt project, places in it can be named."""
    connectors = datasets()
    return Catalog(
        skills=skill_catalog(),
        relations=relations(manifest),
        connectors=connectors,
        event_types=tuple(sorted(EVENT_TYPES)),
        accounts=account_forms(),
        built=declared(manifest, dbt_project or Path("dbt_project")),
    )


def relations(manifest: DbtManifest) -> tuple[RelationInfo, ...]:
    """Every relation that dbt builds, with its asset and the connectors' sources below it."""
    known = {(connector, dataset) for connector, names in datasets().items() for dataset in names}
    return tuple(
        RelationInfo(
            name=model.name,
            asset_key=model.key,
            sources=tuple(sorted("/".join(key) for key in manifest.source_keys[unique_id] if key in known)),
        )
        for unique_id, model in sorted(manifest.models.items())
    )
