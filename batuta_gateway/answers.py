"""What the gateway answers: JSON, and refusals that say what to do. Nothing of a request is ever echoed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.responses import Response

RETRY_AFTER_SECONDS: Final = 2
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Refusal(Exception):
    """A request that is not served: status, a short code for programs, a sentence for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.details = dict(details or {})

    def response(self) -> Response:
        """The refusal as it goes out."""
        error: dict[str, Any] = {"status": "error", "code": self.code, "message": self.message}
        return answer(error | self.details, status=self.status, headers=self.headers)


def answer(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    body = orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
    return Response(body, status_code=status, headers=dict(headers or {}), media_type="application/json")


def page(html: str | bytes, *, status: int = 200) -> Response:
    """A page for people: nothing of it is run, fetched from elsewhere or kept."""
    return Response(html, status, _PAGE_HEADERS, "text/html; charset=utf-8")


def unavailable(reason: str) -> Refusal:
    """Nothing was taken; whoever sent it should send it again."""
    return Refusal(
        503,
        "unavailable",
        f"{reason}; nothing was accepted, send it again later",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def not_found() -> Refusal:
    """There is nothing at this address, or nothing this caller may see."""
    return Refusal(404, "not_found", "there is nothing at this address")
