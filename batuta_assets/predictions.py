"""Predicted LTV as an asset: one prediction per product and day, made behind the same gates as analyses.

After a refresh of the marts the sensor asks for the products whose purchases changed since their newest prediction,
each at most once a day of its own series. Any other day can be materialized by hand, as far as the product's series
reaches.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import dagster as dg

from batuta.errors import BatutaError
from batuta.kpis import KpisNotBuilt
from batuta.lifetime.store import (
    DATASETS,
    Connect,
    DuePrediction,
    LtvPrediction,
    due_predictions,
    predict_and_store,
)
from batuta.manifests.graph import CompiledGraph
from batuta.settings import Settings
from batuta.warehouse.connection import Connection
from batuta_assets.dbt_manifest import DbtManifest
from batuta_assets.gates import broken_rules, structural_problem
from batuta_assets.partitions import FIRST_DAY, partition_key, product_and_day, product_days, products
from batuta_assets.runtime import Runtime
from sensors import run_tags
from sensors.factory import add_products

KEY: Final = ("kpis", "predicted_ltv")
JOB: Final = "predicted_ltv"
SENSOR: Final = "predicted_ltv_due"
MADE_OF: Final = (
    "dim_customers",
    "fct_customer_purchases",
    "fct_orders",
    "fct_product_daily",
    "int_order_changes",
)
"""The models a prediction reads."""


def prediction_asset(manifest: DbtManifest) -> dg.AssetsDefinition:
    """The asset of predictions, below the marts it reads."""
    keys = {model.name: model.key for model in manifest.models.values()}
    rules = manifest.sources_of_relations("live")
    purchases = {("shopify", dataset) for dataset in DATASETS}
    concerned = frozenset(name for name, sources in rules.items() if sources & purchases)

    @dg.asset(
        key=dg.AssetKey(KEY),
        deps=[dg.AssetKey(keys[name]) for name in MADE_OF],
        description="What the customers a product has won by a day are expected to bring in the horizon after it: "
        "BG/NBD for how often they buy, gamma-gamma for what they spend; the mean per customer with its 95 % interval, "
        "or why there is none.",
        group_name="kpis",
        owners=["team:vox"],
        kinds={"python", "postgres"},
        partitions_def=product_days,
        metadata={"dagster/table_name": "batuta.ltv_predictions"},
    )
    def predicted_ltv(context: dg.AssetExecutionContext, runtime: Runtime) -> dg.MaterializeResult[Any]:
        product, day = product_and_day(context.partition_key)
        with runtime.connect("reader") as conn:
            problem = gate(conn, product, concerned)
        if problem is not None:
            raise dg.Failure(description=problem, allow_retries=False)
        outlook = outlook_of(runtime.settings())
        try:
            made = predict_and_store(runtime.connect, product, day, runtime.now(), outlook)
        except BatutaError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        return dg.MaterializeResult(metadata=_metadata(made), data_version=dg.DataVersion(version_of(made)))

    return predicted_ltv


def gate(conn: Connection, product: str, relations: frozenset[str]) -> str | None:
    """Why nothing may be predicted from the product's rows at present; None where it may."""
    if (problem := structural_problem(conn)) is not None:
        return problem
    broken = [found for relation, found in broken_rules(conn, product).items() if relation in relations]
    if not broken:
        return None
    first = broken[0].first[0]
    total = sum(found.total for found in broken)
    return (
        f"{total} rows of {product} break a rule; first {first.rule} in {first.relation} ({first.entity_id}): "
        f"{first.detail}"
    )


def outlook_of(settings: Settings) -> Any:
    """Horizon and discount rate of an installation."""
    from batuta.lifetime.predict import Outlook

    return Outlook(settings.ltv_horizon_days, settings.ltv_discount_rate)


def prediction_job() -> Any:
    """The job; a run of it is one product's day."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(dg.AssetKey(KEY)),
        description="Predicts what the customers of a product will bring, as of a day.",
        executor_def=dg.in_process_executor,
    )


def prediction_sensor(
    graph: CompiledGraph,
    refresh: Any,
    job: Any,
    settings: Callable[[], Settings],
    connect: Connect | None = None,
) -> dg.SensorDefinition:
    """Asks for the predictions that a refresh of the marts has made due."""
    names = [product.name for product in graph.products]

    @dg.run_status_sensor(
        name=SENSOR,
        description="Predicts LTV anew, after a refresh of the marts, for products whose purchases changed.",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[refresh],
        request_job=job,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def predicted_ltv_due(context: dg.RunStatusSensorContext) -> dg.SensorResult:
        due = due_on_days(connect or Runtime().connect, names, settings().ltv_horizon_days)
        if not due:
            return dg.SensorResult(skip_reason="no purchases changed since they were last predicted from")
        return dg.SensorResult(
            run_requests=[prediction_request(one) for one in due],
            dynamic_partitions_requests=add_products(
                context.instance, products, {one.product for one in due}
            ),
        )

    return predicted_ltv_due


def due_on_days(connect: Connect, names: Sequence[str], horizon_days: int) -> list[DuePrediction]:
    """What is due and has a partition; none where the marts are not built."""
    try:
        due = due_predictions(connect, names, horizon_days)
    except KpisNotBuilt:
        return []
    return [one for one in due if one.as_of >= date.fromisoformat(FIRST_DAY)]


def prediction_request(due: DuePrediction) -> dg.RunRequest:
    """The run of a due prediction; one per product and day."""
    return dg.RunRequest(
        run_key=f"{JOB}/{due.product}/{due.as_of}",
        partition_key=partition_key(due.product, due.as_of),
        tags=prediction_tags(due.product),
    )


def prediction_tags(product: str) -> dict[str, str]:
    """The tags of every run: one at a time for a product."""
    return {run_tags.PRODUCT: product, run_tags.LANE: f"{JOB}/{product}"}


def version_of(made: LtvPrediction) -> str:
    """Digest of all that was found, so that the same figures are the same version."""
    found = (
        made.value,
        made.low,
        made.high,
        made.currency,
        made.customers,
        made.repeat_customers,
        made.reason,
    )
    document = [*map(str, found), made.horizon_days, made.method, made.parameters]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _metadata(made: LtvPrediction) -> Mapping[str, Any]:
    figures = {
        name: dg.MetadataValue.float(float(value))
        for name in ("value", "low", "high")
        if (value := getattr(made, name)) is not None
    }
    return {
        **figures,
        "currency": made.currency,
        "horizon_days": made.horizon_days,
        "customers": made.customers,
        "repeat_customers": made.repeat_customers,
        "reason": made.reason or "none",
        "parameters": dg.MetadataValue.json(dict(made.parameters)),
        "batch_to": made.batch,
    }
