"""Reports as assets: the page of a product's day, published and delivered; the last step of a pipeline."""

from typing import Any

import dagster as dg

from batuta.manifests.graph import CompiledAsset, CompiledGraph
from batuta_assets.partitions import product_days
from batuta_assets.runtime import Runtime
from batuta_assets.scope import fix_batch, scope_of


def report_asset(asset: CompiledAsset, graph: CompiledGraph) -> dg.AssetsDefinition:
    """The report of a family of pipelines (`daily_review`)."""

    @dg.asset(
        key=dg.AssetKey(asset.asset_key),
        deps=[dg.AssetKey(dep) for dep in asset.deps],
        description=f"The report of {', '.join(asset.pipelines)}: one page per product and day.",
        group_name="reports",
        owners=["team:sigma", "team:vox"],
        kinds={"python", "html"},
        partitions_def=product_days,
        metadata={"dagster/table_name": "batuta.reports"},
    )
    def report(context: dg.AssetExecutionContext, runtime: Runtime) -> dg.MaterializeResult[Any]:
        from batuta.reports.publish import publish

        scope = scope_of(context, graph)
        with runtime.connect("writer") as conn:
            batch = fix_batch(context, conn)
        raise NotImplementedError(publish, batch, scope)

    return report
