"""Fetching from the command line: which account is meant, polling it now, backfilling it; without any printing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from batuta.errors import BatutaError, UsageError
from batuta.landing.model import LandingCounts
from batuta.manifests.bundle import bundle_path, read_bundle
from batuta.manifests.graph import CompiledGraph, CompiledProduct
from batuta.settings import Settings
from sensors.connectors import connector as connector_named
from sensors.connectors import fetches
from sensors.connectors.pulling import RateLimited, Window
from sensors.pull.accounts import BoundAccount, Unready, accounts, resume
from sensors.pull.means import Means
from sensors.pull.run import Polled, backfill_account, forget_backfill, poll_account

STRETCH_S = 300.0
LONGEST_REST_S = 900.0


class Busy(BatutaError):
    """Another process is fetching the same."""


Told = Callable[[LandingCounts], None]


@dataclass(slots=True)
class Fetched:
    """What came of it."""

    counts: LandingCounts = field(default_factory=LandingCounts)
    pages: int = 0
    problem: BatutaError | None = None
    notes: list[str] = field(default_factory=list[str])

    def add(self, polled: Polled) -> None:
        """Take in what one call brought."""
        self.counts += polled.counts
        self.pages += polled.pages
        self.problem = polled.problem
        self.notes += [note for note in polled.notes if note not in self.notes]


def chosen_accounts(
    settings: Settings, product: str, connector: str, account: str | None
) -> tuple[tuple[BoundAccount, ...], tuple[Unready, ...]]:
    """The accounts meant by a product, a connector and perhaps a name: at least one ready, and those that are not.

    Raises:
        UsageError: no such connector or product.
        BatutaError: no account is there, or none can be fetched from as things are.
    """
    speaker = connector_named(connector)
    graph = read_bundle(bundle_path(settings.home))
    applied = product_named(graph, product)
    if not fetches(connector):
        raise UsageError(f"{connector} only sends: there is nothing to fetch")
    found = accounts(graph, settings).of(connector)

    def meant(key: Sequence[str]) -> bool:
        return key[0] == product and (account is None or speaker.same_account(key[2], account))

    ready = tuple(bound for bound in found.ready if meant(bound.key))
    unready = tuple(one for one in found.unready if meant(one.key))
    if unready and not ready:
        raise BatutaError("; ".join(one.problem for one in unready), hint=unready[0].hint)
    if not ready:
        raise _nothing_meant(applied, connector, account)
    return ready, unready


def product_named(graph: CompiledGraph, name: str) -> CompiledProduct:
    """The product in force.

    Raises:
        UsageError: there is none of this name; the message lists those there are.
    """
    found = graph.product(name)
    if found is None:
        known = ", ".join(one.name for one in graph.products) or "none"
        raise UsageError(f"no product {name} is applied; there are: {known}")
    return found


def account_names(product: CompiledProduct, connector: str) -> str:
    """The product's accounts of a connector, for a message."""
    names = [one.account or "(without a name)" for one in product.connectors if one.type == connector]
    return ", ".join(names) or "none"


def _nothing_meant(product: CompiledProduct, connector: str, account: str | None) -> BatutaError:
    speaker = connector_named(connector)
    bound = [one.account or "" for one in product.connectors if one.type == connector]
    if account is not None and not any(speaker.same_account(name, account) for name in bound):
        return UsageError(
            f"product {product.name} has no account {account} of {connector}; "
            f"there are: {account_names(product, connector)}"
        )
    named = f" {account}" if account else ""
    return BatutaError(
        f"product {product.name} has no account{named} of {connector} to fetch from",
        hint=f"Name its credentials under spec.connectors (see docs/connectors/{connector}.md), and apply.",
    )


def poll_now(bound: BoundAccount, means: Means, *, told: Told | None = None) -> Fetched:
    """Poll an account to its end, whatever kept it from being polled before."""
    with means.connect() as conn:
        resume(conn, bound.key)
    fetched = Fetched()
    _stretches(lambda deadline: poll_account(bound, means, deadline=deadline, progress=told), fetched, means)
    return fetched


def backfill_now(
    bound: BoundAccount,
    windows: Iterable[Window],
    means: Means,
    *,
    again: bool = False,
    told: Told | None = None,
    window_done: Callable[[Window], None] | None = None,
) -> Fetched:
    """Fetch windows one after the other; breaks off at the first problem, to go on from there next time."""
    fetched = Fetched()
    for window in windows:
        if again:
            forget_backfill(bound, window, means)

        def stretch(deadline: float, window: Window = window) -> Polled:
            return backfill_account(bound, window, means, deadline=deadline, progress=told)

        _stretches(stretch, fetched, means)
        if fetched.problem is not None:
            break
        if window_done is not None:
            window_done(window)
    return fetched


def _stretches(call: Callable[[float], Polled], fetched: Fetched, means: Means) -> None:
    """Call until there is no more; rests that a vendor asks for are taken where they are short."""
    while True:
        polled = call(means.monotonic() + STRETCH_S)
        if polled.busy:
            fetched.problem = Busy(
                "another process is fetching the same now", hint="Let it finish, then try again."
            )
            return
        fetched.add(polled)
        if isinstance(polled.problem, RateLimited):
            rest = (polled.problem.until - datetime.now(UTC)).total_seconds()
            if rest <= LONGEST_REST_S:
                time.sleep(max(rest, 0.0))
                continue
        if polled.problem is not None or polled.complete:
            return
