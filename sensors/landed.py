"""What has landed since a position of the event log, per dataset and product: what the source assets report.

Reads by batch number, in slices and under a deadline, so that catching up never holds a tick. No Dagster
here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from batuta.landing.reader import last_batch

SLICE_BATCHES = 2_000


@dataclass(frozen=True, slots=True)
class Landed:
    """News of one dataset of one product. `rows_total` counts what ever landed, retention or not."""

    product: str
    dataset: str
    rows: int
    rows_total: int
    batch: int
    last_event_at: datetime


@dataclass(frozen=True, slots=True)
class News:
    """All that landed up to `position`; `complete` unless the deadline cut the reading short."""

    position: int
    landed: tuple[Landed, ...]
    complete: bool


def read_news(
    conn: psycopg.Connection[Any],
    connector: str,
    after: int,
    *,
    deadline: float,
    monotonic: Callable[[], float],
) -> News:
    """Sum up what a connector landed after a batch.

    A position beyond the log's end (the log was restored from an older backup) starts from the beginning:
    reporting once more is harmless, missing something is not.
    """
    end = last_batch(conn)
    position = after if after <= end else 0
    found: dict[tuple[str, str], tuple[int, int, datetime]] = {}
    while position < end:
        upto = min(end, position + SLICE_BATCHES)
        for product, dataset, rows, batch, at in conn.execute(_NEWS, (connector, position, upto)):
            before = found.get((product, dataset), (0, 0, at))
            found[product, dataset] = (before[0] + rows, max(before[1], batch), max(before[2], at))
        position = upto
        if monotonic() > deadline:
            break
    totals = _totals(conn, connector, sorted(found))
    landed = tuple(
        Landed(product, dataset, rows, max(rows, totals.get((product, dataset), 0)), batch, at)
        for (product, dataset), (rows, batch, at) in sorted(found.items())
    )
    return News(position, landed, complete=position >= end)


def _totals(
    conn: psycopg.Connection[Any], connector: str, keys: list[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    if not keys:
        return {}
    rows = conn.execute(_TOTALS, ([k[0] for k in keys], [k[1] for k in keys], connector))
    return {(product, dataset): int(total) for product, dataset, total in rows}


_NEWS = """
select product, dataset, count(*), max(batch), max(time)
from batuta.events
where connector = %s and batch > %s and batch <= %s
group by product, dataset
"""

_TOTALS = """
select k.product, k.dataset, coalesce(sum(c.landed), 0)
from unnest(%s::text[], %s::text[]) as k (product, dataset)
left join batuta.intake_counts as c on c.product = k.product and c.connector = %s and c.dataset = k.dataset
group by k.product, k.dataset
"""
