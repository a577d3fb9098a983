"""The slow look at the marts: suites of Great Expectations, days and values that are odd, data that are late.

A job of its own, asked for after each refresh, because importing the library alone takes longer than a whole review.
The suites read the same rules a second time and independently, with evidence and a page for each contract; that a gate
closes does not wait for them (`standing.py`). Odd and late data are warnings and stop nothing.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg
import psycopg

from batuta.events.types import datasets
from batuta.landing.cursors import get_cursor
from batuta.quality import watch
from batuta.quality.breaks import last_checks, record
from batuta.quality.check import Outcome
from batuta.quality.contract import DataContract
from batuta_assets.gates import REFRESHED
from batuta_assets.quality.standing import check_of, contract_result
from batuta_assets.runtime import Runtime, connector_to
from sensors.factory import Connect
from sensors.liveness.evaluate import ACCOUNTS

JOB: Final = "data_quality"
PLATFORM_REFRESHED: Final = "refresh_platform"
"""Where the refresh of the platform's models keeps how far it is."""
SUITE: Final = "suite"
DAYS: Final = "odd_days"
VALUES: Final = "odd_values"
VOLUME: Final = "odd_volume"
FRESH: Final = "fresh"
DAILY: Final = dg.AssetKey(["marts", "fct_product_daily"])
ORDERS: Final = dg.AssetKey(["marts", "fct_orders"])
SENSOR_S: Final = 60
SAY_AGAIN: Final = timedelta(hours=6)
SHOWN: Final = 50


def suite_checks(
    contracts: Sequence[DataContract], keys: Mapping[str, dg.AssetKey]
) -> list[dg.AssetChecksDefinition]:
    """A step per contract: as one step for all, suites would stand both before and after what is made in between."""
    return [
        _suite_check(contract, check_of(contract, keys[contract.name], SUITE))
        for contract in contracts
        if contract.name in keys
    ]


def _suite_check(contract: DataContract, check: dg.AssetCheckKey) -> dg.AssetChecksDefinition:
    """A suite as a check; it gives exactly one result, whatever happens."""

    @dg.multi_asset_check(
        name=re.sub(r"[^A-Za-z0-9_]", "_", f"{SUITE}_{contract.name}"),
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=check.asset_key,
                description=f"Data contract {contract.reference} as a suite of Great Expectations.",
                blocking=True,
                metadata={"contract": contract.reference, "expectations": len(contract.rules) + 1},
            )
        ],
    )
    def contract_suite(
        context: dg.AssetCheckExecutionContext, runtime: Runtime
    ) -> Iterator[dg.AssetCheckResult]:
        from batuta_assets.quality.suites import suites

        with runtime.connect("reader") as conn:
            batches = {last.contract: last.batch for last in last_checks(conn)}
        pages = runtime.settings().home / "quality" / "docs"
        with suites(runtime.database_url(), pages) as ready:
            verdict = ready.run(contract)
        keep(runtime, verdict.outcome, batches.get(contract.name, 0), context.run.run_id)
        result = contract_result(verdict.outcome, check)
        page = {} if verdict.page is None else {"data_docs": dg.MetadataValue.url(verdict.page.as_uri())}
        failed = {"not_met": ", ".join(verdict.failed)} if verdict.failed else {}
        yield result._replace(
            metadata={**result.metadata, "expectations": verdict.expectations, **failed, **page}
        )

    return contract_suite


def keep(runtime: Runtime, outcome: Outcome, batch: int, run_id: str) -> None:
    """Keep what a suite found beside what the rules have found."""
    with runtime.connect("writer") as conn, conn.transaction():
        record(conn, outcome, batch=batch, now=runtime.now(), run_id=run_id, found_by="suite")


def watch_checks(
    contracts: Sequence[DataContract], keys: Mapping[str, dg.AssetKey], platform: Collection[str] = ()
) -> list[dg.AssetChecksDefinition]:
    """The warnings: days and values of the marts, volume of each connector, freshness of each contract.

    `platform` names the contracts about the platform, which are as fresh as its own refresh.
    """
    marts = set(keys.values())
    promised = {check_of(c, keys[c.name], FRESH): c for c in contracts if c.name in keys and c.fresh_within}
    methods: dict[dg.AssetCheckKey, str] = {
        **({dg.AssetCheckKey(DAILY, DAYS): watch.DAY_METHOD} if DAILY in marts else {}),
        **({dg.AssetCheckKey(ORDERS, VALUES): watch.SHIFT_METHOD} if ORDERS in marts else {}),
        **{dg.AssetCheckKey(dg.AssetKey([name, ACCOUNTS]), VOLUME): watch.DAY_METHOD for name in datasets()},
        **{check: f"{watch.FRESH_METHOD} Promised: {c.fresh_within}." for check, c in promised.items()},
    }

    @dg.multi_asset_check(
        name="odd_and_late",
        specs=[dg.AssetCheckSpec(c.name, asset=c.asset_key, description=text) for c, text in methods.items()],
        can_subset=True,
    )
    def odd_and_late(
        context: dg.AssetCheckExecutionContext, runtime: Runtime
    ) -> Iterator[dg.AssetCheckResult]:
        now = runtime.now()
        with runtime.connect("reader") as conn:
            ages = _ages(conn, list(promised.values()), platform, now)
            for check in (c for c in methods if c in context.selected_asset_check_keys):
                if check in promised:
                    yield _late_result(promised[check], check, ages.get(promised[check].name))
                    continue
                try:
                    with conn.transaction():
                        looked_at, alarms = _alarms(conn, check, now)
                except psycopg.Error as error:
                    yield _unread(check, error)
                else:
                    yield _alarm_result(check, looked_at, alarms)

    return [odd_and_late]


def refreshed_to(conn: psycopg.Connection[Any]) -> int:
    """The last batch that the marts take in."""
    position = get_cursor(conn, REFRESHED)
    return int(position["batch"]) if position is not None else 0


def platform_refreshed_to(conn: psycopg.Connection[Any]) -> int:
    """The last batch that the models about the platform take in."""
    position = get_cursor(conn, PLATFORM_REFRESHED)
    return int(position["facts"][-1]) if position is not None else 0


def _ages(
    conn: psycopg.Connection[Any],
    contracts: Sequence[DataContract],
    platform: Collection[str],
    now: datetime,
) -> dict[str, timedelta]:
    """The contracts whose freshness is broken, each by the refresh that it belongs to."""
    own = [contract for contract in contracts if contract.name in platform]
    marts = [contract for contract in contracts if contract.name not in platform]
    found = watch.late(conn, marts, refreshed_to(conn), now)
    return found | watch.late(conn, own, platform_refreshed_to(conn), now)


def quality_job(checks: Sequence[dg.AssetChecksDefinition]) -> Any:
    """All of it as one job."""
    keys = [key for definition in checks for key in definition.check_keys]
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.checks(*keys),
        description="Runs the contracts' suites and looks for what is odd or late; after each refresh of the marts.",
        tags={"dagster/priority": "-1"},
        executor_def=dg.in_process_executor,
    )


@dataclass(frozen=True, slots=True)
class Position:
    """The last check of contracts that suites were asked for, and what was said of freshness, when."""

    checked_at: str = ""
    said: Mapping[str, tuple[bool, str]] = field(default_factory=dict[str, tuple[bool, str]])

    @classmethod
    def parse(cls, cursor: str | None) -> "Position":
        """Read a cursor; one that cannot be read starts from the beginning."""
        try:
            document = json.loads(cursor or "")
            said = {str(n): (bool(passed), str(at)) for n, (passed, at) in document["said"].items()}
            return cls(str(document["checked_at"]), said)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def text(self) -> str:
        """The cursor to keep."""
        said = {name: list(entry) for name, entry in sorted(self.said.items())}
        return json.dumps({"checked_at": self.checked_at, "said": said})


def quality_sensor(
    job: Any,
    contracts: Sequence[DataContract],
    keys: Mapping[str, dg.AssetKey],
    connect: Connect | None = None,
    *,
    platform: Collection[str] = (),
    watched: Sequence[dg.AssetCheckKey] = (),
) -> dg.SensorDefinition:
    """Asks for the suites after each refresh, and says when a mart is late: that shows when nothing runs.

    Args:
        job: Has all checks; a run of it has those of what was refreshed.
        contracts: Those the data are held to.
        keys: Their relations.
        connect: Opens the warehouse.
        platform: The contracts about the platform; they are refreshed apart.
        watched: What is looked at after each refresh of the marts, besides the suites.
    """
    opened = connect or connector_to("reader")
    suites = {c.name: check_of(c, keys[c.name], SUITE) for c in contracts if c.name in keys}
    promised = [c for c in contracts if c.name in keys and c.fresh_within is not None]

    @dg.sensor(
        name="data_contracts",
        job=job,
        minimum_interval_seconds=SENSOR_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for the suites of data contracts after each refresh; reports marts that are late.",
    )
    def data_contracts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        position, now = Position.parse(context.cursor), Runtime().now()
        with opened() as conn:
            checks = last_checks(conn)
            ages = _ages(conn, promised, platform, now)
        checked_at = max((last.checked_at.isoformat() for last in checks), default="")
        fresh = {last.contract for last in checks if last.checked_at.isoformat() > position.checked_at}
        due = [suites[name] for name in sorted(fresh & suites.keys())]
        if fresh - set(platform):
            due += watched
        requests = [dg.RunRequest(run_key=f"quality-{checked_at}", asset_check_keys=due)] if due else []
        news = [c for c in promised if _is_news(position, c.name, c.name not in ages, now)]
        said = {**position.said, **{c.name: (c.name not in ages, now.isoformat()) for c in news}}
        return dg.SensorResult(
            run_requests=requests,
            asset_events=[
                _late_evaluation(c, check_of(c, keys[c.name], FRESH), ages.get(c.name)) for c in news
            ],
            skip_reason=None
            if requests
            else f"the suites have run for the check of {checked_at or 'nothing yet'}",
            cursor=Position(max(checked_at, position.checked_at), said).text(),
        )

    return data_contracts


def _is_news(position: Position, name: str, passed: bool, now: datetime) -> bool:
    before, at = position.said.get(name, (None, ""))
    return before is not passed or datetime.fromisoformat(at) <= now - SAY_AGAIN


def _alarms(
    conn: psycopg.Connection[Any], check: dg.AssetCheckKey, now: datetime
) -> tuple[int, list[watch.Alarm]]:
    """How many series were looked at, and those that are odd."""
    if check.name == VALUES:
        values = list(watch.read_order_values(conn, now))
        found = (watch.shift_alarm(product, "orders", day, counted) for product, day, counted in values)
        return len(values), [alarm for alarm in found if alarm is not None]
    if check.name == DAYS:
        series = watch.read_kpi_series(conn, now)
    else:
        series = watch.read_volume_series(conn, check.asset_key.path[0], now)
    return len(series), watch.day_alarms(series)


def _alarm_result(
    check: dg.AssetCheckKey, looked_at: int, alarms: Sequence[watch.Alarm]
) -> dg.AssetCheckResult:
    records = [
        dg.TableRecord(
            {
                "product": alarm.product,
                "subject": alarm.subject,
                "day": alarm.day.isoformat(),
                "value": alarm.value,
                "expected": round(alarm.expected, 4),
                "score": round(alarm.score, 3),
            }
        )
        for alarm in alarms[:SHOWN]
    ]
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=not alarms,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(f"{alarm.text}." for alarm in alarms[:5]) or f"{looked_at} series, none is odd",
        metadata={"series": looked_at, "odd": len(alarms)}
        | ({"alarms": dg.MetadataValue.table(records)} if records else {}),
    )


def _unread(check: dg.AssetCheckKey, error: psycopg.Error) -> dg.AssetCheckResult:
    said = " ".join(str(error.diag.message_primary or error).split())
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"could not be looked at: {said}",
    )


def _late_text(contract: DataContract, age: timedelta | None) -> str:
    if age is None:
        return f"all that landed more than {contract.fresh_within} ago is in {contract.relation}"
    return (
        f"{contract.relation} does not have what landed {timedelta(seconds=int(age.total_seconds()))} ago; "
        f"{contract.reference} promises {contract.fresh_within}. Refresh it, or see why that fails."
    )


def _late_result(
    contract: DataContract, check: dg.AssetCheckKey, age: timedelta | None
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=age is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=_late_text(contract, age),
        metadata={"late_s": 0 if age is None else int(age.total_seconds())},
    )


def _late_evaluation(
    contract: DataContract, check: dg.AssetCheckKey, age: timedelta | None
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=age is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=_late_text(contract, age),
        metadata={"late_s": 0 if age is None else int(age.total_seconds())},
    )
