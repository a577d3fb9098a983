"""How assets are partitioned: sources by product, what is made of them by product and day, dbt not at all.

Products are dynamic partitions and never part of an asset key. A day is a product's local date.
"""

from datetime import date

import dagster as dg

FIRST_DAY = "2024-01-01"

products = dg.DynamicPartitionsDefinition(name="product")
# Two days ahead of UTC's: a zone east of it is already in its tomorrow.
days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=2)
product_days = dg.MultiPartitionsDefinition({"product": products, "day": days})


def partition_key(product: str, day: date) -> dg.MultiPartitionKey:
    """The partition of one product's day, as in `2025-11-12|arcsat`."""
    return dg.MultiPartitionKey({"day": day.isoformat(), "product": product})


def product_and_day(key: str) -> tuple[str, date]:
    """The product and the day of a partition key."""
    parts = product_days.get_partition_key_from_str(key).keys_by_dimension
    return parts["product"], date.fromisoformat(parts["day"])
