"""The peer of `batuta bench webhook`: a handler as anybody would write it, which verifies and inserts one row.

FastAPI, one worker, a pool of eight connections; no contract, no mask, no quarantine. The answer goes out when the row
is committed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

from fastapi import FastAPI, Header, HTTPException, Request
from psycopg_pool import AsyncConnectionPool

URL: Final = "BATUTA_BENCH_PEER_URL"
SECRET: Final = "BATUTA_BENCH_PEER_SECRET"  # noqa: S105 - the variable's name
CONNECTIONS: Final = 8
TABLE: Final = """
create table if not exists peer_webhooks (
    id text primary key, topic text not null, received_at timestamptz not null default now(), data jsonb not null
)
"""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncConnectionPool(
        os.environ[URL], min_size=CONNECTIONS, max_size=CONNECTIONS, open=False
    ) as pool:
        async with pool.connection() as conn:
            await conn.execute(TABLE)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_lifespan)
_secret = os.environ.get(SECRET, "").encode()


@app.get("/healthz")
async def health() -> dict[str, str]:
    """It answers."""
    return {"status": "ok"}


@app.post("/webhooks/shopify")
async def receive(
    request: Request,
    x_shopify_hmac_sha256: Annotated[str, Header()],
    x_shopify_webhook_id: Annotated[str, Header()],
    x_shopify_topic: Annotated[str, Header()],
) -> dict[str, str]:
    """Verify the signature and insert the row."""
    body = await request.body()
    expected = base64.b64encode(hmac.new(_secret, body, hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(expected, x_shopify_hmac_sha256):
        raise HTTPException(401)
    async with request.app.state.pool.connection() as conn:
        await conn.execute(
            "insert into peer_webhooks (id, topic, data) values (%s, %s, %s) on conflict do nothing",
            (x_shopify_webhook_id, x_shopify_topic, body.decode()),
        )
    return {"status": "ok"}
