"""The three manifests a company writes: Agent, Product, Pipeline.

These models are the only description of the YAML forms; the editor schemas, the Kubernetes CRDs and the
messages of `batuta validate` are made from them. References between manifests are the compiler's business.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from batuta.manifests.fields import (
    Currency,
    Description,
    EnvironmentName,
    EventPattern,
    FileRef,
    LocaleName,
    MailAddress,
    Minutes,
    Name,
    Names,
    Percent,
    Quantity,
    Schedule,
    SecretFileName,
    Settings,
    SkillName,
    SkillNames,
    SomeNames,
    SourceNames,
    Timezone,
    Word,
    Words,
)

API_VERSION = "batuta.avila.inc/v1"
DEFAULT_LOCALE = "pt-BR"
DEFAULT_CURRENCY = "BRL"
DEFAULT_TIMEZONE = "America/Sao_Paulo"


class Form(BaseModel):
    """A part of a manifest: frozen, camelCase in YAML, no unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, defer_build=True
    )


def _exactly_one_of(*names: str) -> JsonDict:
    return {"oneOf": [{"required": [name]} for name in names]}


def _one_of(form: Form, *names: str) -> None:
    if sum(getattr(form, name) is not None for name in names) != 1:
        raise PydanticCustomError("one_of", "needs exactly one of {names}", {"names": " and ".join(names)})


def _mapping_not_text(value: object) -> object:
    if isinstance(value, str):
        raise PydanticCustomError(
            "clear_secret", "a secret is never written in a manifest; refer to it by env: NAME or file: NAME"
        )
    return value


class Metadata(Form):
    """Name and labels, as Kubernetes knows them."""

    name: Name = Field(description="Unique among the manifests of its kind.")
    namespace: Name | None = Field(default=None, description="Kubernetes namespace, unused elsewhere.")
    labels: dict[Word, str] = Field(default_factory=dict, description="Labels of your own.")
    annotations: dict[Word, str] = Field(default_factory=dict, description="Annotations of your own.")


class SchemaRefs(Form):
    """JSON Schemas that the agent's own skills take and give, relative to the project folder."""

    input_schema_ref: FileRef | None = Field(default=None, description="Schema of what its skills take.")
    output_schema_ref: FileRef | None = Field(default=None, description="Schema of what its skills give.")


class Resources(Form):
    """Size of the agent's runs on Kubernetes."""

    cpu: Quantity | None = Field(default=None, description='CPU, as in "500m".')
    memory: Quantity | None = Field(default=None, description='Memory, as in "512Mi".')


class AgentSpec(Form):
    """What an agent can do and with which rights."""

    description: Description | None = Field(default=None, description="What the agent is for.")
    skills: SkillNames = Field(description="Skills, short (build.deploy) or full (helix.build.deploy).")
    inputs: Words = Field(default=(), description="Names of what the agent takes.")
    outputs: Words = Field(default=(), description="Names of what the agent gives.")
    contracts: SchemaRefs = Field(default_factory=SchemaRefs, description="Schemas of input and output.")
    resources: Resources = Field(default_factory=Resources, description="Size of the agent's runs.")
    roles: Words | None = Field(
        default=None, description="Roles the agent runs with; without it, those its skills ask for."
    )
    prompts: dict[SkillName, Word] = Field(default_factory=dict, description="Prompt by skill.")


class SecretRef(Form):
    """Where a secret is kept: an environment variable, or a file in the secrets folder."""

    model_config = ConfigDict(json_schema_extra=_exactly_one_of("env", "file"))

    env: EnvironmentName | None = Field(default=None, description="Environment variable of the secret.")
    file: SecretFileName | None = Field(
        default=None, description="File of the secret, in the secrets folder."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        _one_of(self, "env", "file")
        return self


class ConnectorBinding(Form):
    """A vendor account whose events are this product's."""

    type: Word = Field(description="Connector, as in shopify, github, events.")
    account: Word | None = Field(default=None, description="Shop domain, repository, mailbox.")
    secret_refs: tuple[Annotated[SecretRef, BeforeValidator(_mapping_not_text)], ...] = Field(
        default=(), max_length=10, description="Secrets that sign deliveries; several during a rotation."
    )
    credentials: dict[Word, Annotated[SecretRef, BeforeValidator(_mapping_not_text)]] = Field(
        default_factory=dict, max_length=20, description="Secrets to fetch with, by the connector's names."
    )
    allow_unsigned: StrictBool = Field(
        default=False, description="Accept unsigned deliveries, in development only."
    )
    settings: Settings = Field(default_factory=dict, description="Settings of the connector; never secrets.")


class ConnectorSlos(Form):
    """What is promised of a connector's accounts, over 28 days."""

    polls_percent: Percent = Field(default=99, description="Share of polls that succeed.")
    fresh_percent: Percent = Field(default=95, description="Share of events that land in time.")
    fresh_within_minutes: Minutes = Field(
        default=15, description="How long after it happened an event is to have landed."
    )
    accounted_percent: Percent = Field(
        default=99.9, description="Share of what a source hands over that is accounted for."
    )
    acknowledged_percent: Percent = Field(
        default=99.9, description="Share of good deliveries that are acknowledged."
    )


class ProductSpec(Form):
    """A product: its data, numbers, owners and rules."""

    description: Description | None = Field(default=None, description="What the product is.")
    datasets: Words = Field(description="Data the product is made of, as in crm, orders, telemetry.")
    kpis: Words = Field(description="KPIs followed for the product, as in LTV, CAC, NPS, leadTime.")
    owners: SomeNames = Field(description="Agents that answer for the product.")
    policies: Names = Field(default=(), description="Named policies, as in pii-mask-basic, retention-180d.")
    locale: LocaleName = Field(default=DEFAULT_LOCALE, description="Language and formats of reports.")
    currency: Currency = Field(default=DEFAULT_CURRENCY, description="Currency of the books.")
    timezone: Timezone = Field(default=DEFAULT_TIMEZONE, description="Zone of business dates and schedules.")
    gross_margin: Decimal | None = Field(
        default=None,
        ge=0,
        le=1,
        decimal_places=4,
        description="Share of net sales that is gross profit, as in 0.72; LTV:CAC and payback need it.",
    )
    connectors: tuple[ConnectorBinding, ...] = Field(
        default=(), max_length=100, description="Vendor accounts."
    )
    sources: dict[Word, SourceNames] = Field(
        default_factory=dict, description="Source assets (connector/dataset) behind each dataset."
    )
    slos: dict[Word, ConnectorSlos] = Field(
        default_factory=dict, description="What is promised, by connector; without it, the defaults."
    )


class Trigger(Form):
    """What starts a pipeline: a clock or an event."""

    model_config = ConfigDict(json_schema_extra=_exactly_one_of("schedule", "event"))

    schedule: Schedule | None = Field(default=None, description="Five cron fields, in the product's zone.")
    event: EventPattern | None = Field(default=None, description="Event type, or a prefix that ends in .*")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        _one_of(self, "schedule", "event")
        return self


class Step(Form):
    """One thing the pipeline wants done. The order of steps is checked against the graph."""

    use: SkillName = Field(description="ingest.<connector>.<dataset>, vector.embed, or a skill.")
    name: Name | None = Field(default=None, description="Name by which other steps refer to this one.")
    needs: Words = Field(default=(), description="Steps, by name or use, that must be done before this one.")
    input: dict[str, Any] = Field(default_factory=dict, alias="with", description="Input of the skill.")


class Output(Form):
    """What a pipeline hands over, and to whom."""

    type: Literal["Report"] = Field(description="Report: a page per product and day.")
    channel: Literal["email", "none"] = Field(default="none", description="email sends the report to `to`.")
    to: Annotated[tuple[MailAddress, ...], Field(max_length=100)] = Field(
        default=(), description="Recipients."
    )

    @model_validator(mode="after")
    def _recipients_fit_channel(self) -> Self:
        if self.channel == "email" and not self.to:
            raise PydanticCustomError("recipients", "an output by e-mail needs recipients: add to: [address]")
        if self.channel == "none" and self.to:
            raise PydanticCustomError("recipients", "recipients need channel: email")
        return self


class PipelineSlos(Form):
    """What is promised of a pipeline, over 28 days."""

    published_percent: Percent = Field(
        default=99, description="Share of scheduled instants after which it is published in time."
    )
    published_within_minutes: Minutes = Field(
        default=60, description="How long after its scheduled instant it is to be published."
    )
    success_percent: Percent = Field(default=99, description="Share of runs that end well, retries included.")


class PipelineSpec(Form):
    """A selection of the graph with triggers and outputs."""

    description: Description | None = Field(default=None, description="What the pipeline is for.")
    products: SomeNames | None = Field(
        default=None, description="Products; without it, the one whose name begins the pipeline's."
    )
    triggers: tuple[Trigger, ...] = Field(default=(), max_length=50, description="What starts it.")
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=200)] = Field(
        description="What is wanted."
    )
    roles: Words | None = Field(default=None, description="Roles it asks for; without it, its agents' own.")
    outputs: tuple[Output, ...] = Field(default=(), max_length=20, description="What it hands over.")
    slos: PipelineSlos = Field(default_factory=PipelineSlos, description="What is promised of it.")


class Agent(Form):
    """An agent: skills under one name."""

    api_version: Literal["batuta.avila.inc/v1"]
    kind: Literal["Agent"]
    metadata: Metadata
    spec: AgentSpec


class Product(Form):
    """A product of the company."""

    api_version: Literal["batuta.avila.inc/v1"]
    kind: Literal["Product"]
    metadata: Metadata
    spec: ProductSpec


class Pipeline(Form):
    """A pipeline over the graph of one or more products."""

    api_version: Literal["batuta.avila.inc/v1"]
    kind: Literal["Pipeline"]
    metadata: Metadata
    spec: PipelineSpec


Manifest = Agent | Product | Pipeline
FORMS: Mapping[str, type[Manifest]] = {"Agent": Agent, "Product": Product, "Pipeline": Pipeline}
