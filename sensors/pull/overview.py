"""How every account at a vendor stands, for people: command line, console and checks read the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg

from batuta.manifests.graph import CompiledGraph
from batuta.settings import Settings
from sensors.pull.accounts import AccountState, Key, accounts, read_states


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account; times are aware, UTC.

    Attributes:
        fetched: It is fetched from; else its vendor only sends.
        counted: What the source says it handed over, as far as is on record.
        missing: How much of that is neither landed nor duplicate, quarantined or filtered; 0 is right.
        refuses: Why deliveries for it are refused, None where they are not.
        subscriptions: State of each push channel, by name.
    """

    product: str
    connector: str
    account: str
    fetched: bool
    last_attempt_at: datetime | None = None
    last_success_at: datetime | None = None
    next_due_at: datetime | None = None
    paused_until: datetime | None = None
    failures: int = 0
    stopped: bool = False
    woken: bool = False
    problem: str | None = None
    refuses: str | None = None
    counted: int = 0
    missing: int = 0
    subscriptions: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def standing(self) -> str:
        """In a word or two."""
        if not self.fetched:
            return "only sends" if self.refuses is None else "refused"
        if self.stopped:
            return "stopped"
        if self.paused_until is not None:
            return "resting"
        if self.problem is not None:
            return "failing"
        return "well" if self.last_success_at is not None else "never fetched"


def overview(
    conn: psycopg.Connection[Any], graph: CompiledGraph, settings: Settings
) -> tuple[AccountView, ...]:
    """Every account of the applied manifests, in their order (role: reader)."""
    found = accounts(graph, settings)
    states = read_states(conn)
    ready = {bound.key for bound in found.ready}
    unready = {one.key: one.sentence for one in found.unready}
    refusing = {one.key: one.sentence for one in found.refusing}
    counts = _counts(conn)
    channels = _channels(conn)
    views: list[AccountView] = []
    for product in graph.products:
        for binding in product.connectors:
            key: Key = (product.name, binding.type, binding.account or "")
            state = states.get(key, AccountState(*key))
            counted, missing = counts.get(key, (0, 0))
            views.append(
                AccountView(
                    *key,
                    fetched=key in ready or key in unready,
                    last_attempt_at=state.last_attempt_at,
                    last_success_at=state.last_success_at,
                    next_due_at=state.next_due_at,
                    paused_until=state.paused_until,
                    failures=state.failures,
                    stopped=state.stopped_at is not None,
                    woken=state.woken,
                    problem=unready.get(key, state.problem),
                    refuses=refusing.get(key),
                    counted=counted,
                    missing=missing,
                    subscriptions=channels.get(key, {}),
                )
            )
    return tuple(views)


def _counts(conn: psycopg.Connection[Any]) -> dict[Key, tuple[int, int]]:
    rows = conn.execute(_COUNTS).fetchall()
    return {(row[0], row[1], row[2]): (int(row[3]), int(row[4])) for row in rows}


def _channels(conn: psycopg.Connection[Any]) -> dict[Key, dict[str, str]]:
    channels: dict[Key, dict[str, str]] = {}
    for product, connector, account, name, state, detail in conn.execute(_CHANNELS).fetchall():
        words = f"{state}: {detail}" if detail else state
        channels.setdefault((product, connector, account), {})[name] = words
    return channels


_COUNTS: Final = """
select product, connector, account, sum(counted), sum(counted - landed - duplicate - quarantined - filtered)
from batuta.completeness group by product, connector, account
"""
_CHANNELS: Final = """
select product, connector, account, name, state, detail from batuta.subscriptions order by name
"""
