"""What the connectors' sensors listen with, and whom they have to listen to. No Dagster here.

What fetching needs (HTTP, landing) is imported when the first account is due: every run loads the sensors too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg

from batuta.manifests.graph import CompiledGraph
from batuta.settings import Settings
from batuta.warehouse.connection import Connection, connect
from sensors.audits import Audit, audits_due, note_audit, read_audits
from sensors.connectors import CONNECTORS
from sensors.connectors.pulling import RateLimited
from sensors.liveness.verdict import Bound
from sensors.pull.accounts import Accounts, AccountState, BoundAccount, Key, accounts, due, read_states
from sensors.rounds import AUDITED, POLLED, Task

if TYPE_CHECKING:
    from sensors.pull.means import Means


class Ears:
    """Settings, connections and means of fetching of this process; looked up when they are needed, never at load.

    `means` are made when the first account is due and kept for all connectors.
    """

    def __init__(
        self,
        graph: CompiledGraph,
        *,
        settings: Callable[[], Settings],
        url: Callable[[Settings], str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.graph = graph
        self.clock = clock
        self._settings = settings
        self._url = url
        self._means: Means | None = None
        self._opening = Lock()

    def connect(self) -> Connection:
        """A connection that reads."""
        return connect(self._url(self._settings()), "reader", application="batuta-sensor")

    def accounts(self, connector: str) -> Accounts:
        """The accounts of one connector, with their secrets as they are now."""
        known = {name: module for name, module in CONNECTORS.items() if name == connector}
        return accounts(self.graph, self._settings(), known)

    def means(self) -> Means:
        """What fetching works with.

        Raises:
            BatutaError: keys or contracts are not usable.
        """
        from sensors.pull.means import Means

        with self._opening:
            if self._means is None:
                settings = self._settings()
                self._means = replace(Means.open(settings, self._url(settings)), clock=self.clock)
            return self._means

    def close(self) -> None:
        """Let go of connections to vendors."""
        if self._means is not None:
            self._means.client.close()
            self._means = None


def bound_accounts(graph: CompiledGraph, connector: str, found: Accounts) -> tuple[Bound, ...]:
    """Every account that products are bound to, fetched from or not, each once."""
    fetched = {account.key for account in found.ready}
    problems = {unready.key: unready.problem for unready in found.unready}
    refused = {refusing.key: refusing.problem for refusing in found.refusing}
    bound = {
        (product.name, connector, binding.account or "")
        for product in graph.products
        for binding in product.connectors
        if binding.type == connector
    }
    return tuple(
        Bound(key[0], key[2], fetches=key in fetched, unready=problems.get(key), refuses=refused.get(key))
        for key in sorted(bound)
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How the accounts of a connector stand, by product, connector and account."""

    states: Mapping[Key, AccountState]
    audits: Mapping[Key, Audit]


def read_standing(conn: psycopg.Connection[Any], connector: str) -> Standing:
    """Two queries, however many accounts there are."""
    return Standing(read_states(conn, connector), read_audits(conn, connector))


def tasks(
    ears: Ears, ready: Sequence[BoundAccount], standing: Standing, now: datetime, deadline: float
) -> list[Task]:
    """What is to be done now: polls first, then audits; each the longest waiting first."""
    from sensors.pull.run import audit_account, poll_account

    def poll(bound: BoundAccount) -> str | None:
        problem = poll_account(bound, ears.means(), deadline=deadline).problem
        return None if problem is None or isinstance(problem, RateLimited) else problem.message

    def audit(bound: BoundAccount) -> str | None:
        means = ears.means()
        _, problem = audit_account(bound, means, deadline=deadline)
        with means.connect() as conn:
            note_audit(conn, bound.key, means.clock(), done=problem is None)
        return None if problem is None or isinstance(problem, RateLimited) else problem.message

    polls = [Task(POLLED, bound, poll) for bound in due(ready, standing.states, now)]
    audits = audits_due(ready, standing.audits, standing.states, now)
    return polls + [Task(AUDITED, bound, audit) for bound in audits]
