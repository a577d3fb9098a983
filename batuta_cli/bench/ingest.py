"""`batuta bench ingest`: how fast the bulk path lands, beside COPY and dlt on the same orders in the same run.

Ours is the whole path: read the delivery, contract, policy, masks, de-duplication, commit. COPY writes the same JSON as
it is into a hypertable of the same key; dlt merges the same documents with its defaults. All use one scratch database
on the server of the warehouse, which is dropped at the end.
"""

from __future__ import annotations

import os
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import orjson
import psycopg
from psycopg import sql

from batuta.contracts.contract import Contracts
from batuta.keys import create_keys
from batuta.landing.land import Landing
from batuta.landing.model import Delivery
from batuta.policy.decision import DefaultPolicy
from batuta.settings import Settings
from batuta.warehouse.connection import connect, with_database
from batuta.warehouse.database import ensure_database
from batuta.warehouse.migrate import migrate
from batuta_cli.bench.orders import Order, deliveries, small_order, vendor_order
from sensors.connectors import connector

SMALL_ROWS: Final = 100_000
VENDOR_ROWS: Final = 20_000
DLT_ROWS: Final = 20_000
RUNS: Final = 3
OF_COPY: Final = 0.5
OF_DLT: Final = 8.0
BUDGET: Final = ">= 0.5 x COPY and >= 8 x dlt merge, small and vendor-size orders"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Measured:
    """Rows per second of one kind of order."""

    body_bytes: int
    ours: tuple[float, ...]
    copy: tuple[float, ...]
    dlt: float | None

    @property
    def value(self) -> float:
        return statistics.median(self.ours)

    def peers(self) -> dict[str, float | None]:
        return {"copy": round(statistics.median(self.copy)), "dlt": round(self.dlt) if self.dlt else None}

    def ratios(self) -> dict[str, float | None]:
        copy = round(self.value / statistics.median(self.copy), 3)
        return {"copy": copy, "dlt": round(self.value / self.dlt, 2) if self.dlt else None}

    def meets(self) -> bool:
        ratios = self.ratios()
        return (ratios["copy"] or 0) >= OF_COPY and (ratios["dlt"] or OF_DLT) >= OF_DLT


def run(settings: Settings, say: Say, *, scale: float = 1.0, runs: int = RUNS) -> dict[str, Any]:
    """Measure; the document that the bench prints as its last line.

    Args:
        settings: Where the warehouse is.
        say: Shows progress.
        scale: Share of the full numbers of rows, for trying the bench itself.
        runs: How often ours and COPY are measured, in turn.
    """
    url = ensure_database(settings, say)
    if _dlt_version() is None:
        say("dlt is not installed, so it is not measured: pip install 'dlt[postgres]'")
    with _scratch(url) as scratch:
        small = _measure(
            scratch, "small", small_order, int(SMALL_ROWS * scale), int(DLT_ROWS * scale), runs, say
        )
        vendor = _measure(
            scratch, "vendor", vendor_order, int(VENDOR_ROWS * scale), int(VENDOR_ROWS * scale / 4), runs, say
        )
    return {
        "bench": "ingest",
        "value": round(small.value),
        "unit": "events/s",
        "peers": small.peers(),
        "ratios": small.ratios(),
        "runs": runs,
        "spread": [round(min(small.ours)), round(max(small.ours))],
        "budget": BUDGET,
        "meets": small.meets() and vendor.meets(),
        "body_bytes": small.body_bytes,
        "dlt_version": _dlt_version(),
        "vendor_size": {
            "body_bytes": vendor.body_bytes,
            "value": round(vendor.value),
            "peers": vendor.peers(),
            "ratios": vendor.ratios(),
            "spread": [round(min(vendor.ours)), round(max(vendor.ours))],
        },
    }


def _measure(url: str, name: str, order: Order, rows: int, dlt_rows: int, runs: int, say: Say) -> _Measured:
    ours: list[float] = []
    copy: list[float] = []
    size = 0
    for number in range(runs):
        came = list(deliveries(order, rows, datetime.now(UTC)))
        size = sum(len(delivery.body) for delivery in came) // rows
        copy.append(rows / _time(lambda came=came: _copy(url, came)))
        _clear(url)
        ours.append(rows / _time(lambda came=came: _land(url, came)))
        _clear(url)
        say(
            f"{name} orders of {size} bytes, run {number + 1}: ours {ours[-1]:,.0f}/s, COPY {copy[-1]:,.0f}/s"
        )
    dlt = None
    if _dlt_version() is not None:
        bodies = [delivery.body for delivery in deliveries(order, dlt_rows, datetime.now(UTC))]
        dlt = dlt_rows / _time(lambda: _merge_with_dlt(url, name, bodies))
        say(f"{name} orders, dlt merge of {dlt_rows:,}: {dlt:,.0f}/s")
    return _Measured(size, tuple(ours), tuple(copy), dlt)


def _time(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _land(url: str, came: Sequence[Delivery]) -> None:
    with TemporaryDirectory(prefix="batuta-bench-") as home, connect(url, "writer") as conn:
        landing = Landing(
            Contracts.load(), DefaultPolicy(), create_keys(Path(home)), lambda: datetime.now(UTC)
        )
        counts = landing.land(conn, came, connector("shopify").parse, way="file")
    if counts.landed != len(came):
        raise RuntimeError(f"the bench landed {counts}, not {len(came)}")


def _copy(url: str, came: Sequence[Delivery]) -> None:
    with psycopg.connect(url) as conn:
        conn.execute(
            "create table peer_copy (received_at timestamptz not null, id text not null, data jsonb not null)"
        )
        conn.execute("select create_hypertable('peer_copy', 'received_at', create_default_indexes => false)")
        conn.execute("create unique index on peer_copy (id, received_at)")
        conn.commit()
        received = came[0].received_at.isoformat().encode()
        with conn.cursor() as cursor, cursor.copy("copy peer_copy from stdin") as copy:
            for start in range(0, len(came), 1000):
                copy.write(
                    b"".join(
                        b"%b\t%b\t%b\n"
                        % (
                            received,
                            d.headers["x-shopify-webhook-id"].encode(),
                            d.body.replace(b"\\", b"\\\\"),
                        )
                        for d in came[start : start + 1000]
                    )
                )


def _clear(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("drop table if exists peer_copy")
        conn.execute(
            "truncate batuta.events, batuta.inbox, batuta.batches, batuta.intake_counts, batuta.key_fingerprint"
        )
        conn.execute("checkpoint")


def _merge_with_dlt(url: str, name: str, bodies: Sequence[bytes]) -> None:
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt

    def orders() -> Iterator[dict[str, Any]]:
        for body in bodies:
            yield orjson.loads(body)

    with (
        TemporaryDirectory(prefix="batuta-bench-") as folder,
        redirect_stdout(StringIO()),
        redirect_stderr(StringIO()),
    ):
        pipeline = dlt.pipeline(
            pipeline_name=f"bench_{name}",
            destination=dlt.destinations.postgres(_with_password(url)),
            dataset_name=f"peer_dlt_{name}",
            pipelines_dir=folder,
        )
        pipeline.run(dlt.resource(orders, name="orders", write_disposition="merge", primary_key="id"))


def _with_password(url: str) -> str:
    """dlt asks for a password even where the server does not."""
    parts = urlsplit(url)
    if parts.password is not None:
        return url
    return urlunsplit(
        parts._replace(netloc=f"{parts.username or ''}:unused@{parts.netloc.rpartition('@')[2]}")
    )


def _dlt_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dlt")
    except PackageNotFoundError:
        return None


@contextmanager
def _scratch(url: str) -> Iterator[str]:
    """A migrated database of its own beside the warehouse."""
    name = f"batuta_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        migrate(with_database(url, name))
        yield with_database(url, name)
    finally:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
