"""What one run of a pipeline is about: whose numbers, of which day, for which pipeline, up to which batch."""

from dataclasses import dataclass
from datetime import date

import dagster as dg

from batuta.landing.reader import last_batch
from batuta.manifests.graph import CompiledGraph, CompiledPipeline, CompiledProduct, CompiledStep
from batuta_assets.partitions import product_and_day
from batuta_assets.runtime import Runtime
from sensors import run_tags


@dataclass(frozen=True, slots=True)
class Scope:
    """The circumstances of a step."""

    pipeline: CompiledPipeline
    product: CompiledProduct
    day: date

    def step(self, key: dg.AssetKey) -> CompiledStep:
        """The pipeline's step that makes an asset.

        Raises:
            dg.Failure: the pipeline has no such step.
        """
        for step in self.pipeline.steps:
            if step.asset_key == tuple(key.path):
                return step
        raise _impossible(f"{self.pipeline.name} has no step that makes {key.to_user_string()}")


def scope_of(context: dg.AssetExecutionContext, graph: CompiledGraph) -> Scope:
    """Read the scope of a run from its partition and tags.

    A run that names no pipeline (assets chosen by hand in the UI) is taken for the product's pipeline that
    has them.

    Raises:
        dg.Failure: the product or pipeline is not applied, or has no such asset.
    """
    name, day = product_and_day(context.partition_key)
    product = graph.product(name)
    if product is None:
        raise _impossible(f"there is no product {name}; apply its manifest")
    tagged = context.run.tags.get(run_tags.PIPELINE)
    if tagged is not None:
        pipeline = graph.pipeline(tagged)
    else:
        keys = {tuple(key.path) for key in context.selected_asset_keys}
        pipeline = next(
            (p for p in graph.pipelines if name in p.products and keys <= set(p.asset_keys)), None
        )
    if pipeline is None or name not in pipeline.products:
        raise _impossible(f"no pipeline {tagged or 'of this product'} makes this for {name}")
    return Scope(pipeline, product, day)


def fix_batch(context: dg.AssetExecutionContext, runtime: Runtime) -> int:
    """The last batch this run takes: drawn by its first step, the same for every later one."""
    return runtime.once((context.run.run_id, run_tags.BATCH_TO), lambda: _draw_batch(context, runtime))


def _draw_batch(context: dg.AssetExecutionContext, runtime: Runtime) -> int:
    run = context.instance.get_run_by_id(context.run.run_id)
    known = run.tags.get(run_tags.BATCH_TO) if run is not None else None
    if known is not None:
        return int(known)
    with runtime.connect("reader") as conn:
        batch = last_batch(conn)
    context.instance.add_run_tags(context.run.run_id, {run_tags.BATCH_TO: str(batch)})
    return batch


def _impossible(message: str) -> dg.Failure:
    return dg.Failure(description=message, allow_retries=False)
