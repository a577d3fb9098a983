"""GitHub by webhook and by REST: one state of one thing lands once, whatever comes first, however often."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.contracts.contract import Contracts
from batuta.keys import create_keys
from batuta.landing.land import Landing
from batuta.landing.model import CursorMove, Delivery, PageSides
from batuta.policy.decision import DefaultPolicy
from batuta.warehouse.connection import connect
from examples.vendors.github import TOKEN, GitHub, stamp
from sensors.connectors import github
from sensors.connectors.github import pull
from sensors.connectors.pulling import Account
from tests.support.pulling import NOW, TrialTime, tools

STEPS = st.lists(st.sampled_from(["change", "lost", "poll", "cut", "again"]), min_size=1, max_size=12)


def _landing() -> Landing:
    home = Path(tempfile.mkdtemp())
    return Landing(Contracts.load(), DefaultPolicy(), create_keys(home), lambda: NOW)


@pytest.fixture(scope="module")
def vendor() -> Any:
    with GitHub() as served:
        yield served


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_mixture_of_webhooks_polls_and_breaks_leaves_each_state_once(
    steps: list[str], vendor: GitHub, database_url: str
) -> None:
    vendor.items.clear()
    account = Account(
        "arcsat",
        "github",
        vendor.repository,
        github.Settings.model_validate({"apiUrl": vendor.url, "streams": ["issues"]}),
        {"token": TOKEN.encode()},
    )
    time, position, sent, states = TrialTime(), None, list[Delivery](), set[tuple[int, str]]()
    landing = _landing()
    with connect(database_url, "owner") as conn:
        conn.execute("truncate batuta.events, batuta.inbox, batuta.batches, batuta.key_fingerprint")
        conn.commit()
    with connect(database_url, "writer") as conn:

        def land(deliveries: list[Delivery]) -> None:
            prepared = [landing.prepare(delivery, github.parse) for delivery in deliveries]
            landing.commit(conn, prepared, way="webhook")

        for number, step in enumerate([*steps, "poll"]):
            time.advance(400)
            at = time.clock()
            if step in ("change", "lost"):
                item = vendor.issue(number % 3 + 1, at, comments=number)
                states.add((item["number"], stamp(at)))
                delivery = _webhook(item, number, vendor.repository)
                if step == "change":
                    sent.append(delivery)
                    land([delivery])
                else:
                    # Only its newest state can still be fetched: a state that was lost and changed again is gone.
                    states = {
                        s for s in states if s[0] != item["number"] or s[1] == stamp(at) or s in landed(conn)
                    }
            elif step == "again" and sent:
                land(sent)
            elif step in ("poll", "cut"):
                for page in pull.poll(account, position, tools(time=time, limits=pull.limits)):
                    sides = PageSides(CursorMove("poll:github:x", "arcsat", page.position), None, None)
                    landing.commit_page(conn, page.deliveries, github.parse, sides, way="poll")
                    if step == "cut":
                        break
                    position = page.position
        assert landed(conn) >= {(n, at) for n, at in states if vendor.items[n]["updated_at"] == at}
        count = conn.execute("select count(*) from batuta.events").fetchone()
        assert count == (len(landed(conn)),)


def landed(conn: psycopg.Connection[Any]) -> set[tuple[int, str]]:
    rows = conn.execute(
        "select (data #>> '{issue,number}')::int, data #>> '{issue,updated_at}' from batuta.events"
    ).fetchall()
    conn.commit()
    return {(number, at) for number, at in rows}


def _webhook(item: dict[str, Any], number: int, repository: str) -> Delivery:
    payload = {"action": "edited", "issue": item, "repository": {"id": 42, "full_name": repository}}
    headers = {"x-github-event": "issues", "x-github-delivery": f"guid-{number}"}
    at = NOW + timedelta(seconds=number)
    return Delivery("arcsat", "github", repository, headers, orjson.dumps(payload), at)
