"""What the listener does in one look, and what it takes up from one that died."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import dagster as dg
import psycopg
import pytest
import yaml

from batuta.warehouse.connection import connect
from batuta_assets import compat
from batuta_assets.gates import record_structure
from batuta_assets.listener import STALLED_S, Listener, run_id_of
from batuta_assets.partitions import product_days
from batuta_assets.warm_load import LaunchableJob, Loaded, Stamp
from sensors import run_tags
from sensors.claims import SENSOR
from sensors.triggers import claim, requested, triggers
from tests.support.dbt import PROJECT
from tests.support.score import company, log_batch, pipeline, product
from tests.support.shelf import ShelfLauncher

CREATED = "com.shopify.orders.created"
GRAPH = company([product("loja")], [pipeline("watch", ["loja"], events=[CREATED])])
ORIGIN = compat.RemoteRepositoryOrigin(
    compat.GrpcServerCodeLocationOrigin(host="localhost", socket="nowhere", location_name="batuta"),
    "repository",
).get_job_origin("watch")
CODE = compat.ReconstructableRepository(
    compat.ModuleCodePointer("elsewhere", "batuta", "."),
    container_image=None,
    executable_path=sys.executable,
    entry_point=["dagster"],
    container_context={},
)


class Killed(BaseException):
    """The process ends here."""


@dg.op
def nothing() -> None: ...


@dg.job(partitions_def=product_days)
def watch() -> None:
    nothing()


class World:
    """An installation whose runs are launched by nobody."""

    def __init__(self, instance: dg.DagsterInstance, conn: psycopg.Connection[Any]) -> None:
        repository = dg.Definitions(jobs=[watch]).get_repository_def()
        code = CODE.get_reconstructable_job("watch").get_python_origin()
        job = LaunchableJob(
            repository.get_job("watch"), compat.plan_snapshot(watch, repository), code, cast("Any", ORIGIN)
        )
        self.loaded = Loaded(GRAPH, {"watch": job}, {})
        self.instance, self.conn = instance, conn

    def listener(self, *, dies_at: str = "") -> Listener:
        """A listener that begins anew; one that dies does so when it is about to do this."""

        def die(*_: Any) -> None:
            raise Killed

        found = Listener(self.loaded, self.instance, self.conn)
        if dies_at:
            setattr(found, dies_at, die)
        return found

    def runs(self) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs())

    def launched(self) -> list[str]:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, ShelfLauncher)
        return launcher.launched


@pytest.fixture
def world(
    tmp_path: Path, database_url: str, dagster_storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    shipped = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())
    shipped["run_launcher"] = {"module": "tests.support.shelf", "class": "ShelfLauncher"}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(shipped))
    monkeypatch.setenv("BATUTA_DAGSTER_PG_URL", dagster_storage_url)
    with (
        connect(database_url, "owner", autocommit=True) as conn,
        dg.DagsterInstance.from_config(str(tmp_path)) as instance,
    ):
        record_structure(conn, [], "run")
        yield World(instance, conn)


def land(world: World, event: str = "1") -> None:
    log_batch(world.conn, [("loja", CREATED, event)])


def test_what_has_landed_is_launched_once_with_the_tags_of_the_sensor(world: World) -> None:
    land(world)
    listener = world.listener()
    listener.look()
    listener.look()
    world.listener().look()
    (run,) = world.runs()
    assert world.launched() == [run.run_id]
    assert run.tags["dagster/sensor_name"] == SENSOR
    assert run.tags["dagster/run_key"] == run.tags[run_tags.TRIGGER]
    assert run.tags["dagster/partition"] == "2025-11-12|loja"
    assert run.tags[run_tags.LANE] == "watch/loja"
    assert requested(world.conn) == ()


@pytest.mark.parametrize("point", ["create", "submit"])
def test_the_next_listener_goes_on_where_one_died(world: World, point: str) -> None:
    land(world)
    with pytest.raises(Killed):
        world.listener(dies_at=point).look()
    (window,) = requested(world.conn)
    world.listener().look()
    (run,) = world.runs()
    assert run.run_id == run_id_of(window)
    assert world.launched() == [run.run_id]


def test_a_run_that_was_promised_a_process_and_has_none_is_promised_another(world: World) -> None:
    land(world)
    (trigger,) = triggers(GRAPH)
    window = claim(world.conn, trigger, 10**6, datetime.now(UTC) - timedelta(seconds=2 * STALLED_S))
    assert window is not None
    listener = world.listener()
    listener.launch(window)
    (run,) = world.runs()
    world.conn.execute("update batuta.trigger_windows set state = 'requested', run_id = null")
    listener.look()
    assert world.launched() == [run.run_id, run.run_id]
    world.instance.add_run_tags(run.run_id, {run_tags.WORKER: "host boot 1 1"})
    listener.look()
    assert world.launched() == [run.run_id, run.run_id]
    assert requested(world.conn) == ()


def test_a_sensor_that_was_stopped_by_hand_stops_the_listener(world: World) -> None:
    origin = ORIGIN.repository_origin.get_instigator_origin(SENSOR)
    world.instance.add_instigator_state(stopped(origin))
    land(world)
    world.listener().look()
    assert world.runs() == []


def stopped(origin: Any) -> Any:
    from dagster._core.scheduler.instigation import InstigatorState, SensorInstigatorData

    return InstigatorState(
        origin, compat.InstigatorType.SENSOR, compat.InstigatorStatus.STOPPED, SensorInstigatorData()
    )


def test_with_other_definitions_nothing_is_launched(world: World, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    world.loaded.stamps[bundle] = Stamp.of(bundle)
    bundle.write_text("new")
    land(world)
    world.listener().look()
    assert world.runs() == []


def test_what_lands_while_a_run_is_active_waits_for_it(world: World) -> None:
    land(world, "1")
    listener = world.listener()
    listener.look()
    land(world, "2")
    listener.look()
    (first,) = world.runs()
    world.instance.report_run_failed(first)
    listener.look()
    assert len(world.runs()) == 2
    assert len(world.launched()) == 2
