"""What the vendors' stand-ins share: an application served on loopback, and faults that are ordered beforehand.

A stand-in keeps to what its vendor documents. It proves that a connector agrees with the documentation as we read it,
never that it agrees with the vendor.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl

import uvicorn
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

START_SECONDS = 10.0


class StandInFailed(RuntimeError):
    """A stand-in could not do what it was asked for; the message is a sentence to whoever asked."""


def unusable(port: int, error: OSError) -> StandInFailed:
    """Why a stand-in cannot listen at `port`, and what to do."""
    reason = os.strerror(error.errno or 0)
    return StandInFailed(f"port {port} cannot be used: {reason}; choose another with --port")


@dataclass(frozen=True, slots=True)
class Fault:
    """What the next request meets instead of its answer. `torn`: the connection ends within the body."""

    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    torn: bool = False
    path: str = ""
    """Only requests whose path has this in it."""


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a posted form."""
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))


class Served:
    """An ASGI application on a port of its own, in a thread; `with` starts and stops it."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._app = app
        self._faults: deque[Fault] = deque()
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """(method, path and query, headers) of all requests, in order."""
        try:
            self._socket = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise unusable(port, error) from error
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            log_level="critical",
            lifespan="off",
            server_header=False,
            date_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def fail_next(self, *faults: Fault) -> None:
        """Let the next requests that fit meet these faults, one each."""
        self._faults.extend(faults)

    def start(self) -> Self:
        """Serve."""
        self._thread.start()
        started = threading.Event()
        for _ in range(int(START_SECONDS / 0.01)):
            if self._server.started:
                return self
            started.wait(0.01)
        raise StandInFailed("the stand-in did not start")

    def stop(self) -> None:
        """Stop, and let the port go."""
        self._server.should_exit = True
        self._thread.join(START_SECONDS)
        self._socket.close()

    def wait(self) -> None:
        """Serve until interrupted."""
        try:
            while self._thread.is_alive():
                self._thread.join(1)
        except KeyboardInterrupt:
            self.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"] + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        self.requests.append((scope["method"], path, headers))
        fault = next((f for f in self._faults if f.path in path), None)
        if fault is None:
            await self._app(scope, receive, send)
            return
        self._faults.remove(fault)
        listed = [(k.encode(), v.encode()) for k, v in fault.headers.items()]
        if fault.torn:
            listed.append((b"content-length", b"100000"))
        start: dict[str, Any] = {
            "type": "http.response.start",
            "status": 200 if fault.torn else fault.status,
            "headers": listed,
        }
        await send(start)
        await send({"type": "http.response.body", "body": fault.body or b"[", "more_body": fault.torn})
        if fault.torn:
            raise ConnectionAbortedError("torn, as ordered")
