"""Makes one Dagster sensor of each connector: it reports what landed as news of the connector's source assets."""

import time

import dagster as dg

from sensors.factory import Connect, add_products
from sensors.landed import Landed, parse_position, read_news

BUDGET_S = 40.0


def connector_sensor(
    connector: str, *, products: dg.DynamicPartitionsDefinition, connect: Connect
) -> dg.SensorDefinition:
    """Reports, per dataset and product of a connector, that its source asset has news, with the batch as data
    version.

    Only what changed is reported. A product is added to the partitions when its first event has landed.
    """

    @dg.sensor(
        name=f"connector_{connector}",
        description=f"Reports what landed from {connector} as new versions of its source assets.",
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def landed(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        deadline = time.monotonic() + BUDGET_S
        with connect() as conn:
            news = read_news(
                conn, connector, parse_position(context.cursor), deadline=deadline, monotonic=time.monotonic
            )
        if not news.landed:
            return dg.SensorResult(
                skip_reason=f"nothing new from {connector} up to batch {news.position}",
                cursor=str(news.position),
            )
        return dg.SensorResult(
            asset_events=[materialization(connector, item) for item in news.landed],
            dynamic_partitions_requests=add_products(
                context.instance, products, {n.product for n in news.landed}
            ),
            cursor=str(news.position),
        )

    return landed


def materialization(connector: str, item: Landed) -> dg.AssetMaterialization:
    """The news of one dataset and product, as an event of its source asset."""
    return dg.AssetMaterialization(
        asset_key=[connector, item.dataset],
        partition=item.product,
        description=f"{item.rows} events landed, up to batch {item.batch}",
        metadata={
            "dagster/partition_row_count": item.rows_total,
            "new_events": item.rows,
            "last_batch": item.batch,
            "last_event": dg.MetadataValue.timestamp(item.last_event_at),
        },
        tags={"dagster/data_version": str(item.batch)},
    )
