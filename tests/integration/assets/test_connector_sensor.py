"""A connector's sensor: polls what is due, looks after push channels, says what landed and how the checks stand."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest

from batuta.manifests.models import ConnectorBinding
from batuta.settings import Settings
from batuta.warehouse.connection import connect
from examples.vendors.github import GitHub
from examples.vendors.serving import Fault
from sensors.connector_sensor import Position, SourcesFailed
from sensors.pull.accounts import read_states, wake
from tests.support.listening import TOKEN_FILE, Listener, bound, repository
from tests.support.score import log_batch

ISSUES = ("github", "issues")


@pytest.fixture
def vendor() -> Iterator[GitHub]:
    with GitHub() as served:
        yield served


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database_url, "owner") as connection:
        yield connection


Listening = Callable[..., Listener]


@pytest.fixture
def listening(database_url: str, settings: Settings, instance: dg.DagsterInstance) -> Iterator[Listening]:
    """Makes the listener of a connector, GitHub's unless said otherwise, for accounts by product."""
    made: list[Listener] = []

    def make(
        *, connector: str = "github", public_url: str | None = None, **accounts: list[ConnectorBinding]
    ) -> Listener:
        own = settings.model_copy(update={"public_url": public_url})
        made.append(Listener(connector, bound(accounts), own, database_url, instance))
        return made[-1]

    yield make
    for listener in made:
        listener.ears.close()


def materialized(result: dg.SensorResult) -> dict[tuple[tuple[str, ...], str | None], int]:
    return {
        (tuple(event.asset_key.path), event.partition): int(str(event.metadata["new_events"].value))
        for event in result.asset_events
        if isinstance(event, dg.AssetMaterialization)
    }


def evaluated(result: dg.SensorResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        f"{event.asset_key.path[-1]}/{event.check_name}": event
        for event in result.asset_events
        if isinstance(event, dg.AssetCheckEvaluation)
    }


def recently(minutes: int = 5) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


def test_what_is_due_is_polled_and_reported_in_the_same_tick(vendor: GitHub, listening: Listening) -> None:
    for number in (1, 2, 3):
        vendor.issue(number, recently())
    result = listening(arcsat=[repository(vendor)]).tick()
    assert materialized(result) == {(ISSUES, "arcsat"): 3}
    (request,) = result.dynamic_partitions_requests or []
    assert list(request.partition_keys) == ["arcsat"]


def test_what_is_not_due_is_left_alone_until_it_is_woken(
    vendor: GitHub,
    listening: Listening,
    conn: psycopg.Connection[Any],
) -> None:
    listener = listening(arcsat=[repository(vendor, pollSeconds=3600)])
    listener.tick()
    asked = len(vendor.requests)
    vendor.issue(1, recently(0))
    assert materialized(listener.tick()) == {}
    assert len(vendor.requests) == asked

    wake(conn, ("arcsat", "github", vendor.repository))
    conn.commit()
    assert materialized(listener.tick()) == {(ISSUES, "arcsat"): 1}


def test_a_tick_in_which_every_call_fails_is_a_failed_tick_that_keeps_what_it_learned(
    vendor: GitHub,
    listening: Listening,
    conn: psycopg.Connection[Any],
) -> None:
    listener = listening(arcsat=[repository(vendor, "wrong-token")])
    batch = log_batch(conn, [("arcsat", "com.github.push.pushed", "1")], connector="github", dataset="pushes")
    with pytest.raises(SourcesFailed, match=r"arcsat/avila-inc/arcsat could not be polled: .*401"):
        listener.tick()
    state = read_states(conn)["arcsat", "github", vendor.repository]
    assert (state.failures, state.last_success_at) == (1, None)

    after = listener.tick()
    assert materialized(after) == {(("github", "pushes"), "arcsat"): 1}
    assert Position.parse(listener.cursor).batch == batch


def test_one_account_that_fails_is_a_warning_and_the_others_are_heard(
    vendor: GitHub,
    listening: Listening,
    capsys: pytest.CaptureFixture[str],
) -> None:
    vendor.issue(1, recently())
    listener = listening(
        arcsat=[repository(vendor)],
        loja=[repository(vendor, "wrong-token")],
    )
    result = listener.tick()
    assert materialized(result) == {(ISSUES, "arcsat"): 1}
    assert "WARNING - loja/avila-inc/arcsat could not be polled" in capsys.readouterr().err


def test_an_account_without_its_secret_is_named_and_holds_up_nobody(
    vendor: GitHub, listening: Listening
) -> None:
    vendor.issue(1, recently())
    listener = listening(arcsat=[repository(vendor)], loja=[repository(vendor, "not-there")])
    result = listener.tick()
    assert materialized(result) == {(ISSUES, "arcsat"): 1}
    said = evaluated(result)["accounts/polling"]
    assert not said.passed
    assert "loja" in (said.description or "")
    assert "not-there" in (said.description or "")


def test_a_vendor_that_wants_to_be_left_alone_is_no_failure(
    vendor: GitHub,
    listening: Listening,
    conn: psycopg.Connection[Any],
) -> None:
    vendor.fail_next(Fault(429, {"retry-after": "7000"}))
    listener = listening(arcsat=[repository(vendor)])
    listener.tick()
    state = read_states(conn)["arcsat", "github", vendor.repository]
    assert state.failures == 0
    assert state.paused_until is not None
    assert state.paused_until > datetime.now(UTC) + timedelta(hours=1)
    asked = len(vendor.requests)
    listener.tick()
    assert len(vendor.requests) == asked


def test_push_channels_are_looked_after_once_an_hour(vendor: GitHub, listening: Listening) -> None:
    listener = listening(
        public_url="https://batuta.example.com", arcsat=[repository(vendor, pollSeconds=86400)]
    )
    said = evaluated(listener.tick())
    assert [hook["active"] for hook in vendor.hooks] == [True]
    assert said["accounts/subscriptions"].passed

    vendor.hooks[0]["active"] = False
    listener.tick()
    assert vendor.hooks[0]["active"] is False
    listener.later = timedelta(minutes=61)
    listener.tick()
    assert vendor.hooks[0]["active"] is True


def test_every_check_of_a_connector_is_said_once_and_again_when_it_changes(
    vendor: GitHub, listening: Listening, settings: Settings
) -> None:
    listener = listening(arcsat=[repository(vendor, pollSeconds=10)])
    first = evaluated(listener.tick())
    assert {"accounts/polling", "accounts/subscriptions", "accounts/completeness", "issues/gaps"} <= set(
        first
    )
    assert all(event.passed for event in first.values())

    listener.later = timedelta(minutes=6)
    assert evaluated(listener.tick()) == {}

    (settings.secrets_dir / TOKEN_FILE).write_text("withdrawn", "utf-8")
    for minutes in (12, 24, 60):
        listener.later = timedelta(minutes=minutes)
        with pytest.raises(SourcesFailed):
            listener.tick()
    said = evaluated(listener.tick())
    assert set(said) == {"accounts/polling"}
    assert not said["accounts/polling"].passed
    assert said["accounts/polling"].severity == dg.AssetCheckSeverity.ERROR


def test_a_verdict_that_stays_the_same_is_renewed_so_that_nobody_takes_silence_for_health(
    vendor: GitHub, listening: Listening
) -> None:
    listener = listening(arcsat=[repository(vendor, pollSeconds=86400)])
    names = set(evaluated(listener.tick()))
    listener.later = timedelta(hours=6, minutes=1)
    assert set(evaluated(listener.tick())) == names


def test_a_connector_without_accounts_only_reports_and_needs_no_keys(
    settings: Settings, listening: Listening, conn: psycopg.Connection[Any]
) -> None:
    listener = listening(connector="events", arcsat=[])
    (settings.home / "keys" / "master.json").unlink()
    log_batch(conn, [("arcsat", "com.batuta.spend.recorded", "1")], connector="events", dataset="spend")
    result = listener.tick()
    assert materialized(result) == {(("events", "spend"), "arcsat"): 1}
    assert evaluated(result) == {}
    assert listener.sensor.minimum_interval_seconds == 30


def test_a_product_with_an_account_can_be_backfilled_before_anything_has_landed(
    vendor: GitHub, listening: Listening
) -> None:
    result = listening(arcsat=[repository(vendor)]).tick()
    assert materialized(result) == {}
    (request,) = result.dynamic_partitions_requests or []
    assert list(request.partition_keys) == ["arcsat"]


@pytest.mark.parametrize("cursor", [None, "", "not a number", "[]", '{"version": 2}', '{"position": "x"}'])
def test_a_cursor_that_cannot_be_read_starts_from_the_beginning(cursor: str | None) -> None:
    assert Position.parse(cursor) == Position()


def test_a_plain_number_is_the_position_of_an_earlier_version() -> None:
    position = Position.parse("4711")
    assert position == Position(batch=4711)
    assert json.loads(position.text())["version"] == 2


def test_a_cursor_is_read_as_it_was_written() -> None:
    moment = datetime(2026, 3, 2, 12, tzinfo=UTC)
    position = Position(7, moment, {"orders/gaps": ("abc", moment)})
    assert Position.parse(position.text()) == position
