"""Source assets: the connectors' data and accounts, and the registry's tables, as the graph's left edge. External;
only specs.

The connectors' sensors report what changes; nothing here is ever run.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Final

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from batuta.contracts.contract import Contracts
from batuta.events.types import ROWS, EventType, datasets
from batuta.manifests.graph import CompiledGraph
from batuta_assets.partitions import products
from batuta_assets.source_columns import column_schema

OWNER: Final = "team:atlas"
ACCOUNTS: Final = "accounts"
"""The asset of a connector's accounts: what is known of them, and the checks that concern them all."""

VENDORS: Final[Mapping[str, str]] = {
    "shopify": "Shopify",
    "github": "GitHub",
    "email": "E-mail over IMAP and Microsoft Graph",
    "onedrive": "OneDrive over Microsoft Graph",
    "whatsapp": "WhatsApp Cloud API",
    "obsidian": "Obsidian vaults",
    "notion": "Notion",
    "events": "CloudEvents over HTTP and Kafka",
}
KINDS: Final[Mapping[str, str]] = {
    "shopify": "shopify",
    "github": "github",
    "email": "email",
    "onedrive": "microsoft",
    "whatsapp": "whatsapp",
    "obsidian": "markdown",
    "notion": "notion",
    "events": "http",
}
FRESH_WITHIN: Final[Mapping[str, timedelta]] = {
    "shopify": timedelta(days=7),
    "github": timedelta(days=14),
    "email": timedelta(days=7),
    "onedrive": timedelta(days=14),
    "whatsapp": timedelta(days=7),
    "obsidian": timedelta(days=14),
    "notion": timedelta(days=14),
}
"""After how long without news a connector's data is not fresh, where no account says (`freshWithin`)."""
SELDOM: Final = frozenset({"customer_merges", "deployments", "other", "privacy", "releases", "shop"})
"""Datasets that may well bring nothing for months: fresh by no clock unless an account says so."""

REGISTRY: Final[Mapping[str, str]] = {
    "products": "Currency, time zone and locale of every product, written by `batuta apply`.",
    "horizons": "The day up to which each product's daily series reach; moved by schedules and runs.",
    "batches": "One row per committed landing; number order is commit order.",
}


PLATFORM: Final[Mapping[str, str]] = {
    "runs": "One row per Dagster run that has ended; written by the sensor `platform_facts`.",
    "steps": "One row per step of a recorded run.",
    "due": "One row per pipeline, product and scheduled instant.",
    "skill_runs": "One row per skill run; written by the skill runtime.",
    "model_usage": "Tokens that language models used, by skill run.",
    "classifications": "Verdicts of classifiers, one row per change of verdict.",
    "storage": "What is stored, by day and part; written by the job `measure_storage`.",
    "connector_hours": "Polls and deliveries by hour; written by polls and by the gateway.",
    "pages": "One row per page that was fetched, with what became of its records.",
    "intake": "What landed, was a duplicate, was held or left out, by hour; written by landing.",
    "objectives": "What is promised of pipelines and connectors; written by `batuta apply`.",
    "registered": "Every version of what is registered; written by `batuta apply`.",
    "landings": "One row per committed landing, with the way it came.",
    "events": "The whole event log, of every connector.",
}
"""Facts about the platform by source name, as dbt calls them."""
PLATFORM_TABLES: Final[Mapping[str, str]] = {
    "runs": "pipeline_runs",
    "steps": "pipeline_steps",
    "due": "due_publications",
    "storage": "storage_days",
    "pages": "completeness",
    "intake": "intake_counts",
    "registered": "registry",
    "landings": "batches",
}
"""Their tables, where they are called otherwise."""


def source_specs(graph: CompiledGraph, contracts: Contracts) -> Iterator[dg.AssetSpec]:
    """One spec per dataset of a connector and one for its accounts, by product, and one per registry table."""
    for connector, names in datasets().items():
        yield _accounts(connector)
        promised = promised_freshness(graph, connector)
        for name in names:
            default = None if name in SELDOM else FRESH_WITHIN.get(connector)
            yield _dataset(connector, name, contracts, promised or default)
    for table, text in REGISTRY.items():
        yield _registry("registry", table, table, text)
    for name, text in PLATFORM.items():
        yield _registry("platform", name, PLATFORM_TABLES.get(name, name), text)


def promised_freshness(graph: CompiledGraph, connector: str) -> timedelta | None:
    """The shortest `freshWithin` of a connector's accounts, if any has one."""
    bindings = (b for product in graph.products for b in product.connectors if b.type == connector)
    found = [d for b in bindings if (d := _duration(b.settings.get("freshWithin"))) is not None]
    return min(found, default=None)


def _duration(value: object) -> timedelta | None:
    try:
        return None if value is None else TypeAdapter(timedelta).validate_python(value)
    except ValidationError:
        return None


def _dataset(connector: str, dataset: str, contracts: Contracts, fresh: timedelta | None) -> dg.AssetSpec:
    rows = [row for row in ROWS if (row.connector, row.dataset) == (connector, dataset)]
    schema = column_schema(contracts, list(dict.fromkeys(row.contract for row in rows)))
    return dg.AssetSpec(
        key=[connector, dataset],
        deps=[dg.AssetKey([connector, ACCOUNTS])],
        description=_described(connector, dataset, rows),
        group_name=connector,
        owners=[OWNER],
        kinds={KINDS.get(connector, connector), "timescaledb"},
        partitions_def=products,
        freshness_policy=None if fresh is None else freshness(fresh),
        metadata={
            "dagster/table_name": "batuta.events",
            "filter": f"connector = '{connector}' and dataset = '{dataset}'",
            "event_types": dg.MetadataValue.json(sorted({row.type for row in rows})),
            "documentation": dg.MetadataValue.path(f"docs/connectors/{connector}.md"),
            **({"dagster/column_schema": schema} if schema is not None else {}),
        },
    )


def freshness(within: timedelta) -> dg.FreshnessPolicy:
    """Stale after `within`; a warning when two thirds of it have passed."""
    return dg.FreshnessPolicy.time_window(fail_window=within, warn_window=within * 2 / 3)


def _described(connector: str, dataset: str, rows: Iterable[EventType]) -> str:
    """What the dataset is, and the table of its types."""
    vendor = VENDORS.get(connector, connector)
    head = f"{vendor}: {dataset.replace('_', ' ')}, personal data masked before the first write."
    lines = [
        f"| `{row.type}` | {row.vendor_name} | {row.subject} | {row.id} | {row.time} |"
        for row in sorted(rows, key=lambda row: row.type)
    ]
    if not lines:
        return f"{head} Every type that the project has a contract for and no other dataset takes."
    table = "\n".join(("| type | comes from | subject | id | time |", "|---|---|---|---|---|", *lines))
    return f"{head}\n\n{table}"


def _accounts(connector: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=[connector, ACCOUNTS],
        description=f"{VENDORS.get(connector, connector)}: the accounts that products are bound to; whether they are "
        "polled, whether their push channels stand, and whether everything they gave is accounted for.",
        group_name=connector,
        owners=[OWNER],
        kinds={KINDS.get(connector, connector)},
        partitions_def=products,
        metadata={
            "dagster/table_name": "batuta.accounts",
            "filter": f"connector = '{connector}'",
            "documentation": dg.MetadataValue.path(f"docs/connectors/{connector}.md"),
        },
    )


def _registry(group: str, name: str, table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=[group, name],
        description=description,
        group_name=group,
        owners=[OWNER],
        kinds={"postgres"},
        metadata={"dagster/table_name": f"batuta.{table}"},
    )
