"""`batuta bench latency`: from an acknowledged event to the analysis that it triggered, beside plain Dagster.

Ours is the whole way: a signed order is posted to the gateway of a `batuta up`, and the clock runs from the
answer to the materialization of `sigma/finance_reconcile` by the run that the event triggered. The peer is
Dagster with its defaults (sensor of one second, queued runs, default launcher) and one trivial step; its
clock runs from a file written to the same materialization event. Both in this call, one after the other, in
scratch databases of one server.

Beside the clock it tells where the time goes (`steps`: seconds after the answer), what an event costs in CPU
seconds of the processes measured, their idle loops included and the database's server not, and how busy the
machine was, with whatever else it did: seconds measured on a busy machine are not those of a quiet one.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import psutil
import psycopg
from psycopg import sql

from batuta.errors import BatutaError
from batuta.settings import Settings
from batuta.warehouse.connection import dagster_url, database_name, with_database
from batuta.warehouse.database import ensure_database
from batuta_cli.bench.plain_dagster import FOLDER
from batuta_cli.stack import state

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
    value, plain = statistics.median(ours.seconds["analysis"]), statistics.median(peer.seconds["analysis"])
    return {
        "bench": "latency",
        "value": round(value, 3),
        "unit": "s",
        "peers": {"dagster": round(plain, 3)},
        "ratios": {"dagster": round(value / plain, 3)},
        "runs": runs,
        "spread": _spread(ours),
        "budget": f"p50 <= {BUDGET_S:g} s",
        "meets": value <= BUDGET_S,
        "peer_spread": _spread(peer),
        "steps": {name: round(statistics.median(taken), 3) for name, taken in ours.seconds.items()},
        "cpu_s": {"batuta": round(ours.cpu_s / runs, 2), "dagster": round(peer.cpu_s / runs, 2)},
        "machine_busy": {"batuta": round(ours.busy, 2), "dagster": round(peer.busy, 2)},
    }


def _spread(measured: "_Measured") -> list[float]:
    return [round(end(measured.seconds["analysis"]), 3) for end in (min, max)]


@dataclass
class _Measured:
    """Seconds from the answer to each step of the way, per event; and what all of them together cost."""

    seconds: dict[str, list[float]]
    cpu_s: float = 0.0
    busy: float = 0.0
    """The part of the machine's CPU time that anybody used meanwhile, 0 to 1."""

    def add(self, since: float, steps: Mapping[str, float]) -> float:
        """Take up one event; seconds to its analysis."""
        for name, at in steps.items():
            self.seconds.setdefault(name, []).append(at - since)
        return self.seconds["analysis"][-1]

    @contextmanager
    def costs(self, processes: Callable[[], list[psutil.Process]]) -> Iterator[None]:
        """Count what these processes use while the context lasts."""
        before, machine = _cpu_s(processes()), psutil.cpu_times()
        yield
        used = [now - then for now, then in zip(psutil.cpu_times(), machine, strict=True)]
        idle = used[machine._fields.index("idle")]
        self.cpu_s, self.busy = _cpu_s(processes()) - before, 1 - idle / sum(used)


def _cpu_s(processes: list[psutil.Process]) -> float:
    """CPU seconds of processes and of their children that have ended."""
    used = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            used += sum(process.cpu_times()[:4])
    return used


def _measure_ours(settings: Settings, folder: Path, url: str, runs: int, say: Say) -> _Measured:
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
        found = _Measured({})
        with psycopg.connect(dagster_url(url), autocommit=True) as events:
            _one_event(home, ports["BATUTA_GATEWAY_PORT"], url, events)
            with found.costs(lambda: state.marked(home)):
                for number in range(1, runs + 1):
                    since, steps = _one_event(home, ports["BATUTA_GATEWAY_PORT"], url, events)
                    say(f"event {number}: analysis after {found.add(since, steps):.2f} s")
        return found
    finally:
        _batuta(environment, "down", say=say)


def _one_event(
    home: Path, port: str, url: str, events: psycopg.Connection[Any]
) -> tuple[float, dict[str, float]]:
    """Post an order and wait for the end of its run; when it was answered, and when each step was there."""
    acknowledged = _post_order(home, port)
    run_id = _triggered_run(url, acknowledged.event_id)
    analysis = _materialized(events, run_id, ANALYSIS)
    report = _materialized(events, run_id, '["reports", "daily_review"]')
    _wait_for_end(events, run_id)
    with psycopg.connect(url, autocommit=True) as conn:
        heard = _first(
            conn,
            "select extract(epoch from requested_at) from batuta.trigger_windows where run_id = %s",
            run_id,
        )
    created = _first(
        events, "select extract(epoch from create_timestamp) from runs where run_id = %s", run_id
    )
    return acknowledged.at, {
        "heard": float(heard),
        "run_created": float(created),
        "run_launched": _event_time(events, run_id, "PIPELINE_STARTING"),
        "run_started": _event_time(events, run_id, "PIPELINE_START"),
        "analysis": analysis,
        "report": report,
    }


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


def _measure_peer(settings: Settings, folder: Path, url: str, runs: int, say: Say) -> _Measured:
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
        return _drop_files(url, drop, runs, say, lambda: _tree(daemon.pid))
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait(60)


def _drop_files(
    url: str, drop: Path, runs: int, say: Say, processes: Callable[[], list[psutil.Process]]
) -> _Measured:
    found = _Measured({})
    _one_file(url, drop, 0)
    with found.costs(processes):
        for number in range(1, runs + 1):
            since, made = _one_file(url, drop, number)
            say(f"plain Dagster, file {number}: after {found.add(since, {'analysis': made}):.2f} s")
    return found


def _one_file(url: str, drop: Path, number: int) -> tuple[float, float]:
    """Write a file and wait for the end of its run; when it was written, and when its step was there."""
    written = time.time()
    (drop / f"{number + 1}.event").touch()
    query = "select run_id from run_tags where key = 'number' and value = %s"
    with psycopg.connect(url, autocommit=True) as events:
        run_id = str(_wait(lambda: _first(events, query, str(number + 1)), f"the peer's run {number + 1}"))
        made = _materialized(events, run_id, PEER_ANALYSIS)
        _wait_for_end(events, run_id)
    return written, made


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


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
