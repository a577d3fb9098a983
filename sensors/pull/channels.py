"""How the push channels of an account stand, as the last audit found them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from psycopg.types.json import Jsonb

from batuta.warehouse.connection import Connection
from sensors.connectors.pulling import Subscription
from sensors.pull.accounts import Key


def record_channels(conn: Connection, key: Key, found: Sequence[Subscription], now: datetime) -> None:
    """Replace what is on record by what was found, in the caller's transaction."""
    names = [subscription.name for subscription in found]
    conn.execute(_FORGET, (*key, names))
    for subscription in found:
        values = (
            *(*key, subscription.name, subscription.state, subscription.detail),
            *(subscription.expires_at, Jsonb(dict(subscription.reference)), now),
        )
        conn.execute(_KEEP, values)


_FORGET: Final = """
delete from batuta.subscriptions
where product = %s and connector = %s and account = %s and not name = any(%s)
"""
_KEEP: Final = """
insert into batuta.subscriptions (
    product, connector, account, name, state, detail, expires_at, reference, checked_at
) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (product, connector, account, name) do update set
    state = excluded.state, detail = excluded.detail, expires_at = excluded.expires_at,
    reference = excluded.reference, checked_at = excluded.checked_at
"""
