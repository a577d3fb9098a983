"""Reading request bodies: at most so many bytes each, so many in all, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import ClientDisconnect, Request

from batuta_gateway.answers import Refusal, unavailable

READ_SECONDS: Final = 20.0
BUFFERED_BODIES: Final = 8


class BodyReader:
    """Reads bodies under a cap; all bodies in memory together stay under a multiple of it."""

    def __init__(self, max_bytes: int, *, read_seconds: float = READ_SECONDS) -> None:
        self._max_bytes = max_bytes
        self._read_seconds = read_seconds
        self._room = max_bytes * BUFFERED_BODIES

    async def read(self, request: Request, most: int | None = None) -> bytes:
        """The whole body, of at most `most` bytes where that is less than the cap of all.

        Raises:
            Refusal: 413 over the cap, whatever Content-Length says; 408 too slow; 503 no room for it now.
        """
        cap = self._max_bytes if most is None else min(most, self._max_bytes)
        declared = request.headers.get("content-length", "")
        too_large = declared.isdecimal() and declared.isascii() and int(declared[:20]) > cap
        try:
            async with asyncio.timeout(self._read_seconds):
                if too_large:
                    await _discard(request.stream(), self._max_bytes)
                    raise _too_large(cap)
                return await self._collect(request, cap)
        except TimeoutError:
            raise Refusal(
                408, "slow_body", f"the body did not arrive within {self._read_seconds:g} seconds"
            ) from None
        except ClientDisconnect:
            raise Refusal(400, "incomplete_body", "the connection ended before the body did") from None

    async def _collect(self, request: Request, cap: int) -> bytes:
        chunks: list[bytes] = []
        held = 0
        stream = request.stream()
        try:
            async for chunk in stream:
                if held + len(chunk) > cap:
                    await _discard(stream, self._max_bytes)
                    raise _too_large(cap)
                if len(chunk) > self._room:
                    raise unavailable("too many large bodies are arriving at once")
                held += len(chunk)
                self._room -= len(chunk)
                chunks.append(chunk)
        finally:
            self._room += held
        return b"".join(chunks)


def _too_large(cap: int) -> Refusal:
    return Refusal(
        413,
        "body_too_large",
        f"the body is larger than {cap} bytes",
        headers={"Connection": "close"},
    )


async def _discard(stream: AsyncIterator[bytes], limit: int) -> None:
    """Let a sender that is still sending come to the point of reading the answer; not without end."""
    discarded = 0
    async for chunk in stream:
        discarded += len(chunk)
        if discarded > limit:
            return
