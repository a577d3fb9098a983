"""How a product's accounts at vendors stand, in a reader's words: the rows that `batuta connectors` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from batuta.facts import format_value
from batuta.manifests.graph import CompiledGraph
from batuta.reports.formats import moment
from batuta.settings import Settings
from batuta.warehouse.connection import Connection
from sensors.pull.overview import AccountView, overview

STANDINGS: Final = {
    "well": "account_well",
    "only sends": "account_sends",
    "never fetched": "account_never",
    "resting": "account_resting",
    "stopped": "account_stopped",
    "failing": "account_failing",
    "refused": "account_refused",
}
"""The word for each `AccountView.standing`."""


class AccountLine:
    """One account as a line of a table."""

    def __init__(self, view: AccountView, zone: str, locale: str, words: Mapping[str, str]) -> None:
        self.view = view
        self._zone = zone
        self._locale = locale
        self._words = words

    @property
    def name(self) -> str:
        """Connector and account."""
        return " ".join(filter(None, (self.view.connector, self.view.account)))

    @property
    def standing(self) -> str:
        """How it stands, in a word or two."""
        return self._words[STANDINGS[self.view.standing]]

    @property
    def fetched(self) -> str:
        """When it was last fetched from; a dash where it never was."""
        at = self.view.last_success_at
        return "—" if at is None else moment(at, self._zone, self._locale)

    @property
    def counted(self) -> str:
        """What the source says it handed over; a dash where it says nothing."""
        return format_value(self.view.counted, "count", self._locale) if self.view.counted else "—"

    @property
    def missing(self) -> str:
        """How much of that is not accounted for."""
        return format_value(self.view.missing, "count", self._locale) if self.view.counted else "—"

    @property
    def notes(self) -> list[str]:
        """What is wrong, and how its push channels stand; in English, as in the log."""
        channels = (f"{name}: {state}" for name, state in self.view.subscriptions.items())
        return [*filter(None, (self.view.problem, self.view.refuses)), *channels]

    @property
    def checks(self) -> str:
        """Where Dagster shows the checks of its connector, below Dagster's address."""
        return f"/assets/{self.view.connector}/accounts?view=checks"


def read_accounts(
    conn: Connection, graph: CompiledGraph, settings: Settings, product: str
) -> Sequence[AccountView]:
    """The accounts of a product, in the manifest's order (role: reader)."""
    own = graph.product(product)
    return () if own is None else overview(conn, CompiledGraph(products=(own,)), settings)
