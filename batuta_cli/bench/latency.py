"""`batuta bench latency`: from an acknowledged event to the analysis that it triggered, beside plain Dagster.

Ours is the whole way: a signed order is posted to the gateway of a `batuta up`, and the clock runs from the
answer to the materialization of `sigma/finance_reconcile` by the run that the event triggered. The peer is
Dagster with its defaults (sensor of one second, queued runs, default launcher) and one trivial step; its
clock runs from a file written to the same materialization event. Both in this call, one after the other, in
scratch databases of one server.
"""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import psycopg
from psycopg import sql

from batuta.errors import BatutaError
from batuta.settings import Settings
from batuta.warehouse.connection import dagster_url, database_name, with_database
from batuta.warehouse.database import ensure_database
from batuta_cli.bench.plain_dagster import FOLDER

RUNS: Final = 10
PRODUCT: Final = "arcsat"
SHOP: Final = "arcsat-demo.myshopify.com"
ANALYSIS: Final = '["sigma", "finance_reconcile"]'
PEER_ANALYSIS: Final = '["analysis"]'
BUDGET_S: Final = 3.0
PATIENCE_S: Final = 180.0

Say = Callable[[str], None]


class BenchFailed(BatutaError):
    """What is measured did not happen."""


def run(settings: Settings, say: Say, *, runs: int = RUNS) -> dict[str, Any]:
    """Measure; the document that the bench prints as its last line.

    Args:
        settings: Where the warehouse's server is.
        say: Shows progress.
        runs: How many events, one after the other, beside one that warms up.
    """
    server = ensure_database(settings, say)
    with TemporaryDirectory(prefix="batuta-bench-") as folder, _scratch(server) as url:
        ours = _measure_ours(settings, Path(folder), url, runs, say)
        peer = _measure_peer(
            settings, Path(folder), dagster_url(with_database(url, f"{database_name(url)}_peer")), runs, say
        )
    value, plain = statistics.median(ours.analysis), statistics.median(peer)
    return {
        "bench": "latency",
        "value": round(value, 3),
        "unit": "s",
        "peers": {"dagster": round(plain, 3)},
        "ratios": {"dagster": round(value / plain, 3)},
        "runs": runs,
        "spread": [round(min(ours.analysis), 3), round(max(ours.analysis), 3)],
        "budget": f"p50 <= {BUDGET_S:g} s",
        "meets": value <= BUDGET_S,
        "peer_spread": [round(min(peer), 3), round(max(peer), 3)],
        "run_started": round(statistics.median(ours.started), 3),
        "report": round(statistics.median(ours.report), 3),
    }


@dataclass(frozen=True, slots=True)
class _Ours:
    """Seconds from the gateway's answer to the run's start, its first analysis and its report."""

    started: list[float]
    analysis: list[float]
    report: list[float]


def _measure_ours(settings: Settings, folder: Path, url: str, runs: int, say: Say) -> _Ours:
    home = folder / "home"
    ports = {f"BATUTA_{name}_PORT": str(_free_port()) for name in ("GATEWAY", "DAGSTER", "DOCS")}
    environment = {
        **os.environ,
        **ports,
        "BATUTA_PROJECT": str(settings.project),
        "BATUTA_HOME": str(home),
        "BATUTA_DATABASE_URL": url,
    }
    _batuta(environment, "demo", "--scale", "small", "--json", say=say)
    _batuta(environment, "up", "--detach", "--json", say=say)
    try:
        found = _Ours([], [], [])
        with psycopg.connect(dagster_url(url), autocommit=True) as events:
            for number in range(runs + 1):
                acknowledged = _post_order(home, ports["BATUTA_GATEWAY_PORT"])
                run_id = _triggered_run(url, acknowledged.event_id)
                analysis = _materialized(events, run_id, ANALYSIS)
                report = _materialized(events, run_id, '["reports", "daily_review"]')
                started = _event_time(events, run_id, "PIPELINE_START")
                _wait_for_end(events, run_id)
                if number:
                    found.started.append(started - acknowledged.at)
                    found.analysis.append(analysis - acknowledged.at)
                    found.report.append(report - acknowledged.at)
                    say(f"event {number}: analysis after {found.analysis[-1]:.2f} s")
        return found
    finally:
        _batuta(environment, "down", say=say)


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    event_id: str
    at: float


def _post_order(home: Path, port: str) -> _Acknowledged:
    """Send a new order, signed as the shop signs; when the gateway had answered."""
    event_id = str(uuid.uuid4())
    body = _new_order(home)
    secret = (home / "secrets" / f"{PRODUCT}-shopify").read_bytes().strip()
    signature = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
    headers = {
        "content-type": "application/json",
        "x-shopify-topic": "orders/create",
        "x-shopify-shop-domain": SHOP,
        "x-shopify-webhook-id": event_id,
        "x-shopify-event-id": str(uuid.uuid4()),
        "x-shopify-api-version": "2025-10",
        "x-shopify-triggered-at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-shopify-hmac-sha256": signature,
    }
    address = f"http://127.0.0.1:{port}/webhooks/{PRODUCT}/shopify"
    answer = httpx.post(address, content=body, headers=headers, timeout=30, trust_env=False)
    at = time.time()
    if answer.status_code >= httpx.codes.BAD_REQUEST:
        raise BenchFailed(f"the gateway answered {answer.status_code}: {answer.text[:300]}")
    return _Acknowledged(event_id, at)


def _new_order(home: Path) -> bytes:
    """An order of the example with another id, so that it is news."""
    with (home / "demo" / "small" / f"{PRODUCT}.shopify.jsonl").open(encoding="utf-8") as file:
        captured = (json.loads(line) for line in file if '"orders/create"' in line)
        order = next(
            json.loads(delivery["body"]) for delivery in captured if delivery.get("body", "").startswith("{")
        )
    number = uuid.uuid4().int % 10**12
    order |= {"id": number, "admin_graphql_api_id": f"gid://shopify/Order/{number}"}
    return json.dumps(order).encode()


def _triggered_run(url: str, event_id: str) -> str:
    query = """
        select w.run_id from batuta.trigger_events as e
        inner join batuta.trigger_windows as w using (digest)
        where e.id = %s and w.run_id is not null
    """
    with psycopg.connect(url, autocommit=True) as conn:
        return str(_wait(lambda: _first(conn, query, event_id), f"a run triggered by event {event_id}"))


def _materialized(events: psycopg.Connection[Any], run_id: str, key: str) -> float:
    query = """
        select extract(epoch from timestamp) from event_logs
        where run_id = %s and asset_key = %s and dagster_event_type = 'ASSET_MATERIALIZATION'
    """
    return float(
        _wait(lambda: _first(events, query, run_id, key) or _failed(events, run_id), f"{key} of run {run_id}")
    )


def _event_time(events: psycopg.Connection[Any], run_id: str, kind: str) -> float:
    query = (
        "select extract(epoch from timestamp) from event_logs where run_id = %s and dagster_event_type = %s"
    )
    return float(_first(events, query, run_id, kind) or 0.0)


def _failed(events: psycopg.Connection[Any], run_id: str) -> None:
    if _first(events, "select 1 from runs where run_id = %s and status = 'FAILURE'", run_id):
        raise BenchFailed(f"the run {run_id} failed")


def _wait_for_end(events: psycopg.Connection[Any], run_id: str) -> None:
    query = "select 1 from runs where run_id = %s and status = 'SUCCESS'"
    _wait(lambda: _first(events, query, run_id) or _failed(events, run_id), f"the end of run {run_id}")


def _measure_peer(settings: Settings, folder: Path, url: str, runs: int, say: Say) -> list[float]:
    home, drop = folder / "peer", folder / "drop"
    home.mkdir()
    drop.mkdir()
    (home / "dagster.yaml").write_text(
        "storage: {postgres: {postgres_url: {env: BATUTA_BENCH_PG_URL}}}\ntelemetry: {enabled: false}\n",
        encoding="utf-8",
    )
    with psycopg.connect(with_database(url, "postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(database_name(url))))
    environment = {**os.environ, "DAGSTER_HOME": str(home), FOLDER: str(drop), "BATUTA_BENCH_PG_URL": url}
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "batuta_cli.bench.plain_dagster"]
    with (folder / "peer.log").open("wb") as log:
        daemon = subprocess.Popen(
            command, env=environment, cwd=settings.project, stdout=log, stderr=log, start_new_session=True
        )
    try:
        return _drop_files(url, drop, runs, say)
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait(60)


def _drop_files(url: str, drop: Path, runs: int, say: Say) -> list[float]:
    seconds: list[float] = []
    for number in range(1, runs + 2):
        written = time.time()
        (drop / f"{number}.event").touch()
        query = "select run_id from run_tags where key = 'number' and value = %s"
        with psycopg.connect(url, autocommit=True) as events:
            run_id = str(_wait(lambda: _first(events, query, str(number)), f"the peer's run {number}"))  # noqa: B023
            made = _materialized(events, run_id, PEER_ANALYSIS)
            _wait_for_end(events, run_id)
        if number > 1:
            seconds.append(made - written)
            say(f"plain Dagster, file {number - 1}: after {seconds[-1]:.2f} s")
    return seconds


def _first(conn: psycopg.Connection[Any], query: str, *values: str) -> Any:
    """The first column of the first row.

    None where there is none, or where the tables are still to be made.
    """
    try:
        row = conn.execute(query.encode(), values).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    return None if row is None else row[0]


def _wait(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.02)
    raise BenchFailed(f"{what} did not come within {PATIENCE_S:.0f} s")


def _batuta(environment: Mapping[str, str], *arguments: str, say: Say) -> None:
    say(f"batuta {' '.join(arguments)}")
    command = [sys.executable, "-m", "batuta_cli.main", *arguments]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(f"batuta {arguments[0]} failed: {done.stderr.strip()[-800:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _scratch(server: str) -> Iterator[str]:
    """An empty database on the warehouse's server; it and what is made beside it are dropped at the end."""
    name = f"batuta_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        yield with_database(server, name)
    finally:
        with psycopg.connect(server, autocommit=True) as conn:
            for made in (name, f"{name}_dagster", f"{name}_peer_dagster"):
                conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(made)))
