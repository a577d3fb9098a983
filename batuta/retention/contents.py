"""Attachments and media of what retention lets go of: they leave the blob store with the last event that names them.

Which contents an event named is noted in the transaction in which it goes (`batuta.contents_let_go`); the store, which
knows no transactions, is told afterwards. Killed in between, the note is still there. A content that another event
names, in the log or among the kept, stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from batuta.privacy.contents import CONNECTORS, Contents

_NAMED: Final = sql.SQL(
    """
    select events.product, found[1] as digest, count(distinct events.key) as events
    from {relation} as events, regexp_matches(events.data::text, 'sha256:[0-9a-f]{{64}}', 'g') as found
    where events.connector = any({connectors}) and ({condition})
    group by events.product, found[1]
    """
)
_NOTE: Final = sql.SQL(
    "insert into batuta.contents_let_go (product, digest, policy) "
    "select named.product, named.digest, coalesce({policies}::jsonb ->> named.product, {otherwise}) "
    "from ({named}) as named on conflict do nothing"
)


def note(
    conn: psycopg.Connection[Any],
    relation: sql.Composable,
    condition: sql.Composable,
    policies: Mapping[str, str],
    otherwise: str = "",
) -> None:
    """Note what the events of a relation that are about to go name; in the transaction in which they go (role: owner).

    Args:
        conn: In that transaction.
        relation: Where the events are.
        condition: Which of its rows, called `events`, go.
        policies: Why, by product.
        otherwise: Why, for all others.
    """
    statement = _NOTE.format(
        policies=sql.Literal(Jsonb(dict(policies))),
        otherwise=sql.Literal(otherwise),
        named=_named(relation, condition),
    )
    conn.execute(statement)


def named(
    conn: psycopg.Connection[Any], relation: sql.Composable, condition: sql.Composable
) -> Counter[tuple[str, str]]:
    """How many events of a relation name each content, by product and digest."""
    rows = conn.execute(_named(relation, condition)).fetchall()
    return Counter({(product, digest): events for product, digest, events in rows})


def still_named(conn: psycopg.Connection[Any], products: Set[str]) -> Counter[tuple[str, str]]:
    """How many events there are, in the log or kept, that name each content of these products."""
    condition = sql.SQL("events.product = any({})").format(sql.Literal(sorted(products)))
    return named(conn, sql.SQL("batuta.history"), condition)


def release(conn: psycopg.Connection[Any], store: Contents) -> list[tuple[str, str, int, int]]:
    """Delete from the store what was noted and nothing names any more; product, policy, noted, deleted (role: owner).

    One transaction: fails the store, the notes stay, and the next call does it again.

    Raises:
        BlobStoreFailed: the store does not answer.
    """
    with conn.transaction():
        notes: Sequence[tuple[str, str, str]] = conn.execute(
            "select product, digest, policy from batuta.contents_let_go order by product, policy, digest for update"
        ).fetchall()
        if not notes:
            return []
        in_use = still_named(conn, {product for product, _, _ in notes})
        noted, deleted = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for product, digest, policy in notes:
            noted[product, policy] += 1
            if not in_use[product, digest]:
                store.delete(product, digest)
                deleted[product, policy] += 1
        conn.execute("delete from batuta.contents_let_go")
    return [(product, policy, count, deleted[product, policy]) for (product, policy), count in noted.items()]


def _named(relation: sql.Composable, condition: sql.Composable) -> sql.Composed:
    return _NAMED.format(relation=relation, connectors=sql.Literal(list(CONNECTORS)), condition=condition)
