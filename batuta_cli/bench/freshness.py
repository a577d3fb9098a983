"""`batuta bench freshness`: from an acknowledged event to the KPI value that takes it in, beside a plain view.

Signed orders go one by one to a gateway of its own process. When an order is answered, the clock runs until the KPIs,
read as `batuta kpi` and the console read them, count it. The history is the example company's ninety days, landed and
refreshed through the real path, and then the same ten times as large. The server has looked through it, as it has
through days that are over: when it does, every connection plans anew, once. No refresh runs while it is measured, so
every order adds to what the live views fold when they are read. The peer answers one of the KPIs, orders of the day,
from a plain view over the raw JSON of the log, and must give the same number.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import orjson
import psycopg

from batuta.kpis import current_kpis
from batuta.settings import Settings
from batuta.warehouse.connection import Connection, connect
from batuta.warehouse.database import ensure_database
from batuta_assets.gates import raise_horizons
from batuta_cli.bench.days import Shop, headers_of, order_of, signed
from batuta_cli.bench.installation import (
    BenchFailed,
    Say,
    gateway,
    installation,
    percentile,
    refresh,
)
from batuta_cli.bench.scratch import scratch_database
from batuta_cli.demo import company

EVENTS: Final = 200
SIZES: Final = ("demo", "large")
SHOP: Final = Shop("arcsat", "arcsat-demo.myshopify.com")
P99_MS: Final = 100.0
PATIENCE_S: Final = 60.0
PLAIN_VIEW: Final = """
create view public.plain_orders as
select product, (placed at time zone 'America/Sao_Paulo')::date as business_date, count(*) as orders
from (
    select distinct on (product, data ->> 'id')
        product, type, data,
        coalesce((data ->> 'processed_at')::timestamptz, (data ->> 'created_at')::timestamptz) as placed
    from batuta.events
    where connector = 'shopify' and dataset = 'orders'
    order by
        product, data ->> 'id', type = 'com.shopify.orders.deleted' desc,
        coalesce((data ->> 'updated_at')::timestamptz, time) desc, id collate "C" desc
) as newest
where
    type <> 'com.shopify.orders.deleted' and not coalesce((data ->> 'test')::boolean, false)
    and coalesce(data ->> 'financial_status', '') <> 'voided' and data ->> 'currency' = 'BRL'
group by 1, 2;
grant select on public.plain_orders to batuta_reader;
"""


def run(
    settings: Settings, say: Say, *, events: int = EVENTS, sizes: Sequence[str] = SIZES
) -> dict[str, Any]:
    """Measure; the document that the bench prints as its last line.

    Args:
        settings: Where the warehouse's server is.
        say: Shows progress.
        events: How many orders are sent per size of history, one after the other.
        sizes: Scales of the example company; the first is the one the budget is for.
    """
    server = ensure_database(settings, say)
    found = {size: _measure(settings, server, size, events, say) for size in sizes}
    first = found[sizes[0]]
    return {
        "bench": "freshness",
        "value": first["p99_ms"],
        "unit": "ms",
        "peers": {"plain_view": first["peer_p99_ms"]},
        "ratios": {"plain_view": round(first["p99_ms"] / first["peer_p99_ms"], 3)},
        "runs": events,
        "spread": first["spread"],
        "budget": f"p99 <= {P99_MS:g} ms",
        "meets": first["p99_ms"] <= P99_MS,
        "sizes": found,
    }


def _measure(settings: Settings, server: str, size: str, events: int, say: Say) -> dict[str, Any]:
    with TemporaryDirectory(prefix="batuta-bench-") as folder, scratch_database(server) as url:
        own = installation(settings, Path(folder) / "home", url)
        logged = _company(own, url, size, say)
        with psycopg.connect(url) as conn:
            conn.execute(PLAIN_VIEW.encode())
        with gateway(own, url) as address:
            ours, plain, polls = _send(own, url, address, events, say)
    say(
        f"{logged:,} events: median {statistics.median(ours):.0f} ms, plain view {statistics.median(plain):.0f} ms"
    )
    return {
        "events_before": logged,
        "p50_ms": round(statistics.median(ours), 1),
        "p99_ms": round(percentile(ours, 0.99), 1),
        "spread": [round(min(ours), 1), round(max(ours), 1)],
        "peer_p50_ms": round(statistics.median(plain), 1),
        "peer_p99_ms": round(percentile(plain, 0.99), 1),
        "peer_spread": [round(min(plain), 1), round(max(plain), 1)],
        "readings": polls,
    }


def _company(own: Settings, url: str, size: str, say: Say) -> int:
    """The example company's ninety days; how many events the log has."""
    company.make_secrets(own)
    graph = company.apply_manifests(own, url, say)
    company.land(own, url, company.deliveries(own, size, say), say)
    with connect(url, "writer") as conn:
        raise_horizons(conn, {product.name: company.AS_OF for product in graph.products})
    say("refreshing the marts")
    refresh(own, url)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("vacuum (analyze)")
    with connect(url, "reader") as conn:
        row = conn.execute("select count(*) from batuta.events").fetchone()
    return int(row[0]) if row else 0


def _send(
    own: Settings, url: str, address: str, events: int, say: Say
) -> tuple[list[float], list[float], int]:
    """Milliseconds to the KPIs and to the plain view's answer, per order; how often the KPIs were read."""
    secret = (own.secrets_dir / f"{SHOP.product}-shopify").read_bytes().strip()
    ours, plain, polls = list[float](), list[float](), 0
    with (
        httpx.Client(base_url=address, timeout=30, trust_env=False) as shop,
        connect(url, "reader", autocommit=True) as reader,
    ):
        before = _orders(reader)
        if before != _plain_orders(reader):
            raise BenchFailed("the plain view does not give the number that the KPIs give")
        for number in range(1, events + 1):
            _post(shop, secret, number)
            acknowledged = time.perf_counter()
            while _orders(reader) < before + number:
                polls += 1
                if time.perf_counter() - acknowledged > PATIENCE_S:
                    raise BenchFailed(f"order {number} was not counted within {PATIENCE_S:.0f} s")
            shown = time.perf_counter()
            told = _plain_orders(reader)
            plain.append((time.perf_counter() - shown) * 1000)
            if told != before + number:
                raise BenchFailed("the plain view does not give the number that the KPIs give")
            ours.append((shown - acknowledged) * 1000)
            polls += 1
            if number % 50 == 0:
                say(f"{number} orders: {ours[-1]:.0f} ms")
    return ours, plain, polls


def _post(shop: httpx.Client, secret: bytes, number: int) -> None:
    body = orjson.dumps(order_of(company.AS_OF, number))
    headers = headers_of(SHOP, "orders/create", f"bench-{number}") | {
        "x-shopify-triggered-at": "2025-11-12T20:00:00Z"
    }
    answer = shop.post(
        f"/webhooks/{SHOP.product}/shopify", content=body, headers=signed(headers, body, secret)
    )
    if answer.status_code != httpx.codes.OK or answer.json()["status"] != "landed":
        raise BenchFailed(f"the gateway answered {answer.status_code}: {answer.text[:300]}")


def _orders(reader: Connection) -> int:
    """Orders of the last day, read with all other KPIs."""
    found = next((k for k in current_kpis(reader, SHOP.product) if k.kpi == "orders"), None)
    if found is None or found.value is None or found.as_of != company.AS_OF:
        raise BenchFailed("the KPIs of the example's last day are not there")
    return int(found.value)


def _plain_orders(reader: Connection) -> int:
    row = reader.execute(
        "select orders from public.plain_orders where product = %s and business_date = %s",
        (SHOP.product, company.AS_OF),
    ).fetchone()
    return int(row[0]) if row else 0
