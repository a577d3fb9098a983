"""What every handler needs, made once when the gateway starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from starlette.requests import Request

from batuta.settings import Settings
from batuta.warehouse.connection import Connect
from batuta_gateway.acknowledgements import Acknowledgements
from batuta_gateway.bodies import BodyReader
from batuta_gateway.doors import Entrance
from batuta_gateway.intake import WayIn


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a running gateway."""

    settings: Settings
    clock: Callable[[], datetime]
    connect: Connect
    entrance: Entrance
    bodies: BodyReader
    intake: WayIn
    acknowledgements: Acknowledgements


def gateway_of(request: Request) -> Gateway:
    """The gateway that serves this request."""
    return cast("Gateway", request.app.state.gateway)


def trace_of(request: Request) -> str:
    """The request's trace id, as in the log and in the events that came with it."""
    return cast("str", request.state.trace)
