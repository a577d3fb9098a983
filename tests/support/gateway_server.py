"""A running gateway for tests: an installation with two products, served over real HTTP."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import uvicorn
from starlette.applications import Starlette

from batuta.keys import create_keys
from batuta.manifests.bundle import write_bundle
from batuta.manifests.graph import CompiledGraph, CompiledPipeline, CompiledProduct
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.settings import Settings
from batuta_gateway.app import create_app
from batuta_gateway.intake import IntakeLimits
from tests.support.vendor_deliveries import EVENTS_TOKEN, GITHUB_SECRET, RECEIVED_AT, SHOPIFY_SECRET

DEADLINE_S = 20.0
MAX_BODY_BYTES = 200_000
PROJECT = Path(__file__).parents[2]
SECRETS = {
    "arcsat-shopify": SHOPIFY_SECRET,
    "arcsat-github": GITHUB_SECRET,
    "arcsat-events": EVENTS_TOKEN,
    "lojablock-shopify": b"another-client-secret",
    "lojablock-events": b"events-token-of-lojablock",
}


def product(name: str, *connectors: ConnectorBinding) -> CompiledProduct:
    """A product with these connectors and defaults for the rest."""
    return CompiledProduct(
        name=name,
        description="",
        locale="pt-BR",
        currency="BRL",
        timezone="America/Sao_Paulo",
        owners=("sigma",),
        kpis=("LTV",),
        datasets={},
        policies=(),
        connectors=connectors,
    )


def binding(kind: str, *files: str, account: str | None = None, unsigned: bool = False) -> ConnectorBinding:
    """A connector whose secrets lie in these files."""
    refs = tuple(SecretRef(file=name) for name in files)
    return ConnectorBinding(type=kind, account=account, secret_refs=refs, allow_unsigned=unsigned)


def daily_review(name: str) -> CompiledPipeline:
    """A pipeline that makes a report a day."""
    return CompiledPipeline(
        name=f"{name}-daily-review",
        family="daily_review",
        description="",
        products=(name,),
        schedules=(),
        events=(),
        steps=(),
        outputs=(),
        report_key=("reports", "daily_review"),
        report_deps=(),
    )


def company() -> CompiledGraph:
    """Two products, and one whose secret is missing."""
    return CompiledGraph(
        products=(
            product(
                "arcsat",
                binding("shopify", "arcsat-shopify", account="arcsat-demo.myshopify.com"),
                binding("github", "arcsat-github", account="avila-inc"),
                binding("events", "arcsat-events"),
            ),
            product(
                "lojablock",
                binding("shopify", "lojablock-shopify", account="lojablock-demo.myshopify.com"),
                binding("shopify", "lojablock-shopify", account="lojablock-outlet.myshopify.com"),
                binding("events", "lojablock-events"),
            ),
            product("nosecret", binding("shopify"), binding("github", "nowhere"), binding("events")),
            product("openhouse", binding("shopify", unsigned=True)),
        ),
        pipelines=(daily_review("arcsat"),),
    )


def install(settings: Settings, graph: CompiledGraph | None = None) -> None:
    """Keys, secrets and a bundle under the settings' home."""
    create_keys(settings.home)
    settings.secrets_dir.mkdir(parents=True, exist_ok=True)
    for name, secret in SECRETS.items():
        (settings.secrets_dir / name).write_bytes(secret)
    write_bundle(settings.home, graph or company())


class Running(NamedTuple):
    """A gateway that is being served."""

    http: httpx.Client
    settings: Settings
    database_url: str
    address: str

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database as its owner."""
        with psycopg.connect(self.database_url) as conn:
            return conn.execute(sql.encode(), values).fetchall()


def receipt_clock() -> datetime:
    """The time at which every delivery of these tests is received."""
    return RECEIVED_AT


def gateway_settings(home: Path, database_url: str, **changes: Any) -> Settings:
    """Settings of an installation of a test's own, with the contracts of this project."""
    return Settings(
        project=PROJECT,
        home=home,
        database_url=database_url,
        max_body_bytes=MAX_BODY_BYTES,
        log_level="warning",
        **changes,
    )


@contextmanager
def running(
    settings: Settings, *, graph: CompiledGraph | None = None, limits: IntakeLimits | None = None
) -> Iterator[Running]:
    """Install and serve a gateway."""
    install(settings, graph)
    app = create_app(settings, clock=receipt_clock, limits=limits)
    with serving(app) as address, httpx.Client(base_url=address, timeout=20) as http:
        yield Running(http, settings, str(settings.database_url), address)


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """Serve an application over HTTP in a thread of this process."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", access_log=False, proxy_headers=False, lifespan="on"
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the gateway did not start")
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(DEADLINE_S)


@contextmanager
def gateway_process(settings: Settings) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The gateway as its own process, as `batuta up` starts it."""
    port = free_port()
    environ = os.environ | {
        "BATUTA_GATEWAY_PORT": str(port),
        "BATUTA_HOME": str(settings.home),
        "BATUTA_DATABASE_URL": str(settings.database_url),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "batuta_gateway"],
        cwd=settings.project,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is None and answers(address), "the gateway did not start")
        yield process, address
    finally:
        process.kill()
        process.wait()


def answers(address: str) -> bool:
    """Whether a gateway is there."""
    try:
        return httpx.get(f"{address}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], bool], complaint: str, seconds: float = DEADLINE_S) -> None:
    """Wait, not for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.02)
