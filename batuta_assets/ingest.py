"""Ingest gates: what a run takes from the event log, and whether the product's rows are sound enough to work
from.

Each dataset is a gate of its own: what lies below a gate that fails does not run, for that product only.
"""

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any

import dagster as dg
import psycopg

from batuta.landing.cursors import get_cursor
from batuta.manifests.graph import CompiledAsset, CompiledGraph
from batuta_assets import compat
from batuta_assets.gates import BrokenRules, Violation, broken_rules, raise_horizons, structural_problem
from batuta_assets.order import step_tags
from batuta_assets.partitions import product_days
from batuta_assets.quality.holding import Sources
from batuta_assets.quality.standing import Standing, breaks_metadata, refusal, standing
from batuta_assets.runtime import Runtime
from batuta_assets.scope import Scope, fix_batch, scope_of
from sensors import run_tags
from sensors.jobs import shortened
from sensors.triggers import mark_launched

ROW_RULES = "row_rules"
STRUCTURE = "structure"
CONTRACTS = "contracts"
OWNER = "team:atlas"


@dataclass(frozen=True, slots=True)
class Intake:
    """What a dataset of a product brought since the pipeline's last successful run."""

    after: int
    upto: int
    by_type: Mapping[str, int]
    quarantined: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What all datasets of a product brought, read once for a run, and why the marts may not be read, if so."""

    after: int
    upto: int
    by_type: Mapping[tuple[str, str], Mapping[str, int]]
    quarantined: Mapping[str, int]
    """By connector."""
    problem: str | None

    def of(self, connector: str, dataset: str) -> Intake:
        """The part of one dataset."""
        found = self.by_type.get((connector, dataset), {})
        return Intake(self.after, self.upto, found, self.quarantined.get(connector, 0))


def ingest_asset(
    asset: CompiledAsset,
    graph: CompiledGraph,
    relations: Mapping[str, frozenset[tuple[str, ...]]],
    contracts: Sources = MappingProxyType({}),
) -> dg.AssetsDefinition:
    """The gate of one dataset (`shopify.orders`).

    Args:
        asset: The compiled asset; its dependency on a source names connector and dataset.
        graph: Products and pipelines.
        relations: Source keys by relation, to tell which row rules concern this dataset.
        contracts: Source keys by data contract, to tell which of them do.
    """
    _, connector, dataset = asset.use.split(".", 2)
    key = dg.AssetKey(asset.asset_key)
    concerned = sorted(name for name, sources in relations.items() if (connector, dataset) in sources)
    promised = sorted(
        n for n, sources in contracts.items() if sources is None or (connector, dataset) in sources
    )

    @dg.multi_asset(
        name="__".join(asset.asset_key),
        specs=[
            dg.AssetSpec(
                key=key,
                deps=[dg.AssetKey(dep) for dep in asset.deps],
                description=f"What {connector} {dataset.replace('_', ' ')} bring to a run, "
                "behind the product's row rules.",
                group_name="ingest",
                owners=[OWNER],
                kinds={"python", "timescaledb"},
                metadata={"dagster/table_name": "batuta.events", "pipelines": shortened(asset.pipelines)},
            )
        ],
        check_specs=[
            partitioned_check(
                ROW_RULES,
                key,
                "No row of the product breaks a rule of `batuta_live.live_rule_violations`. "
                f"Relations: {', '.join(concerned) or 'none'}.",
            ),
            partitioned_check(STRUCTURE, key, "The last refresh of the marts passed its structural tests."),
            partitioned_check(
                CONTRACTS,
                key,
                "The product's data keep the contracts of what is made of this dataset, as of the last refresh. "
                f"Contracts: {', '.join(promised) or 'none'}.",
            ),
        ],
        partitions_def=product_days,
        op_tags=step_tags(asset, graph),
    )
    def ingest(context: dg.AssetExecutionContext, runtime: Runtime) -> Iterator[Any]:
        scope = scope_of(context, graph)
        taken = runtime.once((context.run.run_id, "taken"), partial(take, context, runtime, scope))
        found = taken.of(connector, dataset)

        def read() -> Mapping[str, BrokenRules]:
            with runtime.connect("reader") as conn:
                return broken_rules(conn, scope.product.name)

        once = partial(runtime.once, (context.run.run_id, ROW_RULES), read)
        rules = row_rules(once, key, scope.product.name, concerned)
        yield dg.MaterializeResult(
            asset_key=key, metadata=_metadata(found), data_version=dg.DataVersion(str(found.upto))
        )
        yield rules
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=STRUCTURE,
            passed=taken.problem is None,
            description=taken.problem or "the last refresh passed",
        )
        yield contracts_kept(
            partial(runtime.once, (context.run.run_id, CONTRACTS), partial(_standing, runtime, scope)),
            *(key, promised),
        )

    return ingest


def contracts_kept(
    read: Callable[[], Standing], key: dg.AssetKey, contracts: Collection[str]
) -> dg.AssetCheckResult:
    """Whether a product keeps its data contracts; that it cannot be known is a failure, never silence."""
    try:
        found = read()
    except psycopg.Error as error:
        return dg.AssetCheckResult(
            asset_key=key,
            check_name=CONTRACTS,
            passed=False,
            description=f"how the contracts stand could not be read ({type(error).__name__})",
        )
    problem = refusal(found, contracts)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CONTRACTS,
        passed=problem is None,
        description=problem or f"{len(contracts)} contracts are kept",
        metadata=breaks_metadata(found, contracts),
    )


def _standing(runtime: Runtime, scope: Scope) -> Standing:
    with runtime.connect("reader") as conn:
        return standing(conn, scope.product.name)


def partitioned_check(name: str, key: dg.AssetKey, description: str) -> dg.AssetCheckSpec:
    """A blocking check per product and day; the one place that uses partitions of checks, which are in preview."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", compat.PreviewWarning)
        return dg.AssetCheckSpec(
            name, asset=key, description=description, blocking=True, partitions_def=product_days
        )


def take(context: dg.AssetExecutionContext, runtime: Runtime, scope: Scope) -> Taken:
    """Count what a run takes of every dataset: from the pipeline's cursor, moved by its last successful run.

    The trigger's window is recorded as launched, and the product's daily series reach to the run's day.
    """
    upto, product = fix_batch(context, runtime), scope.product.name
    with runtime.connect("writer") as conn:
        raise_horizons(conn, {product: scope.day})
        if (trigger := context.run.tags.get(run_tags.TRIGGER)) is not None:
            mark_launched(conn, trigger, context.run.run_id)
        conn.commit()
        after = pipeline_cursor(conn, scope.pipeline.name, product)
        by_type: dict[tuple[str, str], dict[str, int]] = {}
        for connector, dataset, event_type, count in conn.execute(_BY_TYPE, (product, after, upto)):
            by_type.setdefault((connector, dataset), {})[event_type] = count
        since = conn.execute("select committed_at from batuta.batches where batch = %s", (after,)).fetchone()
        moment = since[0] if since else datetime(1970, 1, 1, tzinfo=UTC)
        quarantined = dict(conn.execute(_QUARANTINED, (product, moment)).fetchall())
        return Taken(after, upto, by_type, quarantined, structural_problem(conn))


def row_rules(
    read: Callable[[], Mapping[str, BrokenRules]], key: dg.AssetKey, product: str, relations: Collection[str]
) -> dg.AssetCheckResult:
    """The product's rows against the row rules; that the rules cannot be read is a failure, never silence."""
    try:
        broken = [found for relation, found in read().items() if relation in relations]
    except psycopg.Error as error:
        return dg.AssetCheckResult(
            asset_key=key,
            check_name=ROW_RULES,
            passed=False,
            description=f"the row rules could not be read ({type(error).__name__}); run refresh_marts first",
        )
    total = sum(found.total for found in broken)
    if not total:
        return dg.AssetCheckResult(
            asset_key=key, check_name=ROW_RULES, passed=True, metadata={"violations": 0}
        )
    first = [violation for found in broken for violation in found.first]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=ROW_RULES,
        passed=False,
        description=f"{total} rows of {product} break a rule; first {first[0].rule} in {first[0].relation}",
        metadata={"violations": total, "rows": dg.MetadataValue.md(_table(first))},
    )


def pipeline_cursor(conn: psycopg.Connection[Any], pipeline: str, product: str) -> int:
    """The batch up to which a pipeline has reported on a product."""
    return int(get_cursor(conn, cursor_name(pipeline), product) or 0)


def cursor_name(pipeline: str) -> str:
    """The consumer under which a pipeline's position is kept."""
    return f"pipeline:{pipeline}"


def _metadata(found: Intake) -> dict[str, Any]:
    listed = "\n".join(f"| `{name}` | {count} |" for name, count in sorted(found.by_type.items()))
    return {
        "events": sum(found.by_type.values()),
        "events_by_type": dg.MetadataValue.md(
            f"| type | events |\n|---|---:|\n{listed}" if listed else "no new events"
        ),
        "quarantined_since": found.quarantined,
        "batch_after": found.after,
        "batch_to": found.upto,
    }


def _table(found: Collection[Violation]) -> str:
    rows = "\n".join(
        f"| {v.rule} | {v.relation} | {v.entity_id} | {v.detail} | {v.event_id or ''} |" for v in found
    )
    return f"| rule | relation | entity | detail | event |\n|---|---|---|---|---|\n{rows}"


_BY_TYPE = """
select connector, dataset, type, count(*) from batuta.events
where product = %s and batch > %s and batch <= %s
group by connector, dataset, type
"""

_QUARANTINED = """
select connector, count(*) from batuta.quarantine
where product = %s and state = 'held' and received_at > %s
group by connector
"""
