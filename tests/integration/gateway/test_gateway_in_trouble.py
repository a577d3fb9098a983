"""What the gateway does when the database is gone, slow or full, when it is killed, and when the bundle changes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from batuta.landing.store import LANDING_LOCK
from batuta.manifests.bundle import bundle_path, write_bundle
from batuta.manifests.graph import CompiledGraph
from batuta_gateway.intake import IntakeLimits
from tests.support.gateway_server import (
    Running,
    binding,
    company,
    free_port,
    gateway_process,
    gateway_settings,
    install,
    product,
    running,
    wait_until,
)
from tests.support.vendor_deliveries import shopify_order, signed_shopify

SHOPIFY = "/webhooks/arcsat/shopify"


@pytest.fixture
def own(database_url: str, tmp_path: Path) -> Iterator[Running]:
    """A gateway of this test's own."""
    with running(gateway_settings(tmp_path / "home", database_url)) as started:
        yield started


def post(gateway: Running, number: int, **options: Any) -> httpx.Response:
    headers, body = signed_shopify(shopify_order(number), webhook_id=f"n-{number}", **options)
    return gateway.http.post(SHOPIFY, headers=headers, content=body)


def landing_waits(database_url: str) -> bool:
    """Whether a landing transaction stands before the landing lock."""
    with psycopg.connect(database_url) as conn:
        waiting = conn.execute(
            "select from pg_locks where locktype = 'advisory' and not granted "
            "and database = (select oid from pg_database where datname = current_database())"
        )
        return waiting.fetchone() is not None


def assert_come_again(answered: httpx.Response) -> None:
    assert answered.status_code == 503
    assert int(answered.headers["retry-after"]) > 0
    assert answered.json()["code"] == "unavailable"


def test_without_a_database_the_sender_is_told_to_come_again(tmp_path: Path):
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/none"
    with running(gateway_settings(tmp_path, nowhere)) as gateway:
        assert_come_again(post(gateway, 1))
        assert gateway.http.get("/healthz").status_code == 200
        ready = gateway.http.get("/readyz")
        assert (ready.status_code, ready.json()["database"]) == (503, False)


def test_a_connection_that_was_cut_is_opened_anew_without_the_sender_noticing(own: Running):
    assert post(own, 1).json()["status"] == "landed"
    own.query(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'batuta-gateway' and datname = current_database()"
    )
    assert post(own, 2).json()["status"] == "landed"
    assert post(own, 1).json()["status"] == "duplicate"


def test_a_database_that_refuses_to_be_written_to_loses_nothing(own: Running):
    assert post(own, 1).json()["status"] == "landed"
    with psycopg.connect(own.database_url, autocommit=True) as conn:
        conn.execute("revoke insert on batuta.inbox from batuta_writer")
        refused = post(own, 2)
        conn.execute("grant insert on batuta.inbox to batuta_writer")
    assert_come_again(refused)
    assert post(own, 2).json()["status"] == "landed"


def test_answers_to_deliveries_are_counted_by_whether_they_were_acknowledged(
    database_url: str, tmp_path: Path
):
    with running(gateway_settings(tmp_path / "home", database_url)) as gateway:
        assert post(gateway, 1).status_code == 200
        assert post(gateway, 1).json()["status"] == "duplicate"
        with psycopg.connect(database_url, autocommit=True) as conn:
            conn.execute("revoke insert on batuta.inbox from batuta_writer")
            assert_come_again(post(gateway, 2))
            conn.execute("grant insert on batuta.inbox to batuta_writer")
        assert gateway.http.post(SHOPIFY, content=b"{}").status_code in (401, 415)
        assert gateway.http.post("/webhooks/nobody/shopify", content=b"{}").status_code == 404
    with psycopg.connect(database_url) as conn:
        counted = conn.execute(
            "select product, connector, sum(deliveries), sum(deliveries_unacknowledged) "
            "from batuta.connector_hours group by product, connector"
        ).fetchall()
    assert counted == [("arcsat", "shopify", 3, 1)]


def test_a_database_that_does_not_commit_in_time_costs_a_503_and_doubles_nothing(
    own: Running, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("batuta_gateway.webhooks.PATIENCE_S", 0.3)
    with psycopg.connect(own.database_url) as blocker:
        blocker.execute("select pg_advisory_xact_lock(%s)", (LANDING_LOCK,))
        assert_come_again(post(own, 1))
    monkeypatch.undo()
    assert post(own, 1).json()["status"] == "duplicate"
    assert own.query("select count(*) from batuta.events where id = 'n-1'") == [(1,)]


def test_no_more_wait_than_there_is_room_for(database_url: str, tmp_path: Path):
    settings = gateway_settings(tmp_path, database_url)
    with running(settings, limits=IntakeLimits(waiting_deliveries=1)) as gateway:
        with psycopg.connect(database_url) as blocker:
            blocker.execute("select pg_advisory_xact_lock(%s)", (LANDING_LOCK,))
            answers: list[httpx.Response] = []
            waiting = threading.Thread(target=lambda: answers.append(post(gateway, 1)))
            waiting.start()
            wait_until(lambda: landing_waits(database_url), "the first delivery did not get to the database")
            assert_come_again(post(gateway, 2))
        waiting.join()
        assert answers[0].json()["status"] == "landed"
        assert post(gateway, 2).json()["status"] == "landed"


def test_other_master_keys_than_the_database_s_land_nothing(own: Running, tmp_path: Path):
    assert post(own, 1).json()["status"] == "landed"
    with running(gateway_settings(tmp_path / "other", own.database_url)) as stranger:
        assert_come_again(post(stranger, 2))
    assert own.query("select count(*) from batuta.events") == [(1,)]


def test_a_new_bundle_and_a_new_secret_need_no_restart(own: Running):
    assert post(own, 1).status_code == 200
    write_bundle(
        own.settings.home, CompiledGraph(products=(product("other", binding("shopify", "arcsat-shopify")),))
    )
    assert post(own, 2).status_code == 404
    write_bundle(own.settings.home, company())
    assert post(own, 3).status_code == 200
    fresh = own.settings.secrets_dir / ".fresh"
    fresh.write_bytes(b"rotated-secret")
    fresh.rename(own.settings.secrets_dir / "arcsat-shopify")
    assert post(own, 4).status_code == 401
    assert post(own, 4, secret=b"rotated-secret").status_code == 200


def test_a_damaged_bundle_leaves_the_doors_as_they_were(own: Running):
    assert post(own, 1).status_code == 200
    bundle_path(own.settings.home).write_text("{", encoding="utf-8")
    assert post(own, 2).status_code == 200
    bundle_path(own.settings.home).unlink()
    assert post(own, 3).status_code == 200


def test_unsigned_is_accepted_only_where_allowed_and_only_in_development(database_url: str, tmp_path: Path):
    headers, body = signed_shopify(shopify_order(), webhook_id="open")
    del headers["x-shopify-hmac-sha256"]
    for environment, status in (("production", 401), ("development", 200)):
        settings = gateway_settings(tmp_path, database_url, environment=environment)
        with running(settings) as gateway:
            opened = gateway.http.post("/webhooks/openhouse/shopify", headers=headers, content=body)
            assert opened.status_code == status
            assert gateway.http.post(SHOPIFY, headers=headers, content=body).status_code == 401


def test_every_acknowledged_delivery_survives_a_kill(database_url: str, tmp_path: Path):
    settings = gateway_settings(tmp_path, database_url)
    install(settings)
    acknowledged: list[str] = []
    stop = threading.Event()

    def send(sender: int, address: str) -> None:
        number = sender * 100_000
        with httpx.Client(base_url=address, timeout=5) as http:
            while not stop.is_set():
                number += 1
                headers, body = signed_shopify(shopify_order(number), webhook_id=f"k-{number}")
                try:
                    answered = http.post(SHOPIFY, headers=headers, content=body)
                except httpx.TransportError:
                    return
                if answered.json()["status"] == "landed":
                    acknowledged.append(f"k-{number}")

    for round_number in (1, 2):
        stop.clear()
        with gateway_process(settings) as (process, address):
            senders = [threading.Thread(target=send, args=(round_number * 10 + n, address)) for n in range(4)]
            for sender in senders:
                sender.start()
            enough = round_number * 60
            wait_until(
                lambda enough=enough: len(acknowledged) >= enough, "too few deliveries were acknowledged"
            )
            os.kill(process.pid, signal.SIGKILL)
            stop.set()
            for sender in senders:
                sender.join()

    with psycopg.connect(database_url) as conn:
        stored = [row[0] for row in conn.execute("select id from batuta.events").fetchall()]
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)


def test_what_waits_is_committed_before_the_process_ends(database_url: str, tmp_path: Path):
    settings = gateway_settings(tmp_path, database_url)
    install(settings)
    with gateway_process(settings) as (process, address), psycopg.connect(database_url) as blocker:
        blocker.execute("select pg_advisory_xact_lock(%s)", (LANDING_LOCK,))
        headers, body = signed_shopify(shopify_order(), webhook_id="last")
        answers: list[int] = []
        sender = threading.Thread(
            target=lambda: answers.append(
                httpx.post(address + SHOPIFY, headers=headers, content=body).status_code
            )
        )
        sender.start()
        wait_until(lambda: landing_waits(database_url), "the delivery did not get to the database")
        process.terminate()
        time.sleep(0.2)
        blocker.rollback()
        sender.join()
        assert process.wait(15) in (0, -signal.SIGTERM)
    assert answers == [200]


def started(settings: Any, port: int) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {
        "BATUTA_GATEWAY_PORT": str(port),
        "BATUTA_HOME": str(settings.home),
        "BATUTA_DATABASE_URL": str(settings.database_url),
    }
    return subprocess.run(
        [sys.executable, "-m", "batuta_gateway"],
        cwd=settings.project,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_what_keeps_the_gateway_from_starting_is_said_in_a_sentence(tmp_path: Path):
    settings = gateway_settings(tmp_path, "postgresql://postgres@127.0.0.1:1/none")
    without_keys = started(settings, free_port())
    assert without_keys.returncode == 1
    assert "there are no master keys" in without_keys.stderr
    install(settings)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = started(settings, port)
    assert refused.returncode == 1
    assert str(port) in refused.stderr
    assert "Traceback" not in without_keys.stderr + refused.stderr
