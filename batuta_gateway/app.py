"""The gateway as an ASGI application: `create_app()`, or with settings and a clock of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from batuta.landing.land import Landing
from batuta.settings import Settings, get_settings
from batuta.warehouse.connection import Connection, Role, connect
from batuta.warehouse.database import embedded_server
from batuta_gateway import pages, posted, skills
from batuta_gateway.access_log import AccessLog, log_failure
from batuta_gateway.acknowledgements import Acknowledgements
from batuta_gateway.answers import Refusal, not_found
from batuta_gateway.bodies import BodyReader
from batuta_gateway.console import pages as console
from batuta_gateway.doors import Entrance
from batuta_gateway.gateway import Gateway
from batuta_gateway.intake import Intake, IntakeLimits, WayIn
from batuta_gateway.local import local_token
from batuta_gateway.webhooks import Webhooks

STOP_SECONDS: Final = 10.0


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def create_app(
    settings: Settings | None = None,
    *,
    clock: Callable[[], datetime] = utc_now,
    limits: IntakeLimits | None = None,
) -> Starlette:
    """Make the application. The database need not answer yet; until it does, deliveries are refused with 503.

    Raises:
        BatutaError: the settings, the master keys or the local token cannot be used.
    """
    settings = settings or get_settings()
    open_connection = partial(_connect, settings)
    local_token(settings.secrets_dir)
    intake = _way_in(settings, Landing.open(settings, clock), partial(open_connection, "writer"), limits)
    gateway = Gateway(
        settings=settings,
        clock=clock,
        connect=open_connection,
        entrance=Entrance(settings, lambda: intake.renew(Landing.open(settings, clock))),
        bodies=BodyReader(settings.max_body_bytes),
        intake=intake,
        acknowledgements=Acknowledgements(partial(open_connection, "writer"), clock),
    )
    gateway.entrance.doors()
    app = Starlette(
        routes=[
            Route("/events", posted.post, methods=["POST"]),
            Route("/skill/execute", skills.execute, methods=["POST"]),
            Route("/healthz", pages.health),
            Route("/readyz", pages.ready),
            Route("/reports/{product}/{family}/{date}", pages.report),
            *console.ROUTES,
        ],
        middleware=[
            Middleware(AccessLog, settings, gateway.acknowledgements.note),
            Middleware(Webhooks, gateway),
        ],
        exception_handlers={Refusal: _refuse, HTTPException: _refuse_http, Exception: _fail},
        lifespan=partial(_lifespan, gateway),
    )
    # An address with a slash too many is another address; a vendor would not follow to the right one.
    app.router.redirect_slashes = False
    app.state.gateway = gateway
    return app


def _way_in(
    settings: Settings, landing: Landing, connect: Callable[[], Connection], limits: IntakeLimits | None
) -> WayIn:
    if settings.bus is None:
        return Intake(landing, connect, limits)
    from batuta.bus.address import BusAddress
    from batuta_gateway.bus_intake import BusIntake

    return BusIntake(landing, BusAddress.of(settings.bus.get_secret_value()))


def _connect(settings: Settings, role: Role) -> Connection:
    url = settings.database_url or embedded_server(settings).url()
    return connect(url, role, application="batuta-gateway")


@asynccontextmanager
async def _lifespan(gateway: Gateway, _: Starlette) -> AsyncIterator[None]:
    gateway.intake.start()
    gateway.acknowledgements.start()
    yield
    await gateway.intake.stop(STOP_SECONDS)
    await gateway.acknowledgements.stop()


async def _refuse(_: Request, error: Exception) -> Response:
    return cast("Refusal", error).response()


async def _refuse_http(_: Request, error: Exception) -> Response:
    """What the routing refuses, in our words."""
    refused = cast("HTTPException", error)
    if refused.status_code == 405:
        return Refusal(
            405, "method_not_allowed", "this address takes another method", headers=refused.headers
        ).response()
    return not_found().response()


async def _fail(request: Request, error: Exception) -> Response:
    log_failure(error, getattr(request.state, "trace", None))
    return Refusal(500, "failed", "this failed on our side; the log says where").response()
