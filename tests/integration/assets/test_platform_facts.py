"""Runs of a real Dagster become facts in the warehouse: each once, with who asked, what failed, and why."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest

from batuta.landing.cursors import get_cursor
from batuta.platform.runs import DUE
from batuta.settings import Settings
from batuta.warehouse.connection import Connection, DatabaseUnreachable, Role, connect
from batuta_assets.partitions import partition_key, product_days
from batuta_assets.platform import facts_position, measure_job, platform_sensor, record
from batuta_assets.runtime import Runtime
from sensors import run_tags
from tests.support.score import RECONCILE, company, pipeline, product

GRAPH = company([product("casa")], [pipeline("review", ["casa"], crons=["0 6 * * *"])])
NOON = datetime(2025, 11, 12, 15, 0, tzinfo=UTC)
DAY = date(2025, 11, 12)


class TestRuntime(Runtime):
    """A run's surroundings with a database and folders of the test's own."""

    __test__ = False
    url: str

    def database_url(self) -> str:
        return self.url

    def settings(self) -> Settings:
        return Settings()

    def connect(self, role: Role) -> Connection:
        return connect(self.url, role)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("product", ["casa"])
        yield instance


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database_url, "writer") as conn:
        yield conn


def play(
    instance: dg.DagsterInstance, error: Exception | None = None, tags: Mapping[str, str] | None = None
) -> str:
    """Run the skill's step for a product and a day, as a run of the pipeline; the run's id."""

    @dg.asset(key=dg.AssetKey(RECONCILE), partitions_def=product_days)
    def analysis() -> None:
        if error is not None:
            raise error

    result = dg.materialize(
        [analysis],
        instance=instance,
        partition_key=partition_key("casa", DAY),
        tags={**run_tags.pipeline_tags("review", "casa"), run_tags.BATCH_TO: "7", **(tags or {})},
        raise_on_error=False,
    )
    return result.run_id


def run_row(conn: psycopg.Connection[Any], run_id: str, columns: str) -> tuple[Any, ...]:
    row = conn.execute(f"select {columns} from batuta.pipeline_runs where run_id = %s".encode(), (run_id,))
    return row.fetchone() or ()


def test_a_run_is_recorded_once_with_its_step_its_product_its_day_and_its_batch(
    instance: dg.DagsterInstance, conn: psycopg.Connection[Any]
) -> None:
    run_id = play(instance, tags={run_tags.TRIGGER: "window"})
    assert record(instance, conn, GRAPH, NOON) == 1
    assert record(instance, conn, GRAPH, NOON) == 0
    columns = "pipeline, product, business_date, asked_by, root_run_id, status, failure_cause, batch_to"
    assert run_row(conn, run_id, columns) == ("review", "casa", DAY, "event", run_id, "succeeded", None, 7)
    queued, started, finished, seconds = run_row(
        conn, run_id, "queued_at, started_at, finished_at, compute_seconds"
    )
    assert queued <= started <= finished
    assert float(seconds) == pytest.approx((finished - started).total_seconds(), abs=0.001)
    steps = conn.execute("select step, skill, status, attempts from batuta.pipeline_steps").fetchall()
    assert steps == [("sigma__finance_reconcile", "sigma.finance.reconcile", "succeeded", 1)]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("a mistake"), "code"),
        (dg.Failure("sigma.finance.reconcile for casa: failed"), "code"),
        (psycopg.errors.QueryCanceled("took too long"), "code"),
        (MemoryError(), "infrastructure"),
        (psycopg.errors.AdminShutdown("the server goes"), "infrastructure"),
        (DatabaseUnreachable("no answer"), "infrastructure"),
        (ConnectionResetError(), "infrastructure"),
    ],
)
def test_a_failed_run_says_whether_its_code_failed_or_what_it_ran_on(
    instance: dg.DagsterInstance, conn: psycopg.Connection[Any], error: Exception, cause: str
) -> None:
    run_id = play(instance, error)
    record(instance, conn, GRAPH, NOON)
    assert run_row(conn, run_id, "status, failure_cause, failed_step") == (
        "failed",
        cause,
        "sigma__finance_reconcile",
    )
    assert conn.execute("select status, failure_cause from batuta.pipeline_steps").fetchone() == (
        "failed",
        cause,
    )


def test_what_a_contract_holds_up_failed_by_its_data(
    instance: dg.DagsterInstance, conn: psycopg.Connection[Any]
) -> None:
    spec = dg.AssetCheckSpec("row_rules", asset="gate", blocking=True)

    @dg.multi_asset(specs=[dg.AssetSpec("gate")], check_specs=[spec])
    def gate() -> Iterator[Any]:
        yield dg.MaterializeResult(asset_key="gate")
        yield dg.AssetCheckResult(asset_key="gate", check_name="row_rules", passed=False)

    result = dg.materialize([gate], instance=instance, raise_on_error=False)
    record(instance, conn, GRAPH, NOON)
    assert run_row(conn, result.run_id, "status, failure_cause, pipeline, asked_by") == (
        "failed",
        "data",
        None,
        "person",
    )


def test_a_run_whose_process_died_failed_by_the_infrastructure_and_its_retry_belongs_to_it(
    instance: dg.DagsterInstance, conn: psycopg.Connection[Any]
) -> None:
    @dg.job(tags=run_tags.pipeline_tags("review", "casa"))
    def review() -> None:
        dg.OpDefinition(compute_fn=lambda _context, _inputs: iter(()), name="nothing", outs={})()

    died = instance.create_run_for_job(review, tags=dict(review.tags))
    instance.report_run_failed(died, "The run's process died.")
    retry = instance.create_run_for_job(
        review,
        tags={**review.tags, "dagster/retry_number": "1"},
        parent_run_id=died.run_id,
        root_run_id=died.run_id,
    )
    instance.report_run_failed(retry, "The run's process died.")
    cancelled = instance.create_run_for_job(review, tags={**review.tags, "dagster/backfill": "b"})
    instance.report_run_canceled(cancelled)
    assert record(instance, conn, GRAPH, NOON) == 3
    columns = "status, failure_cause, asked_by, parent_run_id, root_run_id, started_at, compute_seconds"
    assert run_row(conn, died.run_id, columns) == (
        *("failed", "infrastructure", "person", None, died.run_id, None),
        0,
    )
    assert run_row(conn, retry.run_id, columns)[:5] == (
        *("failed", "infrastructure", "retry", died.run_id),
        died.run_id,
    )
    assert run_row(conn, cancelled.run_id, columns)[:3] == ("cancelled", None, "backfill")


def test_a_run_that_is_still_at_work_is_recorded_when_it_has_ended(
    instance: dg.DagsterInstance, conn: psycopg.Connection[Any]
) -> None:
    @dg.op
    def look(context: dg.OpExecutionContext) -> int:
        return record(context.instance, conn, GRAPH, NOON)

    @dg.job
    def looking() -> None:
        look()

    result = looking.execute_in_process(instance=instance)
    assert result.output_for_node("look") == 0
    assert record(instance, conn, GRAPH, NOON) == 1


def test_what_was_due_is_known_though_nothing_ran_and_nobody_looked_for_days(
    instance: dg.DagsterInstance, conn: psycopg.Connection[Any]
) -> None:
    first = datetime(2025, 11, 10, 9, 0, tzinfo=UTC)
    record(instance, conn, GRAPH, first)
    assert conn.execute("select count(*) from batuta.due_publications").fetchone() == (0,)
    record(instance, conn, GRAPH, first + timedelta(days=2))
    record(instance, conn, GRAPH, first + timedelta(days=2))
    rows = conn.execute(
        "select due_at, business_date from batuta.due_publications order by due_at"
    ).fetchall()
    assert rows == [
        (datetime(2025, 11, 11, 9, 0, tzinfo=UTC), date(2025, 11, 11)),
        (datetime(2025, 11, 12, 9, 0, tzinfo=UTC), date(2025, 11, 12)),
    ]
    assert get_cursor(conn, DUE) == {"review/casa": "2025-11-12T09:00:00+00:00"}


def test_storage_is_measured_once_a_day_by_part(
    instance: dg.DagsterInstance, conn: psycopg.Connection[Any], database_url: str, dagster_storage_url: str
) -> None:
    measuring = measure_job()
    sensor = platform_sensor(GRAPH, measuring, connect=lambda: connect(database_url, "writer"))
    asked = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(asked, dg.RunRequest)
    runtime = TestRuntime(url=database_url)
    files = runtime.settings().home / "blobs"
    files.mkdir(parents=True)
    (files / "one").write_bytes(b"12345")
    assert measuring.execute_in_process(instance=instance, resources={"runtime": runtime}).success
    sizes = dict(conn.execute("select part, bytes from batuta.storage_days").fetchall())
    assert set(sizes) == {"log", "records", "dagster", "files", "reports"}
    assert sizes["files"] == 5
    assert min(sizes["log"], sizes["records"], sizes["dagster"]) > 8_192
    said = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(said, dg.SkipReason)
    assert conn.execute("select count(*) from batuta.pipeline_runs").fetchone() == (1,)


def test_chunks_of_the_log_count_as_the_log(conn: psycopg.Connection[Any], database_url: str) -> None:
    from batuta.platform.storage import measure
    from tests.support.score import log_batch

    with connect(database_url, "owner") as owner:
        before = measure(owner, database_url, {}, NOON)
        log_batch(owner, [("casa", "com.shopify.orders.created", str(n)) for n in range(2_000)])
        after = measure(owner, database_url, {}, NOON + timedelta(hours=1))
    assert after["log"] - before["log"] > 100_000
    assert conn.execute(
        "select count(*), sum(bytes) from batuta.storage_days where part = 'log'"
    ).fetchone() == (
        1,
        after["log"],
    )


def test_the_platforms_own_refreshes_are_no_reason_for_another_one(
    instance: dg.DagsterInstance, conn: psycopg.Connection[Any]
) -> None:
    before = facts_position(conn)

    @dg.op
    def nothing() -> None: ...

    @dg.job(name="refresh_platform")
    def own() -> None:
        nothing()

    own.execute_in_process(instance=instance)
    assert record(instance, conn, GRAPH, NOON) == 1
    assert facts_position(conn) == before
    play(instance)
    record(instance, conn, GRAPH, NOON)
    assert facts_position(conn) != before
