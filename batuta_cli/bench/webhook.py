"""`batuta bench webhook`: signed webhooks a second, acknowledged after commit, beside a plain FastAPI handler.

Both are served by uvicorn with one process on the same server's scratch databases, and are sent the same orders over
the same number of connections by the same generator, in turn. Ours is the gateway as `batuta up` starts it, with the
whole landing path behind it; the peer verifies the signature and inserts one row.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson
import psutil

from batuta.errors import BatutaError
from batuta.keys import create_keys
from batuta.manifests.bundle import write_bundle
from batuta.manifests.graph import CompiledGraph, CompiledProduct
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.settings import Settings
from batuta.warehouse.database import ensure_database
from batuta_cli.bench import plain_fastapi
from batuta_cli.bench.orders import PRODUCT, SHOP
from batuta_cli.bench.scratch import clear, free_port, scratch_database
from batuta_cli.bench.webhook_load import Load, order_line
from batuta_cli.stack import probes

SECRET: Final = "bench-client-secret"  # noqa: S105 - signs this bench's orders only
CONNECTIONS: Final = 32
RUNS: Final = 3
REQUESTS: Final = {"small": 20_000, "vendor": 8_000}
WARM_UP: Final = 1_000
OF_PEER: Final = 2.0
P99_MS: Final = 50.0
BUDGET: Final = ">= 2 x a plain FastAPI handler; p99 <= 50 ms at 32 connections"
START_S: Final = 60.0
PATIENCE_S: Final = 300.0

Say = Callable[[str], None]


class BenchFailed(BatutaError):
    """What is measured did not happen."""


@dataclass(slots=True)
class _Server:
    """A server under load and what was measured of it, a figure per round."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    path: str
    per_second: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


def run(settings: Settings, say: Say, *, scale: float = 1.0, runs: int = RUNS) -> dict[str, Any]:
    """Measure; the document that the bench prints as its last line.

    Args:
        settings: Where the warehouse's server is.
        say: Shows progress.
        scale: Share of the full numbers of requests, for trying the bench itself.
        runs: Rounds; in each, both are measured.
    """
    server = ensure_database(settings, say)
    small = _measure(settings, server, "small", scale, runs, say)
    vendor = _measure(settings, server, "vendor", scale, runs, say)
    return {
        "bench": "webhook",
        "unit": "webhooks/s",
        **small,
        "runs": runs,
        "budget": BUDGET,
        "meets": small["meets"] and vendor["meets"],
        "connections": CONNECTIONS,
        "vendor_size": vendor,
    }


def _measure(settings: Settings, server: str, kind: str, scale: float, runs: int, say: Say) -> dict[str, Any]:
    count = max(CONNECTIONS, int(REQUESTS[kind] * scale))
    with (
        TemporaryDirectory(prefix="batuta-bench-") as folder,
        scratch_database(server) as url,
        _gateway(settings, Path(folder), url) as ours,
        _peer(Path(folder), url) as peer,
    ):
        first = 1
        for number in range(runs + 1):
            for one in (ours, peer):
                _round(one, kind, first, count if number else int(min(WARM_UP, count)), warm=not number)
                clear(url, "peer_webhooks")
            first += count
            if number:
                say(
                    f"{kind} orders, round {number}: ours {ours.per_second[-1]:,.0f}/s, "
                    f"p99 {ours.p99_ms[-1]:.0f} ms; FastAPI {peer.per_second[-1]:,.0f}/s, p99 {peer.p99_ms[-1]:.0f} ms"
                )
    return _document(ours, peer)


def _document(ours: _Server, peer: _Server) -> dict[str, Any]:
    value, plain = statistics.median(ours.per_second), statistics.median(peer.per_second)
    p99 = statistics.median(ours.p99_ms)
    return {
        "value": round(value),
        "peers": {"fastapi": round(plain)},
        "ratios": {"fastapi": round(value / plain, 2)},
        "spread": [round(min(ours.per_second)), round(max(ours.per_second))],
        "peer_spread": [round(min(peer.per_second)), round(max(peer.per_second))],
        "p50_ms": round(statistics.median(ours.p50_ms), 1),
        "p99_ms": round(p99, 1),
        "peer_p99_ms": round(statistics.median(peer.p99_ms), 1),
        "cpu_us_per_request": round(statistics.median(ours.cpu_us)),
        "peer_cpu_us_per_request": round(statistics.median(peer.cpu_us)),
        "meets": value >= OF_PEER * plain and p99 <= P99_MS,
    }


def _round(server: _Server, kind: str, first: int, count: int, *, warm: bool) -> None:
    load = Load(server.port, server.path, SECRET, kind, first, count, CONNECTIONS)
    generator = subprocess.Popen(
        [sys.executable, "-m", "batuta_cli.bench.webhook_load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with generator:
        assert generator.stdin is not None
        assert generator.stdout is not None
        generator.stdin.write(order_line(load) + "\n")
        generator.stdin.flush()
        if generator.stdout.readline().strip() != "ready":
            raise BenchFailed("the load generator did not start")
        before = _cpu_seconds(server.process)
        try:
            answer, _ = generator.communicate("go\n", timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            generator.kill()
            raise BenchFailed(f"{server.name} did not answer {count} orders in {PATIENCE_S:.0f} s") from None
        spent = _cpu_seconds(server.process) - before
    if generator.returncode:
        raise BenchFailed(f"{server.name} broke off a connection under load")
    found = orjson.loads(answer)
    if found["statuses"] != {"200": count}:
        raise BenchFailed(f"{server.name} answered {found['statuses']} to {count} signed orders")
    if not warm:
        server.per_second.append(count / found["seconds"])
        server.p50_ms.append(found["p50_ms"])
        server.p99_ms.append(found["p99_ms"])
        server.cpu_us.append(spent / count * 1e6)


def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


@contextmanager
def _gateway(settings: Settings, folder: Path, url: str) -> Iterator[_Server]:
    home, port = folder / "home", free_port()
    create_keys(home)
    (home / "secrets").mkdir(mode=0o700, exist_ok=True)
    (home / "secrets" / "shopify").write_text(SECRET, encoding="ascii")
    write_bundle(home, CompiledGraph(products=(_product(),)))
    environment = {
        "BATUTA_PROJECT": str(settings.project),
        "BATUTA_HOME": str(home),
        "BATUTA_DATABASE_URL": url,
        "BATUTA_GATEWAY_PORT": str(port),
    }
    command = [sys.executable, "-m", "batuta_gateway"]
    with _serving("gateway", command, environment, folder) as process:
        yield _Server("the gateway", _ready(process, port), port, f"/webhooks/{PRODUCT}/shopify")


def _product() -> CompiledProduct:
    shop = ConnectorBinding(type="shopify", account=SHOP, secret_refs=(SecretRef(file="shopify"),))
    return CompiledProduct(
        name=PRODUCT,
        description="",
        locale="pt-BR",
        currency="BRL",
        timezone="America/Sao_Paulo",
        owners=("sigma",),
        kpis=(),
        datasets={},
        policies=(),
        connectors=(shop,),
    )


@contextmanager
def _peer(folder: Path, url: str) -> Iterator[_Server]:
    port = free_port()
    environment = {plain_fastapi.URL: url, plain_fastapi.SECRET: SECRET}
    command = [
        *(sys.executable, "-m", "uvicorn", "batuta_cli.bench.plain_fastapi:app"),
        *("--port", str(port), "--workers", "1", "--no-access-log", "--log-level", "warning"),
    ]
    with _serving("fastapi", command, environment, folder) as process:
        yield _Server("FastAPI", _ready(process, port), port, "/webhooks/shopify")


@contextmanager
def _serving(
    name: str, command: list[str], environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
    try:
        yield process
    except BenchFailed as error:
        said = (folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip()
        raise BenchFailed(error.message, hint=said[-800:] or None) from None
    finally:
        process.terminate()
        process.wait(30)


def _ready(process: subprocess.Popen[bytes], port: int) -> subprocess.Popen[bytes]:
    deadline = time.monotonic() + START_S
    while not probes.http_ok(f"http://127.0.0.1:{port}/healthz"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchFailed("a server of the bench did not start")
        time.sleep(0.1)
    return process
