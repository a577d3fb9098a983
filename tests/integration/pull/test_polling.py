"""Polls, webhooks, backfills, crashes and restarts, in any order: every event once, no position without its rows."""

from __future__ import annotations

import base64
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from batuta.landing.cursors import get_cursor
from batuta.landing.land import Landing
from batuta.landing.model import Candidate, Delivery, Parsed
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.settings import get_settings
from batuta.warehouse.connection import Connection, connect
from sensors.connectors.pulling import Gone, Subscription, Tools, Window
from sensors.pull.accounts import AccountState, BoundAccount, due, is_due, read_states, resume, wake
from sensors.pull.means import Means
from sensors.pull.positions import DONE, backfill_consumer, open_position, poll_consumer
from sensors.pull.run import audit_account, backfill_account, poll_account, poll_files
from tests.support.landing_trials import open_landing, parse
from tests.support.pulling import NOW, MemoryBlobs, TrialTime, shared_client
from tests.support.toy_vendor import FIRST_AT, Fault, ToyPuller, ToyVendor, account, at, delivery

MUCH = 1e9


@pytest.fixture
def vendor() -> Iterator[ToyVendor]:
    with ToyVendor() as running:
        yield running


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return open_landing(tmp_path)


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, "writer", autocommit=True) as connection:
        yield connection


@pytest.fixture
def time() -> TrialTime:
    return TrialTime()


@pytest.fixture
def means(database_url: str, landing: Landing, time: TrialTime) -> Means:
    return means_of(database_url, landing, time, ToyPuller())


def means_of(url: str, landing: Landing, time: TrialTime, puller: ToyPuller) -> Means:
    return Means(
        landing=landing,
        connect=lambda: connect(url, "writer"),
        blobs=MemoryBlobs(),
        client=shared_client(),
        clock=time.clock,
        monotonic=time.monotonic,
        sleep=time.sleep,
        parse_of=lambda name: parse,
        puller_of=lambda name: puller,
    )


def bound_to(
    vendor: ToyVendor, product: str = "arcsat", name: str | None = None, **settings: Any
) -> BoundAccount:
    """An account at the vendor, as a manifest binds it."""
    binding = ConnectorBinding(
        type="trial", account=name, credentials={"token": SecretRef(env="TOY")}, settings=settings
    )
    return BoundAccount(account(vendor, product, name), binding, "UTC", get_settings())


def landed(conn: Connection, product: str = "arcsat") -> list[int]:
    """Numbers in the log, sorted; a doubled one would show twice."""
    rows = conn.execute("select id from batuta.events where product = %s", (product,)).fetchall()
    return sorted(int(row[0].partition("-")[0]) for row in rows)


def position(conn: Connection, landing: Landing, product: str = "arcsat", name: str = "") -> Any:
    consumer = poll_consumer("trial", name)
    return open_position(get_cursor(conn, consumer, product), landing.keys, consumer, product)


def state(conn: Connection, bound: BoundAccount) -> AccountState:
    return read_states(conn)[bound.key]


def test_a_poll_brings_everything_once_and_goes_on_from_there(
    vendor: ToyVendor, means: Means, conn: Connection, landing: Landing
) -> None:
    bound = bound_to(vendor)
    vendor.records = list(range(1, 8))
    first = poll_account(bound, means, deadline=MUCH)
    vendor.records += [8, 9]
    second = poll_account(bound, means, deadline=MUCH)
    third = poll_account(bound, means, deadline=MUCH)

    assert (first.counts.landed, first.pages, first.complete) == (7, 3, True)
    assert (second.counts.landed, second.pages) == (2, 1)
    assert (third.counts.total, third.pages, third.complete) == (0, 0, True)
    assert landed(conn) == vendor.records
    assert position(conn, landing) == 9
    counted = conn.execute("select sum(counted), sum(landed) from batuta.completeness").fetchone()
    assert counted == (9, 9)


def test_what_a_position_says_is_sealed(vendor: ToyVendor, means: Means, conn: Connection) -> None:
    vendor.records = [424242]
    poll_account(bound_to(vendor), means, deadline=MUCH)

    [stored] = conn.execute("select position::text from batuta.cursors").fetchall()
    assert "424242" not in stored[0]


def test_a_position_set_by_hand_is_taken_as_it_is(
    vendor: ToyVendor, means: Means, conn: Connection, landing: Landing
) -> None:
    vendor.records = [1, 2, 3]
    bound = bound_to(vendor)
    poll_account(bound, means, deadline=MUCH)
    conn.execute("update batuta.cursors set position = '1'")

    assert position(conn, landing) == 1
    assert poll_account(bound, means, deadline=MUCH).counts.duplicate == 2


@pytest.mark.parametrize("crash_after", [1, 2, 3])
def test_a_crash_between_pages_costs_a_repetition_at_most(
    vendor: ToyVendor, means: Means, conn: Connection, landing: Landing, crash_after: int
) -> None:
    bound = bound_to(vendor)
    vendor.records = list(range(1, 8))
    dying = replace(means, puller_of=lambda name: ToyPuller(crash_after))
    with pytest.raises(KeyboardInterrupt):
        poll_account(bound, dying, deadline=MUCH)

    assert landed(conn) == vendor.records[: 3 * crash_after]
    assert position(conn, landing) == landed(conn)[-1]
    assert poll_account(bound, means, deadline=MUCH).counts.duplicate == 0
    assert landed(conn) == vendor.records


ACTIONS = st.one_of(
    st.tuples(st.just("sell"), st.integers(1, 4)),
    st.tuples(st.just("webhook"), st.integers(0, 30)),
    st.tuples(st.just("poll"), st.none() | st.integers(1, 3)),
    st.tuples(st.just("fail"), st.sampled_from([404, 500, 429, 401])),
    st.tuples(st.just("backfill"), st.integers(0, 30)),
    st.tuples(st.just("restart"), st.none()),
)


@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions=st.lists(ACTIONS, min_size=3, max_size=14))
def test_any_order_of_events_and_accidents_leaves_the_same_log(
    database_url: str, vendor: ToyVendor, landing: Landing, conn: Connection, actions: list[tuple[str, Any]]
) -> None:
    product = f"shop{conn.execute('select count(*) from batuta.cursors').fetchone()[0]}"  # pyright: ignore[reportOptionalSubscript]
    product = f"{product}x{len(vendor.requests)}"
    bound = bound_to(vendor, product)
    vendor.records, vendor.faults, time = [], [], TrialTime()
    means = means_of(database_url, landing, time, ToyPuller())
    for action, value in actions:
        if action == "sell":
            vendor.records += range(len(vendor.records) + 1, len(vendor.records) + 1 + value)
        elif action == "webhook" and vendor.records:
            number = vendor.records[value % len(vendor.records)]
            with means.connect() as writer:
                landing.land(writer, [delivery(bound.account, number, NOW)], parse, way="webhook")
        elif action == "poll":
            dying = replace(means, puller_of=lambda name, pages=value: ToyPuller(pages))
            try:
                poll_account(bound, dying, deadline=MUCH)
            except KeyboardInterrupt:
                pass
        elif action == "fail":
            vendor.faults = [Fault(value)]
            poll_account(bound, means, deadline=time.monotonic() + 1)
            vendor.faults = []
        elif action == "backfill":
            backfill_account(bound, Window(at(value), at(value + 5)), means, deadline=MUCH)
        elif action == "restart":
            landing = Landing(*landing_parts(landing))
            means = means_of(database_url, landing, time, ToyPuller())
        reached = position(conn, landing, product)
        assert set(vendor.records[: int(reached or 0)]) <= set(landed(conn, product))
    assert poll_account(bound, means, deadline=MUCH).complete

    assert landed(conn, product) == vendor.records


def landing_parts(landing: Landing) -> tuple[Any, ...]:
    """What a landing is made of, for another one over the same database."""
    from batuta.policy.decision import DefaultPolicy
    from tests.support.landing_trials import CONTRACTS

    return CONTRACTS, DefaultPolicy(), landing.keys, lambda: NOW


def test_a_backfill_adds_exactly_what_is_missing(vendor: ToyVendor, means: Means, conn: Connection) -> None:
    bound = bound_to(vendor)
    vendor.records = list(range(1, 21))
    with means.connect() as writer:
        early = [delivery(bound.account, number, NOW) for number in (3, 4, 12)]
        means.landing.land(writer, early, parse, way="webhook")
    window = Window(at(2), at(11))

    found = backfill_account(bound, window, means, deadline=MUCH)

    assert (found.counts.landed, found.counts.duplicate, found.complete) == (7, 2, True)
    assert landed(conn) == [2, 3, 4, 5, 6, 7, 8, 9, 10, 12]
    assert get_cursor(conn, backfill_consumer("trial", "", window), "arcsat") == DONE
    asked = len(vendor.requests)
    assert backfill_account(bound, window, means, deadline=MUCH).complete
    assert len(vendor.requests) == asked
    row = conn.execute(
        "select min(window_start), max(window_end), sum(counted), bool_and(way = 'backfill') from batuta.completeness"
    ).fetchone()
    assert row == (window.start, window.end, 9, True)


def test_a_backfill_that_breaks_off_goes_on_where_it_was(
    vendor: ToyVendor, means: Means, conn: Connection
) -> None:
    bound = bound_to(vendor)
    vendor.records = list(range(1, 13))
    window = Window(FIRST_AT, at(100))
    with pytest.raises(KeyboardInterrupt):
        backfill_account(bound, window, replace(means, puller_of=lambda name: ToyPuller(2)), deadline=MUCH)
    found = backfill_account(bound, window, means, deadline=MUCH)

    assert (found.counts.landed, found.counts.duplicate) == (6, 0)
    assert landed(conn) == vendor.records


def test_a_backfill_that_runs_out_of_time_is_not_done(
    vendor: ToyVendor, means: Means, time: TrialTime, conn: Connection
) -> None:
    class Slow(ToyPuller):
        def poll(self, account: Any, position: Any, tools: Tools) -> Any:
            raise NotImplementedError

        def backfill(self, account: Any, window: Window, position: Any, tools: Tools) -> Any:
            for page in super().backfill(account, window, position, tools):
                yield page
                time.advance(10)

    bound = bound_to(vendor)
    vendor.records = list(range(1, 13))
    window = Window(FIRST_AT, at(100))
    slow = replace(means, puller_of=lambda name: Slow())

    first = backfill_account(bound, window, slow, deadline=time.monotonic() + 15)
    second = backfill_account(bound, window, slow, deadline=time.monotonic() + 100)

    assert (first.counts.landed, first.complete) == (6, False)
    assert (second.counts.landed, second.complete) == (6, True)


def test_a_failure_is_a_sentence_and_the_next_try_waits_longer_each_time(
    vendor: ToyVendor, means: Means, conn: Connection, time: TrialTime
) -> None:
    bound = bound_to(vendor)
    waits: list[float] = []
    found = AccountState(*bound.key)
    for _ in range(4):
        vendor.faults = [Fault(404)]
        assert poll_account(bound, means, deadline=MUCH).problem is not None
        found = state(conn, bound)
        assert found.next_due_at is not None
        assert not is_due(bound, found, time.clock())
        waits.append((found.next_due_at - time.clock()).total_seconds())
        time.advance(waits[-1])
        assert is_due(bound, found, time.clock())

    assert waits == [30, 60, 120, 240]
    assert (found.problem, found.failures) == ("127.0.0.1 answers 404", 4)
    assert poll_account(bound, means, deadline=MUCH).problem is None
    mended = state(conn, bound)
    assert (mended.problem, mended.failures, mended.last_success_at) == (None, 0, time.clock())
    assert mended.next_due_at == time.clock() + timedelta(seconds=60)
    counted = conn.execute(
        "select product, connector, sum(polls), sum(polls_failed) from batuta.connector_hours group by 1, 2"
    ).fetchall()
    assert counted == [(*bound.key[:2], 5, 4)]


def test_a_woken_account_is_polled_at_once_but_not_while_it_fails_or_rests(
    vendor: ToyVendor, means: Means, conn: Connection, time: TrialTime
) -> None:
    bound = bound_to(vendor)
    poll_account(bound, means, deadline=MUCH)
    assert not is_due(bound, state(conn, bound), time.clock())
    wake(conn, bound.key)
    assert is_due(bound, state(conn, bound), time.clock())

    vendor.faults = [Fault(404)]
    poll_account(bound, means, deadline=MUCH)
    assert not state(conn, bound).woken
    wake(conn, bound.key)
    assert not is_due(bound, state(conn, bound), time.clock())


def test_an_account_that_is_woken_while_it_is_polled_is_polled_again(
    vendor: ToyVendor, means: Means, conn: Connection, time: TrialTime
) -> None:
    bound = bound_to(vendor)
    vendor.records = [1]

    class Ringing(ToyPuller):
        def poll(self, account: Any, position: Any, tools: Tools) -> Any:
            wake(conn, bound.key)
            return super().poll(account, position, tools)

    poll_account(bound, replace(means, puller_of=lambda name: Ringing()), deadline=MUCH)

    assert is_due(bound, state(conn, bound), time.clock())


def test_a_vendor_that_asks_for_rest_gets_it(
    vendor: ToyVendor, means: Means, conn: Connection, time: TrialTime
) -> None:
    bound = bound_to(vendor)
    vendor.faults = [Fault(429, {"retry-after": "900"})]
    polled = poll_account(bound, means, deadline=time.monotonic() + 60)

    found = state(conn, bound)
    assert polled.problem is not None
    assert found.paused_until == time.clock() + timedelta(seconds=900)
    assert found.failures == 0
    wake(conn, bound.key)
    assert not is_due(bound, state(conn, bound), time.clock())
    time.advance(900)
    assert is_due(bound, state(conn, bound), time.clock())
    assert poll_account(bound, means, deadline=MUCH).problem is None
    assert state(conn, bound).paused_until is None


def test_an_account_that_is_gone_rests_until_it_is_bound_anew_or_resumed(
    vendor: ToyVendor, means: Means, conn: Connection, time: TrialTime
) -> None:
    bound = bound_to(vendor)
    puller = ToyPuller()
    puller.gone = True
    gone = replace(means, puller_of=lambda name: puller)
    polled = poll_account(bound, gone, deadline=MUCH)

    found = state(conn, bound)
    assert isinstance(polled.problem, Gone)
    assert found.stopped_reason == "the shop has uninstalled the app. Install it again."
    wake(conn, bound.key)
    time.advance(1e7)
    assert not is_due(bound, state(conn, bound), time.clock())
    assert is_due(bound_to(vendor, apiUrl="https://elsewhere.example"), found, time.clock())

    resume(conn, bound.key)
    assert is_due(bound, state(conn, bound), time.clock())
    assert poll_account(bound, means, deadline=MUCH).problem is None


def test_another_binding_begins_without_the_old_ones_troubles(
    vendor: ToyVendor, means: Means, conn: Connection
) -> None:
    vendor.faults = [Fault(404), Fault(404)]
    poll_account(bound_to(vendor), means, deadline=MUCH)
    other = bound_to(vendor, apiUrl="https://elsewhere.example")
    poll_account(other, means, deadline=MUCH)

    assert state(conn, other).failures == 1


def test_the_turn_goes_to_the_woken_then_to_the_least_recently_tried(
    vendor: ToyVendor, means: Means, conn: Connection, time: TrialTime
) -> None:
    names = ["a", "b", "c", "d"]
    bounds = [bound_to(vendor, name=name) for name in names]
    for name in ("c", "a", "b"):
        poll_account(bounds[names.index(name)], means, deadline=MUCH)
        time.advance(1)
    time.advance(60)
    order = [bound.account.name for bound in due(bounds, read_states(conn), time.clock())]
    assert order == ["d", "c", "a", "b"]

    wake(conn, bounds[0].key)
    order = [bound.account.name for bound in due(bounds, read_states(conn), time.clock())]
    assert order == ["a", "d", "c", "b"]


def test_what_a_connector_did_not_expect_is_told_without_the_vendors_words(
    vendor: ToyVendor, means: Means, conn: Connection
) -> None:
    class Surprised(ToyPuller):
        def poll(self, account: Any, position: Any, tools: Tools) -> Any:
            raise KeyError("person@example.com")

    bound = bound_to(vendor)
    poll_account(bound, replace(means, puller_of=lambda name: Surprised()), deadline=MUCH)

    problem = state(conn, bound).problem
    assert problem is not None
    assert problem.startswith("the connector trial did not expect this answer (KeyError at test_polling.py:")
    assert "person" not in problem


def test_two_polls_of_one_account_do_not_run_at_once(vendor: ToyVendor, means: Means) -> None:
    bound = bound_to(vendor)
    vendor.records = [1]
    seen: list[bool] = []

    class Meeting(ToyPuller):
        def poll(self, account: Any, position: Any, tools: Tools) -> Any:
            seen.append(poll_account(bound, means, deadline=MUCH).busy)
            return super().poll(account, position, tools)

    assert not poll_account(bound, replace(means, puller_of=lambda name: Meeting()), deadline=MUCH).busy
    assert seen == [True]
    assert not poll_account(bound, means, deadline=MUCH).busy


def test_files_are_polled_from_their_start_and_leave_the_vendors_position_alone(
    vendor: ToyVendor, means: Means, conn: Connection, landing: Landing
) -> None:
    bound = bound_to(vendor)
    vendor.records = [1, 2, 3, 4]
    poll_account(bound, means, deadline=MUCH)
    with ToyVendor() as saved:
        saved.records = [3, 4, 5, 6, 7]
        found = poll_files(account(saved), None, means)

    assert (found.counts.landed, found.counts.duplicate, found.complete) == (3, 2, True)
    assert landed(conn) == [1, 2, 3, 4, 5, 6, 7]
    assert position(conn, landing) == 4
    assert state(conn, bound).failures == 0


def test_a_record_the_database_cannot_store_is_held_and_the_others_land(
    vendor: ToyVendor, means: Means, conn: Connection, landing: Landing
) -> None:
    noise = base64.b64encode(random.Random(7).randbytes(9000)).decode()

    def parse_with_one_too_large(given: Delivery) -> Parsed:
        parsed = parse(given)
        [candidate] = parsed.candidates
        if not candidate.event.id.startswith("2-"):
            return parsed
        large = candidate.event._replace(subject=noise)
        return Parsed((Candidate(event=large, dataset="surveys", connector="trial"),), "surveys")

    with conn.transaction():
        conn.execute("set local role batuta_owner")
        conn.execute("create index events_by_subject on batuta.events (subject)")
    bound = bound_to(vendor)
    vendor.records = [1, 2, 3, 4]
    polled = poll_account(
        bound, replace(means, parse_of=lambda name: parse_with_one_too_large), deadline=MUCH
    )

    assert (polled.counts.landed, polled.counts.quarantined, polled.complete) == (3, 1, True)
    assert landed(conn) == [1, 3, 4]
    assert position(conn, landing) == 4
    assert conn.execute("select reason_code from batuta.quarantine").fetchall() == [("storing",)]


def test_an_audit_is_recorded_as_a_whole(vendor: ToyVendor, means: Means, conn: Connection) -> None:
    bound = bound_to(vendor)
    puller = ToyPuller()
    auditing = replace(means, puller_of=lambda name: puller)
    expires = datetime(2026, 5, 1, tzinfo=UTC)
    puller.audited = (
        Subscription("orders", "active", expires_at=expires, reference={"id": 7}),
        Subscription("refunds", "missing", "run the audit again"),
    )
    audit_account(bound, auditing, deadline=MUCH)
    puller.audited = (Subscription("orders", "renewed"),)
    found, problem = audit_account(bound, auditing, deadline=MUCH)

    assert [one.state for one in found] == ["renewed"]
    assert problem is None
    rows = conn.execute("select name, state, expires_at from batuta.subscriptions").fetchall()
    assert rows == [("orders", "renewed", None)]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.integration.pull.test_polling import bound_to, means_of
from tests.support.landing_trials import open_landing
from tests.support.pulling import TrialTime
from tests.support.toy_vendor import ToyPuller
from sensors.pull.run import poll_account

class Vendor:
    url = sys.argv[3]

class Killed(ToyPuller):
    def poll(self, account, position, tools):
        for count, page in enumerate(super().poll(account, position, tools), 1):
            yield page
            if count == 2:
                os.kill(os.getpid(), signal.SIGKILL)

means = means_of(sys.argv[1], open_landing(Path(sys.argv[2])), TrialTime(), Killed())
poll_account(bound_to(Vendor()), means, deadline=1e9)
"""


def test_a_killed_process_leaves_rows_and_position_together(
    database_url: str, tmp_path: Path, vendor: ToyVendor, means: Means, conn: Connection, landing: Landing
) -> None:
    vendor.records = list(range(1, 11))
    arguments = [sys.executable, "-c", KILLED, database_url, str(tmp_path), vendor.url]
    project = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    died = subprocess.run(arguments, cwd=project, env=environment, check=False, timeout=60)

    assert died.returncode == -signal.SIGKILL
    assert landed(conn) == [1, 2, 3, 4, 5, 6]
    assert position(conn, landing) == 6
    # The server lets go of a dead process's lock as soon as it notices.
    while (again := poll_account(bound_to(vendor), means, deadline=MUCH)).busy:
        sleep(0.02)
    assert (again.counts.landed, again.counts.duplicate) == (4, 0)
    assert landed(conn) == vendor.records


def test_known_items_move_with_the_page_they_come_with(
    vendor: ToyVendor, means: Means, conn: Connection
) -> None:
    seen: list[tuple[int, ...]] = []

    class Looking(ToyPuller):
        def poll(self, account: Any, position: Any, tools: Tools) -> Any:
            for page in super().poll(account, position, tools):
                seen.append(tuple(sorted(item.state["number"] for item in tools.known.all())))
                yield page

    vendor.records = [1, 2, 3, 4]
    poll_account(bound_to(vendor), replace(means, puller_of=lambda name: Looking()), deadline=MUCH)

    assert seen == [(), (1, 2, 3)]
