"""Manifests to the compiled graph: pure, deterministic, and with every problem at once.

The order of documents and files changes nothing; the same manifests and catalog give the same digest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from batuta.manifests.catalog import Catalog
from batuta.manifests.graph import (
    AssetKey,
    CompiledAgent,
    CompiledAsset,
    CompiledGraph,
    CompiledPipeline,
    CompiledProduct,
)
from batuta.manifests.load import Document, Identity
from batuta.manifests.models import Agent, Pipeline, Product
from batuta.manifests.pipelines import World, compile_pipeline
from batuta.manifests.problems import Problem, errors_in
from batuta.manifests.references import Names, compile_agent, compile_product


@dataclass(frozen=True, slots=True)
class Compilation:
    """What manifests amount to; without a graph where one of them is wrong."""

    graph: CompiledGraph | None
    problems: tuple[Problem, ...]


def compile_manifests(
    documents: Iterable[Document], catalog: Catalog, broken: frozenset[Identity] = frozenset()
) -> Compilation:
    """Compile manifests against a catalog.

    Args:
        documents: Manifests, in any order.
        catalog: What the installed code offers.
        broken: Kind and name of manifests that are there but cannot be read; they may be referred to.
    """
    problems: list[Problem] = []
    unique = _unique(documents, problems)
    known = {*unique, *broken}
    names = Names(
        agents=frozenset(catalog.agents) | {name for kind, name in known if kind == "Agent"},
        products=frozenset(name for kind, name in known if kind == "Product"),
    )
    agents: dict[str, CompiledAgent] = {}
    products: list[CompiledProduct] = []
    for document in unique.values():
        manifest = document.manifest
        if isinstance(manifest, Agent):
            agents[document.name], found = compile_agent(document, manifest, catalog)
            problems.extend(found)
        elif isinstance(manifest, Product):
            product, found = compile_product(document, manifest, catalog, names)
            products.append(product)
            problems.extend(found)
    world = World(catalog, names, agents)
    pipelines: dict[str, CompiledPipeline] = {}
    for document in unique.values():
        if isinstance(document.manifest, Pipeline):
            pipeline, found = compile_pipeline(document, document.manifest, world)
            problems.extend(found)
            if pipeline is not None:
                pipelines[pipeline.name] = pipeline
    places = {name: document for (kind, name), document in unique.items() if kind == "Pipeline"}
    problems.extend(_report_clashes(pipelines, places))
    assets = _assets(pipelines.values())
    problems.extend(_opposite_needs(assets, places))
    ordered = tuple(sorted(set(problems)))
    if errors_in(ordered):
        return Compilation(None, ordered)
    graph = CompiledGraph(
        products=tuple(products),
        agents=tuple(agents.values()),
        pipelines=tuple(pipelines.values()),
        assets=assets,
    )
    return Compilation(graph, ordered)


def _unique(documents: Iterable[Document], problems: list[Problem]) -> dict[Identity, Document]:
    unique: dict[Identity, Document] = {}
    path = ("metadata", "name")
    for document in sorted(documents, key=lambda d: (d.identity, d.source.value_position(path))):
        first = unique.setdefault(document.identity, document)
        if first is not document:
            place = first.source.value_position(path)
            message = (
                f"the {document.kind} {document.name} is already written in {place}; rename or remove one"
            )
            problems.append(document.problem(path, message))
    return unique


def _report_clashes(
    pipelines: Mapping[str, CompiledPipeline], places: Mapping[str, Document]
) -> list[Problem]:
    problems: list[Problem] = []
    taken: dict[tuple[AssetKey, str], str] = {}
    for pipeline in pipelines.values():
        if pipeline.report_key is None:
            continue
        for product in pipeline.products:
            other = taken.setdefault((pipeline.report_key, product), pipeline.name)
            if other != pipeline.name:
                message = f"gives the report {pipeline.family} of {product}, as does {other}; rename one"
                problems.append(places[pipeline.name].problem(("metadata", "name"), message))
    return problems


def _assets(pipelines: Iterable[CompiledPipeline]) -> tuple[CompiledAsset, ...]:
    """Every asset once, with the dependencies that any pipeline gives it."""
    merged: dict[AssetKey, CompiledAsset] = {}
    for pipeline in pipelines:
        own = [
            CompiledAsset(
                asset_key=step.asset_key,
                kind=step.kind,
                use=step.use,
                deps=step.deps,
                pipelines=(pipeline.name,),
            )
            for step in pipeline.steps
        ]
        if pipeline.report_key is not None:
            use = ".".join(pipeline.report_key)
            own.append(
                CompiledAsset(
                    asset_key=pipeline.report_key,
                    kind="report",
                    use=use,
                    deps=pipeline.report_deps,
                    pipelines=(pipeline.name,),
                )
            )
        for asset in own:
            merged[asset.asset_key] = _merge(merged.get(asset.asset_key), asset)
    return tuple(merged[key] for key in sorted(merged))


def _merge(known: CompiledAsset | None, more: CompiledAsset) -> CompiledAsset:
    if known is None:
        return more.model_copy(update={"deps": tuple(sorted(more.deps))})
    return known.model_copy(
        update={
            "deps": tuple(sorted({*known.deps, *more.deps})),
            "pipelines": tuple(sorted({*known.pipelines, *more.pipelines})),
        }
    )


def _opposite_needs(assets: Sequence[CompiledAsset], places: Mapping[str, Document]) -> list[Problem]:
    """Pipelines that each make sense alone, but whose `needs` together go in a circle."""
    by_key = {asset.asset_key: asset for asset in assets}
    try:
        TopologicalSorter({key: asset.deps for key, asset in by_key.items()}).prepare()
    except CycleError as error:
        circle = [by_key[key] for key in reversed(error.args[1])]
        names = sorted({name for asset in circle for name in asset.pipelines})
        words = " needs ".join(asset.use for asset in circle)
        message = f"the needs of the pipelines {', '.join(names)} together go in a circle: {words}"
        return [places[names[0]].problem(("spec", "steps"), message)]
    return []
