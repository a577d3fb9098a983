"""The compiled graph: what the manifests of a company amount to, with every reference resolved.

Plain data, without Dagster: `batuta_assets` makes definitions of it, the gateway reads products from it.
Its digest is taken over canonical JSON, so that the same manifests give the same digest anywhere.
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field

from batuta.manifests.models import ConnectorBinding, ConnectorSlos, Output, PipelineSlos, Resources

AssetKey = tuple[str, ...]
StepKind = Literal["ingest", "vector", "skill"]


class Compiled(BaseModel):
    """A frozen part of the compiled graph."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class CompiledAgent(Compiled):
    """An agent with its skills by full name."""

    name: str
    description: str
    skills: tuple[str, ...]
    """Skills that are implemented."""
    declared: tuple[str, ...]
    """Skills that are declared only."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    resources: Resources
    roles: tuple[str, ...] | None
    """Roles the agent is held to; None: those its skills ask for."""
    prompts: dict[str, str]


class CompiledProduct(Compiled):
    """A product with its datasets resolved to source assets (`connector/dataset`)."""

    name: str
    description: str
    locale: str
    currency: str
    timezone: str
    gross_margin: Decimal | None = None
    """Share of net sales that is gross profit, 0 to 1."""
    owners: tuple[str, ...]
    kpis: tuple[str, ...]
    datasets: dict[str, tuple[str, ...]]
    policies: tuple[str, ...]
    connectors: tuple[ConnectorBinding, ...]
    slos: dict[str, ConnectorSlos] = Field(default_factory=dict)
    """By connector; those that are not named have the defaults."""


class CompiledSchedule(Compiled):
    """A clock; its zone is the product's."""

    cron: str


class CompiledStep(Compiled):
    """One asset of a pipeline. Implicit steps are those the pipeline's skills need but nobody wrote."""

    use: str
    kind: StepKind
    asset_key: AssetKey
    deps: tuple[AssetKey, ...]
    input: dict[str, Any] = Field(default_factory=dict)
    roles: tuple[str, ...] = ()
    implicit: bool = False


class CompiledPipeline(Compiled):
    """A pipeline; steps stand in an order in which they can run."""

    name: str
    family: str
    description: str
    products: tuple[str, ...]
    schedules: tuple[CompiledSchedule, ...]
    events: tuple[str, ...]
    steps: tuple[CompiledStep, ...]
    outputs: tuple[Output, ...]
    report_key: AssetKey | None
    report_deps: tuple[AssetKey, ...]
    slos: PipelineSlos = Field(default_factory=PipelineSlos)

    @property
    def asset_keys(self) -> tuple[AssetKey, ...]:
        """The assets the pipeline makes: its steps and, last, its report."""
        keys = tuple(step.asset_key for step in self.steps)
        return keys if self.report_key is None else (*keys, self.report_key)

    def wants_event(self, event_type: str) -> bool:
        """Whether an event of this type triggers the pipeline."""
        return any(matches(pattern, event_type) for pattern in self.events)


class CompiledAsset(Compiled):
    """An asset as all pipelines together see it: the dependencies are the union of theirs."""

    asset_key: AssetKey
    kind: Literal["ingest", "vector", "skill", "report"]
    use: str
    deps: tuple[AssetKey, ...]
    pipelines: tuple[str, ...]


class CompiledGraph(Compiled):
    """Products, agents and pipelines of a company."""

    products: tuple[CompiledProduct, ...] = ()
    agents: tuple[CompiledAgent, ...] = ()
    pipelines: tuple[CompiledPipeline, ...] = ()
    assets: tuple[CompiledAsset, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the graph, in hexadecimal."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def canonical(self) -> bytes:
        """The graph as canonical JSON."""
        return rfc8785.dumps(self.model_dump(mode="json", by_alias=True))

    def product(self, name: str) -> CompiledProduct | None:
        """The product of that name."""
        return self._products.get(name)

    def agent(self, name: str) -> CompiledAgent | None:
        """The agent of that name, if it has a manifest."""
        return self._agents.get(name)

    def pipeline(self, name: str) -> CompiledPipeline | None:
        """The pipeline of that name."""
        return self._pipelines.get(name)

    @cached_property
    def _products(self) -> Mapping[str, CompiledProduct]:
        return {product.name: product for product in self.products}

    @cached_property
    def _agents(self) -> Mapping[str, CompiledAgent]:
        return {agent.name: agent for agent in self.agents}

    @cached_property
    def _pipelines(self) -> Mapping[str, CompiledPipeline]:
        return {pipeline.name: pipeline for pipeline in self.pipelines}


def content_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 over canonical JSON (RFC 8785), in hexadecimal."""
    return hashlib.sha256(rfc8785.dumps(dict(document))).hexdigest()


def matches(pattern: str, event_type: str) -> bool:
    """Whether a trigger (`com.shopify.orders.created` or `com.shopify.*`) stands for an event type."""
    if pattern.endswith(".*"):
        return event_type.startswith(pattern[:-1])
    return pattern == event_type
