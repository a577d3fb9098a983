"""`vector.embed` as an asset: the texts of a product, embedded as they come."""

from typing import Any

import dagster as dg

from batuta.manifests.graph import CompiledAsset, CompiledGraph
from batuta_assets.order import step_tags
from batuta_assets.partitions import product_days
from batuta_assets.runtime import Runtime
from batuta_assets.scope import fix_batch, scope_of


def vector_asset(asset: CompiledAsset, graph: CompiledGraph) -> dg.AssetsDefinition:
    """The embeddings of a product, up to the run's batch."""

    @dg.asset(
        key=dg.AssetKey(asset.asset_key),
        deps=[dg.AssetKey(dep) for dep in asset.deps],
        description="Embeddings of products, pull requests, releases, issues and survey answers.",
        group_name="agents",
        owners=["team:atlas"],
        kinds={"python", "pgvector"},
        partitions_def=product_days,
        op_tags=step_tags(asset, graph),
        metadata={"dagster/table_name": "batuta.chunks"},
    )
    def embed(context: dg.AssetExecutionContext, runtime: Runtime) -> dg.MaterializeResult[Any]:
        from batuta_agents.retrieval.embed import embed_new

        scope = scope_of(context, graph)
        batch = fix_batch(context, runtime)
        with runtime.connect("writer") as conn:
            done = embed_new(conn, scope.product.name, batch, runtime.now)
            conn.commit()
            row = conn.execute(
                "select count(*) from batuta.chunks where product = %s", (scope.product.name,)
            ).fetchone()
        return dg.MaterializeResult(
            metadata={
                "chunks_written": done.chunks,
                "texts_embedded": done.texts,
                "entities_removed": done.removed,
                "model": done.model_digest,
                "dagster/partition_row_count": int(row[0]) if row else 0,
                "batch_to": batch,
            },
            data_version=dg.DataVersion(str(batch)),
        )

    return embed
