"""How vendors were reached, by hour: polls that succeeded or failed, deliveries that were acknowledged or not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg


@dataclass(frozen=True, slots=True)
class Reached:
    """What happened with one connector of one product around a moment."""

    product: str
    connector: str
    at: datetime
    polls: int = 0
    polls_failed: int = 0
    deliveries: int = 0
    deliveries_unacknowledged: int = 0


def count_reached(conn: psycopg.Connection[Any], found: Iterable[Reached]) -> None:
    """Add to the counts of their hours (role: writer), in the caller's transaction."""
    rows = sorted(
        (
            one.product,
            one.connector,
            one.at.replace(minute=0, second=0, microsecond=0),
            one.polls,
            one.polls_failed,
            one.deliveries,
            one.deliveries_unacknowledged,
        )
        for one in found
    )
    with conn.cursor() as cursor:
        cursor.executemany(_ADD, rows)


_ADD: Final = """
insert into batuta.connector_hours as known (
    product, connector, hour, polls, polls_failed, deliveries, deliveries_unacknowledged
)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (product, connector, hour) do update set
    polls = known.polls + excluded.polls,
    polls_failed = known.polls_failed + excluded.polls_failed,
    deliveries = known.deliveries + excluded.deliveries,
    deliveries_unacknowledged = known.deliveries_unacknowledged + excluded.deliveries_unacknowledged
"""
