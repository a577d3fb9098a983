"""Makes one Dagster sensor of each connector, however many products and accounts there are.

A tick polls the accounts that are due, looks after their push channels, reports what landed as news of the source
assets, and says how the checks stand when that has changed. Whatever it does is kept by the database in the moment it
is done: a tick may be killed, and its cursor only says what has been reported.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg
import psycopg

from batuta.counting import counted
from batuta.errors import BatutaError
from batuta.events.types import datasets
from sensors.ears import Ears, bound_accounts, read_standing, tasks
from sensors.factory import add_products
from sensors.landed import Landed, News, read_news
from sensors.liveness.evaluate import CheckName, check_names, evaluate
from sensors.liveness.verdict import Bound, Verdict
from sensors.rounds import Attempt, all_failed, failed, take_round

BUDGET_S: Final = 40.0
"""Dagster gives a tick 60 s."""
LISTENING_S: Final = 10
REPORTING_S: Final = 30
"""Between two ticks of a connector to which nobody has an account."""
CHECK_EVERY: Final = timedelta(minutes=5)
SAY_AGAIN: Final = timedelta(hours=6)
"""A verdict that nobody renews would look well when nobody looks any more."""
VERSION: Final = 2
SHOWN_ROWS: Final = 50


class SourcesFailed(BatutaError):
    """Every account that was called failed."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far the log is reported, when the checks were last made, and what was said of each, when."""

    batch: int = 0
    checked_at: datetime | None = None
    said: Mapping[str, tuple[str, datetime]] = field(default_factory=dict[str, tuple[str, datetime]])

    @classmethod
    def parse(cls, cursor: str | None) -> "Position":
        """Read a cursor; a plain number is one of version 1. One that cannot be read starts from the beginning."""
        try:
            document = json.loads(cursor or "")
            if isinstance(document, int):
                return cls(max(0, document))
            checked = document["checked_at"]
            return cls(
                int(document["position"]),
                None if checked is None else datetime.fromisoformat(checked),
                {
                    name: (digest, datetime.fromisoformat(at))
                    for name, (digest, at) in document["said"].items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def text(self) -> str:
        """The cursor to keep."""
        said = {name: [digest, at.isoformat()] for name, (digest, at) in sorted(self.said.items())}
        checked = None if self.checked_at is None else self.checked_at.isoformat()
        return json.dumps({"version": VERSION, "position": self.batch, "checked_at": checked, "said": said})


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick found."""

    attempts: tuple[Attempt, ...]
    unready: tuple[str, ...]
    news: News
    verdicts: Mapping[CheckName, Verdict]
    products: frozenset[str]
    """Products that Dagster has to know."""
    position: Position
    """The next one."""


def connector_sensor(
    connector: str, ears: Ears, *, products: dg.DynamicPartitionsDefinition
) -> dg.SensorDefinition:
    """The sensor of a connector.

    A tick in which everything that was called failed is a failed tick; the next one reports what it would have.
    """
    bound = any(b.type == connector for product in ears.graph.products for b in product.connectors)

    @dg.sensor(
        name=f"connector_{connector}",
        description=f"Polls the accounts of {connector}, looks after their push channels, and reports what landed as "
        "new versions of the source assets.",
        minimum_interval_seconds=LISTENING_S if bound else REPORTING_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def listen(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        position = Position.parse(context.cursor)
        tick = take_tick(connector, ears, position, time.monotonic() + BUDGET_S)
        problems = failed(tick.attempts)
        if all_failed(tick.attempts):
            raise SourcesFailed(" ".join(f"{problem.rstrip('.')}." for problem in problems))
        for problem in problems:
            context.log.warning(problem)
        events: list[Any] = [materialization(connector, item) for item in tick.news.landed]
        events += [
            evaluation(connector, name, verdict)
            for name, verdict in tick.verdicts.items()
            if is_news(position, name, verdict, ears.clock())
        ]
        return dg.SensorResult(
            asset_events=events,
            skip_reason=summary(connector, tick, len(events) - len(tick.news.landed)),
            dynamic_partitions_requests=add_products(context.instance, products, tick.products),
            cursor=tick.position.text(),
        )

    return listen


def take_tick(connector: str, ears: Ears, position: Position, deadline: float) -> Tick:
    """Everything a tick does, without saying it."""
    now = ears.clock()
    found = ears.accounts(connector)
    bound = bound_accounts(ears.graph, connector, found)
    with ears.connect() as conn:
        to_do = []
        if found.ready:
            to_do = tasks(ears, found.ready, read_standing(conn, connector), now, deadline)
            conn.rollback()
        attempts = take_round(to_do, deadline=deadline)
        news = read_news(conn, connector, position.batch, deadline=deadline, monotonic=time.monotonic)
        verdicts: dict[CheckName, Verdict] = {}
        checked_at = position.checked_at
        if bound and _checks_are_due(position, attempts, now):
            verdicts = _verdicts(conn, connector, bound, now)
            checked_at = now
    said = {_label(name): (v.digest, now) for name, v in verdicts.items() if is_news(position, name, v, now)}
    after = Position(news.position, checked_at, {**(position.said if bound else {}), **said})
    unready = tuple(f"{b.name} cannot be polled: {b.unready}" for b in bound if b.unready)
    # A product with accounts can be backfilled before anything has landed.
    concerned = {item.product for item in news.landed} | {b.product for b in bound if verdicts}
    return Tick(attempts, unready, news, verdicts, frozenset(concerned), after)


def is_news(position: Position, name: CheckName, verdict: Verdict, now: datetime) -> bool:
    """Whether a verdict is another than the one that was reported, or that one is long ago."""
    digest, at = position.said.get(_label(name), ("", now))
    return digest != verdict.digest or at <= now - SAY_AGAIN


def _checks_are_due(position: Position, attempts: Iterable[Attempt], now: datetime) -> bool:
    if position.checked_at is None or any(attempt.problem is not None for attempt in attempts):
        return True
    return now >= position.checked_at + CHECK_EVERY


def _verdicts(
    conn: psycopg.Connection[Any], connector: str, bound: Sequence[Bound], now: datetime
) -> dict[CheckName, Verdict]:
    return evaluate(conn, connector, check_names(datasets()[connector]), bound, now)


def _label(name: CheckName) -> str:
    return "/".join(name)


def summary(connector: str, tick: Tick, said: int) -> str:
    """What the tick did, for the list of ticks; a connector's sensor never asks for a run."""
    rows = sum(item.rows for item in tick.news.landed)
    news = f"{counted(rows, 'event')} landed" if rows else f"nothing new from {connector}"
    parts = [
        counted(len(tick.attempts), "call") if tick.attempts else "",
        f"{news}, up to batch {tick.news.position}",
        f"{counted(said, 'check')} with something to say" if said else "",
        *tick.unready,
    ]
    return "; ".join(part for part in parts if part)


def materialization(connector: str, item: Landed) -> dg.AssetMaterialization:
    """The news of one dataset and product, as an event of its source asset."""
    return dg.AssetMaterialization(
        asset_key=[connector, item.dataset],
        partition=item.product,
        description=f"{counted(item.rows, 'event')} landed, up to batch {item.batch}",
        metadata={
            "dagster/partition_row_count": item.rows_total,
            "new_events": item.rows,
            "last_batch": item.batch,
            "last_event": dg.MetadataValue.timestamp(item.last_event_at),
        },
        tags={"dagster/data_version": str(item.batch)},
    )


def evaluation(connector: str, name: CheckName, verdict: Verdict) -> dg.AssetCheckEvaluation:
    """A verdict as an evaluation of the source asset's check, made without a run."""
    subject, check = name
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey([connector, subject]),
        check_name=check,
        passed=verdict.passed,
        severity=severity(verdict),
        description=verdict.text,
        metadata=evidence(verdict),
    )


def severity(verdict: Verdict) -> dg.AssetCheckSeverity:
    """How grave the findings are."""
    return dg.AssetCheckSeverity.WARN if verdict.warns else dg.AssetCheckSeverity.ERROR


def evidence(verdict: Verdict) -> dict[str, Any]:
    """The rows behind a verdict, as a table of the UI."""
    rows = verdict.evidence
    counts = {"findings": len(verdict.findings)}
    if not rows:
        return dict(counts)
    columns = [dg.TableColumn(name) for name in rows[0]]
    records = [
        dg.TableRecord({k: "" if v is None else v for k, v in row.items()}) for row in rows[:SHOWN_ROWS]
    ]
    return {**counts, "evidence": dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))}
