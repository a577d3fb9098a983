"""One log line per request: what was asked for, of which product, how it ended, how long it took.

No body, no header, no query, no free part of an address: none of them is ours to keep. Lines look like those of the
other logs, but are written here, several at a time: under load, rendering and writing each by itself would cost as
much as the request.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batuta.settings import Settings
from batuta.telemetry import get_logger, new_trace_id
from batuta_gateway.doors import Door

_log = get_logger(__name__)
TRACE_HEADER: Final = b"x-trace-id"
FLUSH_SECONDS: Final = 0.1


class Line(NamedTuple):
    """The end of a request."""

    connector: str | None
    duration_ms: float
    method: str
    product: str | None
    route: str | None
    status: int
    trace: str


class AccessLog:
    """ASGI middleware: gives each request its trace id, logs its end, and has the answers to deliveries counted."""

    def __init__(self, app: ASGIApp, settings: Settings, answered: Callable[[Door, int], None]) -> None:
        self._app = app
        self._answered = answered
        self._lines: list[str] = []
        self._render: Callable[[Line], str] = _as_json if settings.log_format == "json" else _for_console
        self._wanted = settings.log_level in {"debug", "info"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            try:
                await self._app(scope, receive, send)
            finally:
                self._flush()
            return
        trace = new_trace_id()
        scope.setdefault("state", {})["trace"] = trace
        status = 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (TRACE_HEADER, trace.encode("ascii"))]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, note_status)
        except Exception:
            status = status or 500
            raise
        finally:
            if (door := scope["state"].get("door")) is not None and scope["method"] == "POST":
                self._answered(door, status)
            if self._wanted:
                self._note(scope, status, trace, (time.perf_counter() - started) * 1000)

    def _note(self, scope: Scope, status: int, trace: str, took_ms: float) -> None:
        state = scope["state"]
        door: Door | None = state.get("door")
        route = state.get("route") or getattr(scope.get("route"), "path", None)
        connector, product = (door.connector.NAME, door.product) if door is not None else (None, None)
        line = Line(connector, round(took_ms, 1), scope["method"], product, route, status, trace)
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)
        self._lines.append(self._render(line))

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            sys.stderr.write("".join(lines))
            sys.stderr.flush()


def log_failure(error: Exception, trace: str | None) -> None:
    """Log where an unexpected error happened, without its message, which may hold data."""
    frames = [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    _log.error("request failed", kind=type(error).__name__, frames=frames, trace=trace)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _for_console(line: Line) -> str:
    return (
        f"{_now()} [info     ] request                        component={__name__} connector={line.connector} "
        f"duration_ms={line.duration_ms} method={line.method} product={line.product} route={line.route} "
        f"status={line.status} trace={line.trace}\n"
    )


def _as_json(line: Line) -> str:
    head = {"event": "request", "level": "info", "timestamp": _now(), "component": __name__}
    return orjson.dumps(head | line._asdict(), option=orjson.OPT_APPEND_NEWLINE).decode()
