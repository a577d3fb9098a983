"""`batuta bench chaos`: kill -9 of everything while events come in; what was acknowledged is in the log, once.

A `batuta up` of a scratch home with a database of its own, the example company applied, and orders sent over HTTP to
its gateway as a vendor sends them. Meanwhile gateway, daemon, run workers and the database are killed with -9, in an
order that the seed decides; `batuta up` starts again what died. At the end the log is held against what was
acknowledged.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
import psycopg

from batuta.errors import BatutaError
from batuta.settings import Settings
from batuta.warehouse.connection import dagster_url
from batuta.warehouse.database import embedded_server, stop_database
from batuta_cli.bench.chaos_load import Sent, send_all
from batuta_cli.bench.orders import small_order
from batuta_cli.bench.scratch import free_port
from batuta_cli.stack import state
from sensors.run_tags import WORKER

EVENTS: Final = 100_000
LOAD_SECONDS: Final = 150.0
CONNECTIONS: Final = 32
SEED: Final = 20_251_112
KINDS: Final = ("gateway", "daemon", "run", "database")
KILL_EVERY_S: Final = (3.0, 7.0)
PATIENCE_S: Final = 120.0
PRODUCT: Final = "arcsat"
SHOP: Final = "arcsat-demo.myshopify.com"
SECRET: Final = "chaos-client-secret"  # noqa: S105 - signs this bench's orders only
PREFIX: Final = "chaos-"

Say = Callable[[str], None]
Found = TypeVar("Found")


class BenchFailed(BatutaError):
    """The bench could not be carried out."""


def run(settings: Settings, say: Say, *, scale: float = 1.0, seed: int = SEED) -> dict[str, Any]:
    """Load and kill; the document that the bench prints as its last line.

    Args:
        settings: Where the project is.
        say: Shows progress.
        scale: Share of the full number of events, and of the time they take.
        seed: Decides who is killed when.
    """
    events = max(CONNECTIONS, int(EVENTS * scale))
    with _installation(settings, say) as own:
        _wait(lambda: _gateway_ready(own), "the gateway's readiness", PATIENCE_S)
        killer = _Killer(own, seed, say)
        killer.start()
        sent, took_s = Sent(), time.monotonic()
        try:
            numbers = range(1, events + 1)
            loading = send_all(
                own.gateway_port,
                lambda number: _request(own, number),
                numbers,
                per_second=events / max(1.0, LOAD_SECONDS * scale),
                connections=CONNECTIONS,
                seed=seed,
                sent=sent,
            )
            asyncio.run(loading)
        finally:
            killer.stop()
        took_s = time.monotonic() - took_s
        if sent.refused:
            raise BenchFailed(f"the gateway refused orders for good: {dict(sent.refused)}")
        found = _wait(lambda: _in_log(own), "the database's answer", PATIENCE_S)
    lost = len(sent.acknowledged) - len(found.keys() & {f"{PREFIX}{n}" for n in sent.acknowledged})
    doubled = sum(count - 1 for count in found.values())
    return {
        "bench": "chaos",
        "value": lost + doubled,
        "unit": "events lost or doubled",
        "peers": {},
        "ratios": {},
        "runs": 1,
        "spread": [lost + doubled, lost + doubled],
        "budget": "0 acknowledged events lost, 0 doubled",
        "meets": lost + doubled == 0,
        "events": len(sent.acknowledged),
        "lost": lost,
        "doubled": doubled,
        "sent_again": sent.attempts - events,
        "kills": dict(killer.kills),
        "seconds": round(took_s, 1),
        "seed": seed,
    }


class _Own:
    """A scratch installation: its settings, and the environment of its processes."""

    def __init__(self, settings: Settings, home: Path) -> None:
        ports = {name: free_port() for name in ("database", "gateway", "dagster", "docs")}
        self.gateway_port = ports["gateway"]
        self.settings = Settings(
            project=settings.project,
            home=home,
            cache=settings.cache,
            database_url=None,
            **{f"{name}_port": port for name, port in ports.items()},  # pyright: ignore[reportArgumentType]
        )
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("BATUTA_")
        } | {
            "BATUTA_PROJECT": str(settings.project),
            "BATUTA_HOME": str(home),
            "BATUTA_CACHE": str(settings.cache),
            **{f"BATUTA_{name.upper()}_PORT": str(port) for name, port in ports.items()},
        }

    def batuta(self, say: Say, *arguments: str) -> None:
        say(f"batuta {' '.join(arguments)}")
        done = subprocess.run(
            [sys.executable, "-m", "batuta_cli.main", *arguments],
            env=self.environment,
            cwd=self.settings.project,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchFailed(f"batuta {arguments[0]} failed: {done.stderr.strip()[-800:]}")


@contextmanager
def _installation(settings: Settings, say: Say) -> Iterator[_Own]:
    # Not TemporaryDirectory: the database's own user must get through, and what it made must be left by then.
    home = Path(tempfile.mkdtemp(prefix="batuta-chaos-"))
    home.chmod(0o755)
    own = _Own(settings, home)
    try:
        own.settings.secrets_dir.mkdir(mode=0o700, parents=True)
        for name in ("shopify", "github", "events"):
            (own.settings.secrets_dir / f"{PRODUCT}-{name}").write_text(SECRET, encoding="ascii")
        own.batuta(say, "apply", str(settings.project / "examples" / PRODUCT))
        own.batuta(say, "up", "--detach", "--json")
        yield own
    finally:
        try:
            own.batuta(say, "down")
        finally:
            state.end(state.marked(home), grace_s=5.0)
            stop_database(own.settings)
            shutil.rmtree(home, ignore_errors=True)


class _Killer(threading.Thread):
    """Kills one thing after the other, each kind as often as the others, in the seed's order."""

    def __init__(self, own: _Own, seed: int, say: Say) -> None:
        super().__init__(name="killer", daemon=True)
        self.kills: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        self._own = own
        self._chosen = random.Random(seed)
        self._say = say
        self._over = threading.Event()

    def run(self) -> None:
        while True:
            for kind in self._chosen.sample(KINDS, len(KINDS)):
                if self._over.wait(self._chosen.uniform(*KILL_EVERY_S)):
                    return
                pid = _find(self._own, kind)
                if pid is not None and _kill(pid):
                    self.kills[kind] += 1
                    self._say(f"killed {kind} (pid {pid})")

    def stop(self) -> None:
        """Kill no more."""
        self._over.set()
        self.join(PATIENCE_S)


def _find(own: _Own, kind: str) -> int | None:
    """The process id of what is to be killed; None if there is none of it now."""
    if kind == "database":
        running = embedded_server(own.settings).running()
        return running.pid if running is not None else None
    if kind == "run":
        return _run_worker(own)
    known = state.read(own.settings.home)
    return known.children.get(kind) if known is not None else None


def _run_worker(own: _Own) -> int | None:
    """A worker that executes a run now, by the tag it has given its run; only processes of this home count."""
    query = (
        "select value from run_tags inner join runs using (run_id) where key = %s "
        "and runs.status in ('STARTING', 'STARTED') order by runs.id desc"
    )
    try:
        with psycopg.connect(dagster_url(embedded_server(own.settings).url()), connect_timeout=2) as conn:
            workers = conn.execute(query, (WORKER,)).fetchall()
    except (BatutaError, psycopg.Error):
        return None
    ours = {process.pid for process in state.marked(own.settings.home)}
    for (worker,) in workers:
        pid = int(worker.split()[2])
        if pid in ours:
            return pid
    return None


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _request(own: _Own, number: int) -> bytes:
    order = small_order(number)
    body = orjson.dumps(order)
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256)).decode()
    head = (
        f"POST /webhooks/{PRODUCT}/shopify HTTP/1.1\r\n"
        f"host: 127.0.0.1:{own.gateway_port}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        "x-shopify-topic: orders/create\r\n"
        f"x-shopify-shop-domain: {SHOP}\r\n"
        "x-shopify-api-version: 2025-10\r\n"
        f"x-shopify-webhook-id: {PREFIX}{number}\r\n"
        "x-shopify-triggered-at: 2025-11-12T11:00:00.123456Z\r\n"
        f"x-shopify-hmac-sha256: {signature}\r\n\r\n"
    )
    return head.encode() + body


def _gateway_ready(own: _Own) -> bool | None:
    import httpx

    try:
        answer = httpx.get(f"http://127.0.0.1:{own.gateway_port}/readyz", timeout=5, trust_env=False)
    except httpx.TransportError:
        return None
    return True if answer.status_code == httpx.codes.OK and json.loads(answer.text)["products"] else None


def _in_log(own: _Own) -> Mapping[str, int] | None:
    """How often each of the bench's events stands in the log; None while the database does not answer."""
    query = "select id, count(*) from batuta.events where product = %s and id like %s group by id"
    try:
        with psycopg.connect(embedded_server(own.settings).url(), connect_timeout=5) as conn:
            return dict(conn.execute(query, (PRODUCT, f"{PREFIX}%")).fetchall())
    except (BatutaError, psycopg.Error):
        return None


def _wait(look: Callable[[], Found | None], what: str, seconds: float) -> Found:
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise BenchFailed(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.5)
    return found
