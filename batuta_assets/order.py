"""In which order a run takes its steps: what the first analyses need comes first, reports last.

Steps of one process run one after the other, so that the order decides when an analysis is there. Analyses
that need little come before those that need much; a step that several need counts for the first of them.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeAlias

from batuta.manifests.graph import CompiledAsset, CompiledGraph

AssetPath: TypeAlias = tuple[str, ...]
PRIORITY_TAG: Final = "dagster/priority"


def step_tags(asset: CompiledAsset, graph: CompiledGraph) -> dict[str, str]:
    """The tags of the step that makes an asset: the higher its number, the earlier it runs."""
    places = _places(tuple((a.kind, a.asset_key, a.deps) for a in graph.assets))
    return {PRIORITY_TAG: str(len(places) - places[asset.asset_key])}


@lru_cache(maxsize=4)
def _places(assets: tuple[tuple[str, AssetPath, tuple[AssetPath, ...]], ...]) -> Mapping[AssetPath, int]:
    """Each asset's place in the order, from 0."""
    known = {key for _, key, _ in assets}
    deps = {key: [dep for dep in below if dep in known] for _, key, below in assets}
    needs = {key: _needs(key, deps) for key in deps}
    skills = [key for kind, key, _ in assets if kind == "skill"]
    others = [key for kind, key, _ in assets if kind != "skill"]
    places: dict[AssetPath, int] = {}
    for key in (
        *sorted(skills, key=lambda k: (len(needs[k]), k)),
        *sorted(others, key=lambda k: len(needs[k])),
    ):
        for step in (*sorted(needs[key], key=lambda k: (len(needs[k]), k)), key):
            places.setdefault(step, len(places))
    return places


def _needs(key: AssetPath, deps: Mapping[AssetPath, list[AssetPath]]) -> frozenset[AssetPath]:
    """Everything that must have run before an asset."""
    found, waiting = set[AssetPath](), list(deps[key])
    while waiting:
        step = waiting.pop()
        if step not in found:
            found.add(step)
            waiting.extend(deps[step])
    return frozenset(found)
