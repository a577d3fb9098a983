"""Health, readiness, and the stored report pages that links in mails and on the terminal lead to."""

from __future__ import annotations

import asyncio
import re
from datetime import date
from pathlib import Path
from typing import Final

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from batuta.errors import BatutaError
from batuta_gateway.answers import answer, not_found, page, unavailable
from batuta_gateway.gateway import Gateway, gateway_of
from batuta_gateway.local import require_loopback

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


async def health(_: Request) -> Response:
    """The process answers."""
    return answer({"status": "ok"})


async def ready(request: Request) -> Response:
    """The database answers and manifests are applied: deliveries can be taken."""
    gateway = gateway_of(request)
    products = len(gateway.entrance.doors().graph.products)
    database = await asyncio.to_thread(_database_answers, gateway)
    content = {"status": "ok" if database else "unavailable", "database": database, "products": products}
    return answer(content, status=200 if database else 503)


async def report(request: Request) -> Response:
    """The page of one report, as last made for that day."""
    require_loopback(request)
    gateway = gateway_of(request)
    parts = request.path_params
    day = _day(parts["date"])
    pipelines = [
        pipeline.name
        for pipeline in gateway.entrance.doors().graph.pipelines
        if pipeline.family == parts["family"] and parts["product"] in pipeline.products
    ]
    if day is None or not pipelines:
        raise not_found()
    return page(await asyncio.to_thread(_stored_page, gateway, pipelines, parts["product"], day))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def _database_answers(gateway: Gateway) -> bool:
    try:
        with gateway.connect("reader") as conn:
            conn.execute("select 1 from batuta.batches limit 1")
    except (BatutaError, psycopg.Error):
        return False
    return True


def _stored_page(gateway: Gateway, pipelines: list[str], product: str, day: date) -> bytes:
    try:
        with gateway.connect("reader") as conn:
            row = conn.execute(
                "select path from batuta.reports where pipeline = any(%s) and product = %s "
                "and business_date = %s order by created_at desc limit 1",
                (pipelines, product, day),
            ).fetchone()
    except (BatutaError, psycopg.Error):
        raise unavailable("the database does not answer") from None
    folder = gateway.settings.reports_dir
    path = (folder / Path(row[0])).resolve() if row else None
    if path is None or not path.is_relative_to(folder) or not path.is_file():
        raise not_found()
    return path.read_bytes()
