"""Each event that triggers a pipeline is in exactly one window, and each window has exactly one run."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from batuta.landing.cursors import move_cursor
from batuta.landing.reader import last_batch
from batuta.warehouse.connection import connect
from batuta_assets.partitions import product_days, products
from sensors import run_tags
from sensors.claims import NEVER_REFRESHED
from sensors.factory import GRACE, trigger_sensor
from sensors.jobs import pipeline_jobs
from sensors.triggers import (
    Trigger,
    be_the_listener,
    claim,
    concerned,
    mark_launched,
    requested,
    triggers,
)
from tests.support.score import NOON, company, log_batch, pipeline, product

CREATED = "com.shopify.orders.created"
GRAPH = company(
    [product("arcsat"), product("loja")],
    [
        pipeline("arcsat-review", ["arcsat"], events=[CREATED]),
        pipeline("watch", ["arcsat", "loja"], events=["com.shopify.orders.*"]),
    ],
)
REVIEW = Trigger("arcsat-review", "arcsat", (CREATED,), "America/Sao_Paulo")


@pytest.fixture
def log(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database_url, "owner") as connection:
        yield connection


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


class Daemon:
    """Ticks the sensor as the daemon does: a run key is honoured once, a tick that dies loses its cursor."""

    def __init__(self, instance: dg.DagsterInstance, url: str) -> None:
        self.instance, self.url = instance, url
        instance.add_dynamic_partitions("product", ["arcsat", "loja"])
        self.gate: str | None = None
        self.cursor: str | None = None
        self.skipped = ""
        self.runs: dict[str, str] = {}

    def tick(self, *, dies: bool = False, upto: int | None = None) -> list[dg.RunRequest]:
        """One tick and the runs it launched, of which the first `upto` before the daemon dies."""
        jobs = [empty_job(job.name) for job in pipeline_jobs(GRAPH)]
        refresh = empty_job(run_tags.REFRESH_JOB)
        sensor = trigger_sensor(
            GRAPH,
            jobs,
            products=products,
            connect=lambda: connect(self.url, "writer"),
            gate=lambda _conn: self.gate,
            refresh=refresh,
            clock=lambda: NOON,
            listen_s=0,
        )
        repository = dg.Definitions(sensors=[sensor], jobs=[*jobs, refresh]).get_repository_def()
        with dg.partition_loading_context(dynamic_partitions_store=self.instance):
            data = sensor.evaluate_tick(
                dg.build_sensor_context(self.instance, cursor=self.cursor, repository_def=repository)
            )
        requests = list(data.run_requests or [])[: 0 if dies else upto]
        if not dies and upto is None:
            self.cursor, self.skipped = data.cursor, data.skip_message or ""
        launched = [r for r in requests if r.run_key not in self.runs]
        for request in launched:
            run = dg.DagsterRun(
                job_name=str(request.job_name), tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED
            )
            self.runs[str(request.run_key)] = self.instance.add_run(run).run_id
        return launched

    def finish(self, request: dg.RunRequest) -> None:
        """The run ends."""
        run = self.instance.get_run_by_id(self.runs[str(request.run_key)])
        assert run is not None
        self.instance.report_run_failed(run)


def broken(conn: psycopg.Connection[Any], product_name: str, dataset: str, *, mended: bool = False) -> None:
    """Keep that a contract over a dataset is broken for a product, or is mended."""
    conn.execute(
        "insert into batuta.contract_checks values ('fct', '1.0.0', '', now(), 1, null, 1, 1, %s, null) "
        "on conflict do nothing",
        ([dataset],),
    )
    if mended:
        conn.execute("update batuta.contract_breaks set mended_at = now()")
    else:
        conn.execute(
            "insert into batuta.contract_breaks values "
            "('fct', '1.0.0', 'adds_up', %s, 'error', 'rules', now(), 1, now(), 1, '')",
            (product_name,),
        )
    conn.commit()


def empty_job(name: str) -> dg.JobDefinition:
    @dg.op(name=f"{name}_nothing")
    def nothing() -> None: ...

    @dg.job(name=name, partitions_def=None if name == run_tags.REFRESH_JOB else product_days)
    def job() -> None:
        nothing()

    return job


@pytest.fixture
def daemon(instance: dg.DagsterInstance, database_url: str) -> Daemon:
    return Daemon(instance, database_url)


def listed(log: psycopg.Connection[Any], request: dg.RunRequest) -> list[str]:
    """The events of a run, by its tag."""
    rows = log.execute(
        "select id from batuta.trigger_events where digest = %s order by id",
        (request.tags[run_tags.TRIGGER],),
    ).fetchall()
    log.commit()
    return [row[0] for row in rows]


def test_an_event_launches_the_pipelines_that_wait_for_its_type(
    log: psycopg.Connection[Any], daemon: Daemon
) -> None:
    log_batch(log, [("loja", CREATED, "1")])
    (request,) = daemon.tick()
    assert request.job_name == "daily_review", "the job of all pipelines that make the same"
    assert request.partition_key == "2025-11-12|loja"
    assert request.tags[run_tags.PIPELINE] == "watch"
    assert request.tags[run_tags.PRODUCT] == "loja"
    assert listed(log, request) == ["1"]


def test_events_of_one_product_are_one_run(log: psycopg.Connection[Any], daemon: Daemon) -> None:
    log_batch(log, [("loja", CREATED, "1"), ("loja", "com.shopify.orders.paid", "2")])
    log_batch(log, [("loja", CREATED, "3"), ("loja", "com.shopify.refunds.created", "4")])
    (request,) = daemon.tick()
    assert listed(log, request) == ["1", "2", "3"]


def test_no_event_launches_nothing_and_says_so(daemon: Daemon) -> None:
    assert daemon.tick() == []
    assert "no event" in daemon.skipped


def test_a_type_nobody_waits_for_launches_nothing(log: psycopg.Connection[Any], daemon: Daemon) -> None:
    log_batch(log, [("arcsat", "com.github.release.published", "1")], connector="github", dataset="releases")
    assert daemon.tick() == []


def test_what_comes_while_a_run_is_active_waits_for_it_and_is_one_run(
    log: psycopg.Connection[Any], daemon: Daemon
) -> None:
    log_batch(log, [("loja", CREATED, "1")])
    (first,) = daemon.tick()
    log_batch(log, [("loja", CREATED, "2")])
    assert daemon.tick() == []
    assert "waiting for the active run" in daemon.skipped
    log_batch(log, [("loja", CREATED, "3")])
    assert daemon.tick() == []
    daemon.finish(first)
    (second,) = daemon.tick()
    assert listed(log, second) == ["2", "3"]


def test_what_a_scheduled_run_has_taken_triggers_nothing(
    log: psycopg.Connection[Any], daemon: Daemon
) -> None:
    batch = log_batch(log, [("loja", CREATED, "1")])
    move_cursor(log, "pipeline:watch", batch, "loja")
    log.commit()
    assert daemon.tick() == []


def test_a_daemon_that_dies_after_the_window_was_committed_asks_again_for_the_same_run(
    log: psycopg.Connection[Any], daemon: Daemon
) -> None:
    log_batch(log, [("loja", CREATED, "1")])
    daemon.tick(dies=True)
    (window,) = requested(log)
    log_batch(log, [("loja", CREATED, "2")])
    (request,) = daemon.tick()
    assert request.run_key == window.digest
    assert listed(log, request) == ["1"]


def test_a_daemon_that_dies_after_launching_half_launches_the_other_half(
    log: psycopg.Connection[Any], daemon: Daemon
) -> None:
    log_batch(log, [("arcsat", CREATED, "1"), ("loja", CREATED, "2")])
    first = daemon.tick(upto=1)
    rest = daemon.tick()
    assert len(first) == 1
    assert sorted((r.tags[run_tags.PIPELINE], r.tags[run_tags.PRODUCT]) for r in [*first, *rest]) == [
        ("arcsat-review", "arcsat"),
        ("watch", "arcsat"),
        ("watch", "loja"),
    ]


def test_the_run_of_a_window_is_recorded_so_that_its_events_can_be_listed(
    log: psycopg.Connection[Any], daemon: Daemon
) -> None:
    log_batch(log, [("loja", CREATED, "1")])
    (request,) = daemon.tick()
    daemon.tick()
    row = log.execute("select state, run_id from batuta.trigger_windows").fetchone()
    assert row == ("launched", daemon.runs[str(request.run_key)])


def test_a_closed_gate_holds_everything_back_and_opens_onto_all_of_it(
    log: psycopg.Connection[Any], daemon: Daemon
) -> None:
    daemon.gate = "the last refresh failed on unique_orders"
    log_batch(log, [("loja", CREATED, "1")])
    assert daemon.tick() == []
    assert daemon.skipped.startswith("held back: ")
    assert daemon.skipped.endswith("watch/loja: the last refresh failed on unique_orders")
    log_batch(log, [("loja", CREATED, "2")])
    daemon.gate = None
    (request,) = daemon.tick()
    assert listed(log, request) == ["1", "2"]


def test_before_the_first_refresh_the_refresh_comes_first(
    log: psycopg.Connection[Any], daemon: Daemon
) -> None:
    daemon.gate = NEVER_REFRESHED
    log_batch(log, [("loja", CREATED, "1")])
    (request,) = daemon.tick()
    assert request.job_name == "refresh_marts"


def test_a_log_restored_to_an_earlier_day_is_looked_through_again(
    log: psycopg.Connection[Any], daemon: Daemon
) -> None:
    batch = log_batch(log, [("loja", CREATED, "1")])
    daemon.cursor = f'{{"scanned": {batch + 100}, "waiting": []}}'
    (request,) = daemon.tick()
    assert listed(log, request) == ["1"]


def test_a_cursor_that_cannot_be_read_starts_from_the_pipelines_own(
    log: psycopg.Connection[Any], daemon: Daemon
) -> None:
    log_batch(log, [("loja", CREATED, "1")])
    daemon.cursor = "not json"
    assert len(daemon.tick()) == 1


def test_the_day_is_the_products_when_the_last_event_was_committed(log: psycopg.Connection[Any]) -> None:
    batch = log_batch(log, [("arcsat", CREATED, "1")], at=datetime(2025, 11, 12, 2, 30, tzinfo=UTC))
    window = claim(log, REVIEW, batch, NOON)
    assert window is not None
    assert window.day("America/Sao_Paulo") == date(2025, 11, 11)


def test_one_query_finds_the_triggers_of_many_products(log: psycopg.Connection[Any]) -> None:
    batch = log_batch(log, [("arcsat", CREATED, "1")])
    found = concerned(log, triggers(GRAPH), 0, batch)
    assert {t.name for t in found} == {"arcsat-review/arcsat", "watch/arcsat"}
    assert concerned(log, triggers(GRAPH), batch, batch) == ()


@pytest.fixture
def listener(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A listener lives, and does nothing."""
    with connect(database_url, "writer", autocommit=True) as connection:
        assert be_the_listener(connection)
        yield connection


def test_what_is_young_is_the_listeners_while_it_lives(
    log: psycopg.Connection[Any], daemon: Daemon, listener: psycopg.Connection[Any]
) -> None:
    log_batch(log, [("loja", CREATED, "1")], at=datetime.now(UTC))
    assert daemon.tick() == []
    listener.close()
    (request,) = daemon.tick()
    assert listed(log, request) == ["1"]


def test_what_a_living_listener_has_left_is_taken(
    log: psycopg.Connection[Any], daemon: Daemon, listener: psycopg.Connection[Any]
) -> None:
    log_batch(log, [("loja", CREATED, "1")], at=datetime.now(UTC) - 2 * GRACE)
    log_batch(log, [("loja", CREATED, "2")], at=datetime.now(UTC))
    (request,) = daemon.tick()
    assert listed(log, request) == ["1"]


@pytest.mark.parametrize(("age", "asked"), [(GRACE * 2, 1), (GRACE / 2, 0)])
def test_a_window_that_a_living_listener_has_left_open_is_asked_for_when_it_is_old(
    log: psycopg.Connection[Any],
    daemon: Daemon,
    listener: psycopg.Connection[Any],
    age: timedelta,
    asked: int,
) -> None:
    batch = log_batch(log, [("arcsat", CREATED, "1")], at=datetime.now(UTC))
    claim(log, REVIEW, batch, NOON - age)
    log.commit()
    assert len([r for r in daemon.tick() if r.tags[run_tags.PIPELINE] == REVIEW.pipeline]) == asked


def test_a_listener_does_not_delay_the_first_refresh(
    log: psycopg.Connection[Any], daemon: Daemon, listener: psycopg.Connection[Any]
) -> None:
    daemon.gate = NEVER_REFRESHED
    log_batch(log, [("loja", CREATED, "1")], at=datetime.now(UTC))
    assert [request.job_name for request in daemon.tick()] == ["refresh_marts"]


def test_of_many_that_claim_at_once_one_does_and_nothing_is_in_two_windows(
    log: psycopg.Connection[Any], database_url: str
) -> None:
    def take(_: int) -> int:
        with connect(database_url, "writer", autocommit=True) as conn:
            window = claim(conn, REVIEW, last_batch(conn), NOON)
            if window is not None:
                mark_launched(conn, window.digest, "run")
            return 0 if window is None else window.event_count

    with ThreadPoolExecutor(6) as pool:
        taken = 0
        for number in range(5):
            log_batch(log, [("arcsat", CREATED, str(number))])
            taken += sum(pool.map(take, range(6)))
    row = log.execute("select count(*), count(distinct id) from batuta.trigger_events").fetchone()
    assert row == (5, 5)
    assert taken == 5


STEPS = strategies.lists(
    strategies.sampled_from(["land", "tick", "die", "half", "finish"]), min_size=4, max_size=14
)


@given(steps=STEPS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_dies_whenever_each_event_is_taken_by_exactly_one_run(
    database_url: str, steps: list[str]
) -> None:
    with connect(database_url, "owner") as log, dg.DagsterInstance.ephemeral() as instance:
        log.execute("truncate batuta.trigger_events, batuta.trigger_windows, batuta.cursors")
        log.execute("truncate batuta.events, batuta.batches")
        log.commit()
        daemon, landed, launched = Daemon(instance, database_url), 0, list[dg.RunRequest]()
        for step in [*steps, "land", "tick", "finish", "tick"]:
            match step:
                case "land":
                    landed += 1
                    log_batch(log, [("loja", CREATED, f"{landed:03}")])
                case "tick":
                    launched += daemon.tick()
                case "die":
                    daemon.tick(dies=True)
                case "half":
                    launched += daemon.tick(upto=1)
                case _:
                    for request in launched:
                        if not instance.get_runs(dg.RunsFilter(run_ids=[daemon.runs[str(request.run_key)]]))[
                            0
                        ].is_finished:
                            daemon.finish(request)
        taken = [event for request in launched for event in listed(log, request)]
        assert sorted(taken) == [f"{n + 1:03}" for n in range(landed)]


def test_a_product_whose_contract_is_broken_waits_and_is_launched_once_it_is_mended(
    log: psycopg.Connection[Any], database_url: str, instance: dg.DagsterInstance
) -> None:
    daemon = Daemon(instance, database_url)
    daemon.tick()
    broken(log, "arcsat", "shopify/orders")
    log_batch(log, [("arcsat", CREATED, "1"), ("loja", CREATED, "2")])
    assert {r.tags[run_tags.PRODUCT] for r in daemon.tick()} == {"loja"}
    assert daemon.tick() == []
    assert "arcsat-review/arcsat: fct is broken: adds_up" in daemon.skipped
    broken(log, "arcsat", "shopify/orders", mended=True)
    assert {r.tags[run_tags.PRODUCT] for r in daemon.tick()} == {"arcsat"}


def test_a_contract_of_other_data_holds_no_pipeline_back(
    log: psycopg.Connection[Any], database_url: str, instance: dg.DagsterInstance
) -> None:
    daemon = Daemon(instance, database_url)
    broken(log, "arcsat", "github/releases")
    log_batch(log, [("arcsat", CREATED, "1")])
    assert len(daemon.tick()) == 2
