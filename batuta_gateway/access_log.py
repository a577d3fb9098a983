"""One log line per request: what was asked for, of which product, how it ended, how long it took.

No body, no header, no query, no free part of an address: none of them is ours to keep.
"""

from __future__ import annotations

import time
import traceback

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batuta.telemetry import get_logger, new_trace_id

_log = get_logger(__name__)
TRACE_HEADER = b"x-trace-id"


class AccessLog:
    """ASGI middleware: gives each request its trace id and logs its end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
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
        finally:
            route = scope.get("route")
            parts = scope.get("path_params") or {}
            _log.info(
                "request",
                method=scope["method"],
                route=getattr(route, "path", None),
                product=parts.get("product"),
                connector=parts.get("connector"),
                status=status,
                duration_ms=round((time.perf_counter() - started) * 1000, 1),
                trace=trace,
            )


def log_failure(error: Exception, trace: str | None) -> None:
    """Log where an unexpected error happened, without its message, which may hold data."""
    frames = [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    _log.error("request failed", kind=type(error).__name__, frames=frames, trace=trace)
