"""Which job runs which pipeline. Pure; no Dagster here.

Pipelines of one family that make the same assets share a job: products are partitions, and jobs do not multiply
with them. What a run of a shared job is about follows from its partition's product.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from batuta.manifests.graph import AssetKey, CompiledGraph, CompiledPipeline
from sensors import run_tags

Selection = frozenset[AssetKey]


@dataclass(frozen=True)
class PipelineJob:
    """Pipelines that make the same assets; `pipelines` in the order of their names, at least one."""

    name: str
    family: str
    selection: Selection
    pipelines: tuple[CompiledPipeline, ...]

    @cached_property
    def by_product(self) -> Mapping[str, str]:
        """The pipeline of each product that has one of them; a product that has several is not here."""
        found: dict[str, list[str]] = {}
        for pipeline in self.pipelines:
            for product in pipeline.products:
                found.setdefault(product, []).append(pipeline.name)
        return {product: names[0] for product, names in found.items() if len(names) == 1}


def pipeline_jobs(graph: CompiledGraph) -> tuple[PipelineJob, ...]:
    """The jobs of a company, by name.

    A job of one pipeline has the pipeline's name (`arcsat_daily_review`), a job of several their family's
    (`daily_review`). Where a family has several such jobs, the one of most pipelines does; the others add a digest
    of what they make.
    """
    alike: dict[tuple[str, Selection], list[CompiledPipeline]] = {}
    for pipeline in sorted(graph.pipelines, key=lambda p: p.name):
        alike.setdefault((pipeline.family, frozenset(pipeline.asset_keys)), []).append(pipeline)
    ordered = sorted(alike.items(), key=lambda group: (-len(group[1]), group[1][0].name))
    taken = {run_tags.job_name(group[0].name) for _, group in ordered if len(group) == 1}
    jobs: list[PipelineJob] = []
    for (family, selection), group in ordered:
        name = run_tags.job_name(group[0].name) if len(group) == 1 else _shared(family, selection, taken)
        jobs.append(PipelineJob(name, family, selection, tuple(group)))
    return tuple(sorted(jobs, key=lambda job: job.name))


def job_names(jobs: Iterable[PipelineJob]) -> dict[str, str]:
    """The job of each pipeline, by name."""
    return {pipeline.name: job.name for job in jobs for pipeline in job.pipelines}


def shortened(names: Sequence[str], shown: int = 20) -> str:
    """Names in a line; of many, the first."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _shared(family: str, selection: Selection, taken: set[str]) -> str:
    """The name of a job that several pipelines share; it is taken then."""
    text = "\n".join(sorted("/".join(key) for key in selection))
    name = family if family not in taken else f"{family}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    taken.add(name)
    return name
