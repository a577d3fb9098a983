"""Backfills of connectors: a job per connector, a partition per product and month.

A partition adds what the vendor has of that month and the log has not. It may be launched for a range in the Dagster
UI, and again at any time: what is done stays done, what broke off goes on where its last page was committed.
"""

from calendar import monthrange
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

import dagster as dg

from batuta.counting import counted
from batuta.errors import BatutaError
from batuta.landing.cursors import move_cursor
from batuta.landing.model import LandingCounts
from batuta.manifests.graph import CompiledGraph
from batuta_assets.partitions import products
from batuta_assets.runtime import Runtime
from batuta_assets.sources import ACCOUNTS
from sensors import run_tags
from sensors.connectors import CONNECTORS, backfill_kind
from sensors.connectors.pulling import Permanent, RateLimited, Window
from sensors.ears import Ears
from sensors.pull.accounts import BoundAccount
from sensors.pull.positions import backfill_consumer

FIRST_MONTH: Final = "2016-01-01"
STRETCH_S: Final = 120.0
"""After so long without an end, the state is looked at anew (a run that is being cancelled ends there)."""
SHORTEST_WAIT_S: Final = 30.0
LONGEST_WAIT_S: Final = 900.0

months = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, end_offset=1)
product_months = dg.MultiPartitionsDefinition({"product": products, "month": months})


class BackfillConfig(dg.Config):
    """How a month is backfilled."""

    account: str | None = None
    """Only the account of this name; else all of the product's."""
    again: bool = False
    """Fetch the month from its start, whether or not it is done."""


def backfill_jobs(graph: CompiledGraph) -> Iterator[dg.JobDefinition]:
    """A job for each connector that can fetch what was before."""
    for connector in CONNECTORS:
        kind = backfill_kind(connector)
        if kind is not None:
            yield _job(connector, kind, graph)


def pool(connector: str) -> str:
    """The pool of everything that calls a vendor; its limit is the instance's (`deploy/dagster.yaml`)."""
    return f"{connector}_api"


def _job(connector: str, kind: str, graph: CompiledGraph) -> dg.JobDefinition:
    @dg.op(
        name=f"backfill_{connector}_month",
        description="Fetches a month of a product's accounts, from where it broke off.",
        pool=pool(connector),
        retry_policy=dg.RetryPolicy(
            max_retries=5, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL
        ),
        out=dg.Out(dg.Nothing),
    )
    def fetch(context: dg.OpExecutionContext, config: BackfillConfig, runtime: Runtime) -> Iterator[Any]:
        keys = product_months.get_partition_key_from_str(context.partition_key).keys_by_dimension
        product, window = keys["product"], month_window(keys["month"], runtime.now())
        ears = Ears(graph, settings=runtime.settings, url=lambda _: runtime.database_url(), clock=runtime.now)
        total = LandingCounts()
        with closing(ears):
            bounds = chosen(connector, product, config.account, ears)
            for bound in bounds:
                if config.again:
                    forget(bound, window, ears)
                total += fetch_window(context, bound, window, ears)
        counts = {
            "landed": total.landed,
            "duplicate": total.duplicate,
            "quarantined": total.quarantined,
            "filtered": total.filtered,
        }
        yield dg.AssetObservation(
            asset_key=[connector, ACCOUNTS],
            partition=product,
            description=f"{keys['month'][:7]} is backfilled from {counted(len(bounds), 'account')}",
            metadata={**counts, "window": f"{window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}"},
        )
        yield dg.Output(None, metadata=counts)

    said = "what was changed in a month" if kind == "scan" else "what happened in a month"

    @dg.job(
        name=f"backfill_{connector}",
        description=f"Fetches from {connector} {said}, per product, and adds exactly what is missing. Launch it for "
        "a range of months; launching it again does no harm.",
        partitions_def=product_months,
        tags=run_tags.backfill_tags(connector),
        executor_def=dg.in_process_executor,
    )
    def backfill() -> None:
        fetch()

    return backfill


def month_window(month: str, now: datetime) -> Window:
    """A month in UTC. The present one reaches to the end of today, so that it has one name all day long.

    Raises:
        dg.Failure: the month has not begun.
    """
    start = datetime.fromisoformat(month).replace(tzinfo=UTC)
    if start > now:
        raise dg.Failure(description=f"{month[:7]} has not begun", allow_retries=False)
    tomorrow = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    end = start + timedelta(days=monthrange(start.year, start.month)[1])
    return Window(start, min(end, tomorrow))


def chosen(connector: str, product: str, account: str | None, ears: Ears) -> tuple[BoundAccount, ...]:
    """The product's accounts to fetch from; a range of partitions takes in products that have none.

    Raises:
        dg.Failure: the one that is named is not there, or one of them is not ready.
    """
    found = ears.accounts(connector)
    unready = [u for u in found.unready if u.key[0] == product and account in (None, u.key[2])]
    if unready:
        said = " ".join(u.sentence for u in unready)
        raise dg.Failure(description=said, allow_retries=False)
    ready = tuple(b for b in found.ready if b.key[0] == product and account in (None, b.key[2]))
    if not ready and account:
        raise dg.Failure(
            description=f"{product} has no account {account} of {connector} to fetch from; add it under "
            "spec.connectors, with its credentials, and apply",
            allow_retries=False,
        )
    return ready


def forget(bound: BoundAccount, window: Window, ears: Ears) -> None:
    """Let a window be fetched from its start."""
    product, connector, account = bound.key
    with ears.means().connect() as conn:
        move_cursor(conn, backfill_consumer(connector, account, window), None, product)


def fetch_window(
    context: dg.OpExecutionContext, bound: BoundAccount, window: Window, ears: Ears
) -> LandingCounts:
    """Fetch a window to its end, stretch by stretch, saying how far it is.

    Raises:
        dg.RetryRequested: the vendor wants to be left alone, or somebody else is at it.
        dg.Failure: the vendor did not give it; retried unless only a person can mend it.
    """
    from sensors.pull.run import backfill_account

    total = LandingCounts()
    name = f"{bound.key[1]} {bound.key[2]}".strip()
    while True:
        told = _Telling(context, name, total)
        polled = backfill_account(
            bound, window, ears.means(), deadline=monotonic() + STRETCH_S, progress=told.so_far
        )
        total += polled.counts
        for note in polled.notes:
            context.log.info("%s: %s", name, note)
        if polled.busy:
            raise dg.RetryRequested(max_retries=20, seconds_to_wait=SHORTEST_WAIT_S)
        if polled.problem is not None:
            raise _stopped(name, polled.problem, ears.clock())
        if polled.complete:
            context.log.info("%s; done", progress_line(name, total))
            return total
        if polled.pages == 0:
            raise dg.Failure(description=f"{name}: the vendor gave nothing in {STRETCH_S:.0f} s")


@dataclass(frozen=True, slots=True)
class _Telling:
    """Says how far a window is, page by page."""

    context: dg.OpExecutionContext
    name: str
    before: LandingCounts

    def so_far(self, counts: LandingCounts) -> None:
        self.context.log.info(progress_line(self.name, self.before + counts))


def progress_line(name: str, counts: LandingCounts) -> str:
    """How far a window is."""
    return (
        f"{name}: {counts.landed} landed, {counts.duplicate} there already, {counts.quarantined} quarantined, "
        f"{counts.filtered} filtered"
    )


def _stopped(name: str, problem: BatutaError, now: datetime) -> Exception:
    if isinstance(problem, RateLimited):
        wait = (problem.until - now).total_seconds()
        return dg.RetryRequested(
            max_retries=50, seconds_to_wait=min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, wait))
        )
    return dg.Failure(
        description=f"{name}: {problem.sentence}", allow_retries=not isinstance(problem, Permanent)
    )
