"""An installation of a bench's own: home, keys and database are scratch, everything else is as installed."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from batuta.errors import BatutaError
from batuta.keys import keys_for
from batuta.landing.land import Landing
from batuta.landing.model import Delivery
from batuta.quality.reading import enforced, in_force
from batuta.settings import Settings
from batuta.warehouse.connection import connect
from batuta_assets.dbt_manifest import read_manifest
from batuta_assets.dbt_refresh import refresh as refresh_models
from batuta_assets.dbt_run import NodeResult, ensure_manifest
from batuta_assets.locations import locations
from batuta_assets.quality.holding import hold, product_contracts
from batuta_cli.bench.scratch import free_port
from batuta_cli.stack import probes
from sensors.connectors import shopify

Say = Callable[[str], None]
START_S: Final = 60.0


class BenchFailed(BatutaError):
    """What is measured did not happen."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What one refresh took, in seconds: all of it, what the database executed of it, and the counts of contracts."""

    whole_s: float
    models_s: float
    tests_s: float
    contracts_s: float


def installation(settings: Settings, home: Path, url: str) -> Settings:
    """Set up a home with keys for a scratch database; its settings."""
    own = Settings(
        project=settings.project,
        home=home,
        cache=settings.cache,
        database_url=url,
        gateway_port=free_port(),
        dagster_port=free_port(),
        docs_port=free_port(),
    )
    own.secrets_dir.mkdir(mode=0o700, parents=True)
    with connect(url, "owner") as conn:
        keys_for(conn, own.home)
    return own


def register(url: str, products: Iterable[str]) -> None:
    """What `batuta apply` tells the models of products."""
    with connect(url, "writer") as conn, conn.cursor() as cursor:
        cursor.executemany(
            "insert into batuta.products (product, currency, timezone, locale, applied_at) "
            "values (%s, 'BRL', 'America/Sao_Paulo', 'pt-BR', now())",
            [(product,) for product in products],
        )


def land(settings: Settings, url: str, deliveries: Iterable[Delivery]) -> float:
    """Land deliveries of Shopify's as a file of them is landed; seconds.

    Raises:
        BenchFailed: one of them did not land.
    """
    landing = Landing.open(settings, lambda: datetime.now(UTC))
    with connect(url, "writer", application="batuta bench") as conn:
        begun = time.perf_counter()
        counts = landing.land(conn, deliveries, shopify.parse, way="file")
        seconds = time.perf_counter() - begun
    if counts.landed != counts.total:
        raise BenchFailed(f"not all deliveries of the bench landed: {counts}")
    return seconds


def refresh(settings: Settings, url: str) -> Refreshed:
    """Refresh and test the models in this process and hold them to their contracts, as the job `refresh_marts` does.

    Raises:
        BenchFailed: a model or a test failed, or a contract is broken.
    """
    said: list[str] = []
    found = locations(settings)
    manifest = read_manifest(ensure_manifest(found, log=said.append))
    with connect(url, "writer") as conn:
        begun = time.perf_counter()
        results = refresh_models(conn, found, url, manifest, "marts", log=said.append)
    refreshed = time.perf_counter() - begun
    failed = [result for result in results if not result.ok]
    if failed:
        raise BenchFailed(f"dbt failed on {failed[0].unique_id}: {failed[0].message}")
    contracts = product_contracts(enforced(in_force(settings.project, settings.home)), manifest)
    held = time.perf_counter()
    outcomes = hold(
        partial(connect, url), contracts, batch=0, now=datetime.now(UTC), run_id="bench", manifest=manifest
    )
    counts = time.perf_counter() - held
    wrong = [outcome for outcome in outcomes if not outcome.passed]
    if wrong:
        raise BenchFailed(f"{wrong[0].contract.reference}: {wrong[0].problem or wrong[0].errors[0].text}")
    return Refreshed(refreshed + counts, _seconds(results, "model."), _seconds(results, "test."), counts)


def _seconds(results: Sequence[NodeResult], kind: str) -> float:
    return sum(result.seconds for result in results if result.unique_id.startswith(kind))


@contextmanager
def gateway(settings: Settings, url: str) -> Iterator[str]:
    """The gateway as `batuta up` starts it; its address."""
    environment = {
        **os.environ,
        "BATUTA_PROJECT": str(settings.project),
        "BATUTA_HOME": str(settings.home),
        "BATUTA_DATABASE_URL": url,
        "BATUTA_GATEWAY_PORT": str(settings.gateway_port),
    }
    address = f"http://127.0.0.1:{settings.gateway_port}"
    with (settings.home / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "batuta_gateway"], env=environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + START_S
        while not probes.http_ok(f"{address}/healthz"):
            if process.poll() is not None or time.monotonic() > deadline:
                said = (settings.home / "gateway.log").read_text(encoding="utf-8", errors="replace")
                raise BenchFailed("the gateway did not start", hint=said.strip()[-800:] or None)
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median_and_spread(values: Sequence[float], digits: int = 3) -> dict[str, float | list[float]]:
    """Median, least and greatest, rounded."""
    return {
        "median": round(statistics.median(values), digits),
        "spread": [round(min(values), digits), round(max(values), digits)],
    }
