"""A round calls what is due, a few at a time, and waits for nobody."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from batuta.errors import BatutaError
from batuta.manifests.models import ConnectorBinding
from batuta.settings import Settings
from sensors.audits import AGAIN_AFTER, Audit, audits_due
from sensors.connectors.pulling import Account, ConnectorSettings
from sensors.liveness.channels import AUDIT_EVERY
from sensors.pull.accounts import AccountState, BoundAccount
from sensors.rounds import AUDITED, POLLED, Attempt, Call, Task, all_failed, failed, take_round

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def account(product: str) -> BoundAccount:
    made = Account(product, "github", None, ConnectorSettings(), {})
    return BoundAccount(made, ConnectorBinding(type="github"), "UTC", Settings())


def tasks(call: Call, count: int) -> list[Task]:
    return [Task(POLLED, account(f"p{number}"), call) for number in range(count)]


def test_accounts_are_called_in_their_order_and_a_few_at_a_time() -> None:
    order: list[str] = []
    running: list[int] = [0, 0]
    lock = threading.Lock()

    def call(bound: BoundAccount) -> None:
        with lock:
            order.append(bound.key[0])
            running[0] += 1
            running[1] = max(running)
        threading.Event().wait(0.01)
        with lock:
            running[0] -= 1

    attempts = take_round(tasks(call, 12), deadline=time.monotonic() + 30, workers=3)
    assert sorted(order, key=lambda name: int(name[1:])) == [f"p{n}" for n in range(12)]
    assert order[:1] == ["p0"]
    assert [a.account for a in attempts] == [f"p{n}" for n in range(12)]
    assert running[1] <= 3


def test_nothing_is_begun_without_time_and_what_was_not_begun_is_not_an_attempt() -> None:
    called: list[str] = []

    def call(bound: BoundAccount) -> None:
        called.append(bound.key[0])

    assert take_round(tasks(call, 3), deadline=time.monotonic() + 1) == ()
    assert called == []


def test_a_call_that_hangs_is_named_and_the_round_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensors.rounds.OVERTIME_S", 0.1)
    monkeypatch.setattr("sensors.rounds.LEAST_S", 0.0)
    release = threading.Event()

    def call(bound: BoundAccount) -> None:
        if bound.key[0] == "p0":
            release.wait(20)

    try:
        attempts = take_round(tasks(call, 2), deadline=time.monotonic() + 0.2)
    finally:
        release.set()
    assert [(a.account, a.problem is None) for a in attempts] == [("p0", False), ("p1", True)]


def test_a_database_that_takes_nothing_is_a_failed_attempt_with_its_sentence() -> None:
    def call(bound: BoundAccount) -> None:
        raise BatutaError("the database's disk is full")

    (attempt,) = take_round(tasks(call, 1), deadline=time.monotonic() + 30)
    assert failed([attempt]) == ("p0 could not be polled: the database's disk is full",)


@pytest.mark.parametrize(
    ("polls", "audits", "expected"),
    [
        ([], [], False),
        (["a"], [None], True),
        (["a", None], ["b"], False),
        ([], ["a"], True),
        ([None], ["a"], False),
    ],
)
def test_a_round_has_failed_when_every_poll_has(
    polls: list[str | None], audits: list[str | None], *, expected: bool
) -> None:
    made = [Attempt(POLLED, "p", problem) for problem in polls]
    made += [Attempt(AUDITED, "p", problem) for problem in audits]
    assert all_failed(made) is expected


def test_audits_are_due_hourly_sooner_after_a_failure_and_never_for_what_is_ended_or_paused() -> None:
    bounds = [account(name) for name in ("new", "fresh", "old", "failed", "ended", "paused")]
    keys = {bound.key[0]: bound for bound in bounds}
    fresh = Audit(NOW - timedelta(minutes=30), NOW - timedelta(minutes=30))
    old = Audit(NOW - AUDIT_EVERY, NOW - AUDIT_EVERY)
    broken = Audit(NOW - AGAIN_AFTER, NOW - timedelta(minutes=30))
    audits = {
        keys["fresh"].key: fresh,
        keys["old"].key: old,
        keys["failed"].key: broken,
        keys["ended"].key: old,
        keys["paused"].key: old,
    }
    states = {
        keys["ended"].key: AccountState(*keys["ended"].key, keys["ended"].digest, stopped_at=NOW),
        keys["paused"].key: AccountState(
            *keys["paused"].key, keys["paused"].digest, paused_until=NOW + timedelta(hours=1)
        ),
    }
    due = [bound.key[0] for bound in audits_due(bounds, audits, states, NOW)]
    assert due == ["new", "old", "failed"]
