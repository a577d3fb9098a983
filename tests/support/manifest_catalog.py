"""A small catalog to compile manifests against, so that their tests need neither dbt nor the shipped skills."""

from batuta.manifests.catalog import Catalog, RelationInfo, SkillInfo

_THRESHOLD = {
    "type": "object",
    "properties": {"threshold": {"type": "number"}},
    "additionalProperties": False,
}


def small_catalog() -> Catalog:
    """Two agents with two skills each, over three relations and three connectors."""
    return Catalog(
        skills=(
            SkillInfo(
                "sigma.finance.reconcile", "sigma", ("live_orders", "live_refunds"), roles=("finance.read",)
            ),
            SkillInfo(
                "sigma.kpi.review", "sigma", ("live_kpi_daily",), input_schema=_THRESHOLD, roles=("kpi.read",)
            ),
            SkillInfo("vox.campaign.draft", "vox", ("live_orders",), roles=("crm.read",)),
            SkillInfo("vox.crm.playbook", "vox", ("live_orders",), roles=("crm.read",)),
        ),
        relations=(
            RelationInfo("live_kpi_daily", ("live", "live_kpi_daily"), ("events/spend", "shopify/orders")),
            RelationInfo("live_orders", ("live", "live_orders"), ("registry/products", "shopify/orders")),
            RelationInfo("live_refunds", ("live", "live_refunds"), ("shopify/orders", "shopify/refunds")),
        ),
        connectors={
            "events": ("invitations", "other", "rates", "spend", "surveys"),
            "github": ("deployments", "issues", "pull_requests", "pushes", "releases", "reviews"),
            "shopify": ("customer_merges", "order_transactions", "orders", "products", "refunds"),
        },
        event_types=(
            "com.batuta.spend.recorded",
            "com.github.*",
            "com.shopify.orders.created",
            "com.shopify.orders.updated",
        ),
    )
