"""`/console`, `/console/{product}`, `/console/{product}/{kpi}`: KPIs for people, on this machine alone.

In the language the browser asks for, or the one that `?lang=pt` or `?lang=en` names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from batuta.errors import BatutaError
from batuta.kpis import KpisNotBuilt, ProductForm, products
from batuta.telemetry import get_logger
from batuta.warehouse.connection import Connection
from batuta_gateway.answers import page
from batuta_gateway.console.views import (
    MessagePage,
    Reader,
    read_kpi,
    read_product,
    read_products,
    render,
)
from batuta_gateway.gateway import Gateway, gateway_of
from batuta_gateway.local import require_loopback

_log = get_logger(__name__)

LOCALES: Final = {"pt": "pt-BR", "en": "en"}

Read = Callable[[Connection, tuple[ProductForm, ...]], str | None]
"""Makes a page of what the database holds; None where there is no such page."""


async def overview(request: Request) -> Response:
    """All products with the figures they are led by."""
    reader = _reader(request)
    graph = gateway_of(request).entrance.doors().graph

    def read(conn: Connection, known: tuple[ProductForm, ...]) -> str:
        return render("products.html.j2", read_products(conn, reader, known, graph))

    return await _served(request, reader, read)


async def product(request: Request) -> Response:
    """A product's KPIs with what they mean, its reports, and how its accounts stand."""
    reader = _reader(request)
    name = request.path_params["product"]
    gateway = gateway_of(request)
    graph, settings = gateway.entrance.doors().graph, gateway.settings

    def read(conn: Connection, known: tuple[ProductForm, ...]) -> str | None:
        form = _named(known, name)
        if form is None:
            return None
        return render("product.html.j2", read_product(conn, reader, form, graph, settings))

    return await _served(request, reader, read)


async def kpi(request: Request) -> Response:
    """One KPI of a product."""
    reader = _reader(request)
    name, wanted = request.path_params["product"], request.path_params["kpi"]

    def read(conn: Connection, known: tuple[ProductForm, ...]) -> str | None:
        form = _named(known, name)
        found = read_kpi(conn, reader, form, wanted) if form else None
        return render("kpi.html.j2", found) if found else None

    return await _served(request, reader, read)


ROUTES: Final = (
    Route("/console", overview),
    Route("/console/{product}", product),
    Route("/console/{product}/{kpi}", kpi),
)


async def _served(request: Request, reader: Reader, read: Read) -> Response:
    require_loopback(request)
    return await asyncio.to_thread(partial(_page, gateway_of(request), reader, read))


def _page(gateway: Gateway, reader: Reader, read: Read) -> Response:
    try:
        with gateway.connect("reader") as conn:
            html = read(conn, products(conn))
    except KpisNotBuilt:
        return _message(reader, "not_built", 503)
    except (BatutaError, psycopg.Error) as error:
        _log.error("console not served", kind=type(error).__name__)
        return _message(reader, "unavailable", 503)
    return _message(reader, "not_found", 404) if html is None else page(html)


def _message(reader: Reader, message: str, status: int) -> Response:
    return page(render("message.html.j2", MessagePage(reader, message)), status=status)


def _named(known: tuple[ProductForm, ...], name: str) -> ProductForm | None:
    return next((form for form in known if form.name == name), None)


def _reader(request: Request) -> Reader:
    asked = request.query_params.get("lang")
    if asked not in LOCALES:
        asked = _preferred(request.headers.get("accept-language", ""))
    return Reader.of(gateway_of(request).settings, LOCALES[asked])


def _preferred(accepted: str) -> str:
    """Of the languages there are, the one a browser names first; English where it names none."""
    for part in accepted.lower().split(","):
        language = part.partition(";")[0].strip().partition("-")[0]
        if language in LOCALES:
            return language
    return "en"
