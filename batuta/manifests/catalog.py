"""What the installed code offers to manifests: skills, relations, connectors, event types, names.

Only types: `batuta_assets.catalog.project_catalog` fills them for a project, tests fill them by hand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from batuta.quality.drift import Built

DATASET_SOURCES: Mapping[str, tuple[str, ...]] = {
    "crm": ("shopify/orders", "shopify/customer_merges", "events/surveys", "events/invitations"),
    "orders": ("shopify/orders", "shopify/order_transactions", "shopify/refunds"),
    "products": ("shopify/products",),
    "marketing": ("events/spend",),
    "rates": ("events/rates",),
    "surveys": ("events/surveys", "events/invitations"),
    "engineering": (
        "github/pull_requests",
        "github/reviews",
        "github/issues",
        "github/releases",
        "github/deployments",
        "github/pushes",
    ),
    "telemetry": ("github/pull_requests", "github/releases", "events/other"),
}
TEXT_SOURCES = (
    "shopify/products",
    "github/pull_requests",
    "github/releases",
    "github/issues",
    "events/surveys",
)
AGENTS = ("atlas", "echo", "forge", "helix", "lex", "lumen", "sigma", "vox")
KPIS = (
    "LTV",
    "CAC",
    "NPS",
    "leadTime",
    "net_sales",
    "orders",
    "new_customers",
    "average_order_value",
    "refund_rate",
    "active_customers",
    "repeat_rate",
    "CAC_paid",
    "LTV_CAC",
    "payback",
    "predicted_LTV",
    "response_rate",
    "deployment_frequency",
    "change_failure_rate",
    "restore_time",
    "open_issues",
)
POLICIES = ("pii-mask-basic", "retention-180d")


@dataclass(frozen=True, slots=True)
class SkillInfo:
    """An implemented skill, by its full name (`sigma.finance.reconcile`)."""

    name: str
    agent: str
    needs: tuple[str, ...]
    """Relations the skill reads, as in `live_orders`."""
    kinds: tuple[str, ...] = ()
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    output_schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    roles: tuple[str, ...] = ()
    """Roles a caller must have."""
    version: str = ""
    """Digest of all of its agent that can change an output."""
    classes: tuple[str, ...] = ()
    """What a classifier finds; its precision on each is followed."""


@dataclass(frozen=True, slots=True)
class RelationInfo:
    """A relation of the warehouse with its asset and the sources (`connector/dataset`) it is made of."""

    name: str
    asset_key: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountForm:
    """What a manifest may say of a connector's account."""

    settings: type[BaseModel]
    credentials: Mapping[str, str]
    """Names of credentials, each with what it is for."""
    push: bool
    """Whether the vendor sends deliveries."""
    pull: bool
    """Whether the connector fetches."""
    pushed: Callable[[BaseModel], bool]
    """Whether an account with these settings is sent any."""
    lacking: Callable[[BaseModel, frozenset[str]], str | None]
    """A sentence, if these settings cannot work with the credentials that are named."""
    misnamed: Callable[[BaseModel, str | None, bool], str | None]
    """A sentence, if no account can have this name; with whether it is to be fetched from."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything manifests may refer to that is not a manifest."""

    skills: tuple[SkillInfo, ...]
    relations: tuple[RelationInfo, ...]
    connectors: Mapping[str, tuple[str, ...]]
    """Datasets by connector, as in `{"shopify": ("orders", "refunds")}`."""
    event_types: tuple[str, ...]
    """Types that may land; one that ends in `.*` stands for all below it."""
    accounts: Mapping[str, AccountForm] = field(default_factory=dict[str, AccountForm])
    """By connector; the settings of one that is not here are not looked at."""
    agents: tuple[str, ...] = AGENTS
    """Agents known without a manifest."""
    kpis: tuple[str, ...] = KPIS
    policies: tuple[str, ...] = POLICIES
    dataset_sources: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: DATASET_SOURCES)
    text_sources: tuple[str, ...] = TEXT_SOURCES
    """Sources whose texts `vector.embed` reads."""
    built: Mapping[str, Built] = field(default_factory=dict[str, Built])
    """What dbt declares of its relations (`batuta_marts.fct_orders`): data contracts are compared with it."""

    def skill(self, name: str) -> SkillInfo | None:
        """The implemented skill of that full name."""
        return next((skill for skill in self.skills if skill.name == name), None)

    def relation(self, name: str) -> RelationInfo | None:
        """The relation of that name."""
        return next((relation for relation in self.relations if relation.name == name), None)

    def sources(self) -> tuple[str, ...]:
        """Every `connector/dataset` there is."""
        return tuple(
            f"{name}/{dataset}" for name, datasets in self.connectors.items() for dataset in datasets
        )
