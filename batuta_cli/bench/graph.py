"""`batuta bench graph`: the load of definitions with 10 and with 1,000 products, beside as many bare assets.

Each load is a process of its own that does what a code server does (`load_once.py`): import the module, build the
definitions and all their jobs, make the snapshot of the repository. The company is the example's, multiplied: its
products in turn, each with pipelines of its own. The peer has as many assets as we have and nothing else. All three
are measured in turn, round after round.

What is measured is the processor time of the whole process, in seconds: loading waits for nothing but the processor,
so this is what the clock shows on a machine that does nothing else, and on a busy one it stays the same. What the
clock showed is told beside it (`clock_s`).
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from batuta.errors import BatutaError
from batuta.manifests.bundle import write_bundle
from batuta.manifests.graph import CompiledAsset, CompiledGraph, CompiledPipeline, CompiledProduct
from batuta.manifests.project import check_path
from batuta.settings import Settings
from batuta_assets.catalog import project_catalog
from batuta_assets.dbt_manifest import read_manifest
from batuta_assets.dbt_run import ensure_manifest
from batuta_assets.locations import Locations

RUNS: Final = 7
FEW: Final = 10
MANY: Final = 1000
FLAT: Final = 1.2
BARE: Final = 1.2
OURS: Final = ("batuta_assets.definitions", "batuta")
PEER: Final = ("batuta_cli.bench.bare_assets", "defs")
COUNT: Final = "BATUTA_BENCH_ASSETS"
"""How many assets the peer is to have."""

Say = Callable[[str], None]


class BenchFailed(BatutaError):
    """What is measured did not happen."""


@dataclass
class _Loads:
    """What the loads of one kind took, and what the last of them found."""

    seconds: list[float] = field(default_factory=list[float])
    clock: list[float] = field(default_factory=list[float])
    parts: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    found: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, seconds: float, said: Mapping[str, Any]) -> None:
        """Take up one load."""
        self.seconds.append(seconds)
        self.clock.append(said["clock"])
        for name in ("import", "load", "snapshot"):
            self.parts.setdefault(name, []).append(said[name])
        self.found = {name: value for name, value in said.items() if isinstance(value, int)}

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def medians(self) -> dict[str, float]:
        """The parts of a load, in seconds."""
        return {name: round(statistics.median(taken), 3) for name, taken in self.parts.items()}


def run(settings: Settings, say: Say, *, runs: int = RUNS, products: int = MANY) -> dict[str, Any]:
    """Measure; the document that the bench prints as its last line.

    Args:
        settings: Where the project is.
        say: Shows progress.
        runs: Rounds, beside one that warms up.
        products: The many products that are compared with ten.
    """
    with TemporaryDirectory(prefix="batuta-bench-") as name:
        folder = Path(name)
        example, manifest = _example(settings, folder, say)
        homes = {count: _home(folder, manifest, multiplied(example, count)) for count in (FEW, products)}
        few, many, bare = _Loads(), _Loads(), _Loads()
        for number in range(runs + 1):
            loads = [(few, _load(OURS, settings, {"BATUTA_HOME": str(homes[FEW])}))]
            loads.append((many, _load(OURS, settings, {"BATUTA_HOME": str(homes[products])})))
            loads.append((bare, _load(PEER, settings, {COUNT: str(loads[1][1][1]["assets"])})))
            for kind, (seconds, said) in loads if number else ():
                kind.add(seconds, said)
            shown = ", ".join(f"{seconds:.2f} s" for _, (seconds, _) in loads)
            say(f"round {number}: {FEW} products, {products} products, bare assets: {shown}")
    flat, beside = many.median / few.median, many.median / bare.median
    return {
        "bench": "graph",
        "value": round(many.median, 3),
        "unit": "s",
        "peers": {f"{FEW} products": round(few.median, 3), "bare assets": round(bare.median, 3)},
        "ratios": {f"{FEW} products": round(flat, 3), "bare assets": round(beside, 3)},
        "runs": runs,
        "spread": [round(end(many.seconds), 3) for end in (min, max)],
        "budget": f"{products} products <= {FLAT:g} x {FEW} products, and <= {BARE:g} x bare assets",
        "meets": flat <= FLAT and beside <= BARE,
        "peer_spread": {
            kind: [round(end(loads.seconds), 3) for end in (min, max)]
            for kind, loads in ((f"{FEW} products", few), ("bare assets", bare))
        },
        "parts": {
            f"{FEW} products": few.medians(),
            f"{products} products": many.medians(),
            "bare assets": bare.medians(),
        },
        "clock_s": {
            f"{FEW} products": round(statistics.median(few.clock), 3),
            f"{products} products": round(statistics.median(many.clock), 3),
            "bare assets": round(statistics.median(bare.clock), 3),
        },
        "found": many.found,
    }


def multiplied(example: CompiledGraph, count: int) -> CompiledGraph:
    """A company of so many products: the example's in turn, under names of their own, each with its pipelines."""
    own = {p.name: [x for x in example.pipelines if p.name in x.products] for p in example.products}
    products: list[CompiledProduct] = []
    pipelines: list[CompiledPipeline] = []
    for number in range(count):
        model = example.products[number % len(example.products)]
        name = f"product{number:04d}"
        products.append(model.model_copy(update={"name": name}))
        for pipeline in own[model.name]:
            called = f"{name}-{pipeline.family.replace('_', '-')}"
            pipelines.append(pipeline.model_copy(update={"name": called, "products": (name,)}))
    return CompiledGraph(
        products=tuple(products),
        agents=example.agents,
        pipelines=tuple(pipelines),
        assets=tuple(_served(asset, pipelines) for asset in example.assets),
    )


def _served(asset: CompiledAsset, pipelines: list[CompiledPipeline]) -> CompiledAsset:
    names = tuple(p.name for p in pipelines if asset.asset_key in p.asset_keys)
    return asset.model_copy(update={"pipelines": names})


def _example(settings: Settings, folder: Path, say: Say) -> tuple[CompiledGraph, Path]:
    """The example company's graph, and the folder of dbt's manifest."""
    home = folder / "dbt"
    found = Locations(
        bundle=folder / "none.json", dbt_project=settings.project / "dbt_project", dbt_home=home
    )
    say("reading the dbt project and the example company")
    manifest = read_manifest(ensure_manifest(found, log=say))
    checked = check_path(settings.project / "examples" / "arcsat", project_catalog(manifest))
    if checked.compilation.graph is None:
        problem = next(iter(checked.errors), "nothing to read")
        raise BenchFailed(f"the example company cannot be compiled: {problem}")
    return checked.compilation.graph, home


def _home(folder: Path, manifest: Path, graph: CompiledGraph) -> Path:
    home = folder / f"home-{len(graph.products)}"
    home.mkdir()
    (home / "dbt").symlink_to(manifest)
    write_bundle(home, graph)
    return home


def _load(
    target: tuple[str, str], settings: Settings, variables: Mapping[str, str]
) -> tuple[float, dict[str, Any]]:
    """Load once in a new process; the processor time it took, in seconds, and what it said."""
    environment = {**os.environ, "BATUTA_PROJECT": str(settings.project), **variables}
    command = [sys.executable, "-m", "batuta_cli.bench.load_once", *target]
    began, before = time.perf_counter(), _children_s()
    done = subprocess.run(
        command, env=environment, cwd=settings.project, capture_output=True, text=True, check=False
    )
    seconds, clock = _children_s() - before, time.perf_counter() - began
    if done.returncode:
        raise BenchFailed(f"{target[0]} did not load: {done.stderr.strip()[-800:]}")
    return seconds, {**json.loads(done.stdout.splitlines()[-1]), "clock": clock}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
