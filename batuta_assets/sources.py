"""Source assets: the connectors' data and the registry's tables as the graph's left edge. External; only
specs.

The connectors' sensors report what changes; nothing here is ever run.
"""

from collections.abc import Mapping
from typing import Final

import dagster as dg

from batuta.events.types import ROWS, datasets
from batuta_assets.partitions import products

OWNER: Final = "team:atlas"
VENDORS: Final[Mapping[str, str]] = {
    "shopify": "Shopify webhooks",
    "github": "GitHub webhooks",
    "events": "CloudEvents posted to the gateway",
}
REGISTRY: Final[Mapping[str, str]] = {
    "products": "Currency, time zone and locale of every product, written by `batuta apply`.",
    "horizons": "The day up to which each product's daily series reach; moved by schedules and runs.",
    "batches": "One row per committed landing; number order is commit order.",
}


def source_specs() -> list[dg.AssetSpec]:
    """One spec per dataset of a connector, partitioned by product, and one per registry table."""
    found = [_dataset(connector, name) for connector, names in datasets().items() for name in names]
    return found + [_registry(table, text) for table, text in REGISTRY.items()]


def _dataset(connector: str, dataset: str) -> dg.AssetSpec:
    types = sorted({row.type for row in ROWS if (row.connector, row.dataset) == (connector, dataset)})
    listed = ", ".join(f"`{name}`" for name in types) or "every type the project has a contract for"
    return dg.AssetSpec(
        key=[connector, dataset],
        description=f"{VENDORS.get(connector, connector)}: {dataset.replace('_', ' ')}, masked. {listed}.",
        group_name=connector,
        owners=[OWNER],
        kinds={connector if connector != "events" else "http", "timescaledb"},
        partitions_def=products,
        metadata={
            "dagster/table_name": "batuta.events",
            "filter": f"connector = '{connector}' and dataset = '{dataset}'",
            "event_types": dg.MetadataValue.json(types),
        },
    )


def _registry(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["registry", table],
        description=description,
        group_name="registry",
        owners=[OWNER],
        kinds={"postgres"},
        metadata={"dagster/table_name": f"batuta.{table}"},
    )
