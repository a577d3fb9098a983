"""Reading request bodies: at most so many bytes each, so many in all, and not for ever."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.types import Message, Receive

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
        """The whole body of a request, as `take`."""
        return await self.take(request.headers.get("content-length", ""), request.receive, most)

    async def take(self, declared: str, receive: Receive, most: int | None = None) -> bytes:
        """The whole body, of at most `most` bytes where that is less than the cap of all.

        Args:
            declared: The header Content-Length; the body may be longer and is measured itself.
            receive: Gives the ASGI messages of the body.
            most: A cap of the caller's own.

        Raises:
            Refusal: 413 over the cap, whatever Content-Length says; 408 too slow; 503 no room for it now;
                400 the connection ended.
        """
        cap = self._max_bytes if most is None else min(most, self._max_bytes)
        too_large = declared.isascii() and declared.isdecimal() and int(declared[:20]) > cap
        try:
            async with asyncio.timeout(self._read_seconds):
                if too_large:
                    await _discard(receive, self._max_bytes)
                    raise _too_large(cap)
                return await self._collect(receive, cap)
        except TimeoutError:
            raise Refusal(
                408, "slow_body", f"the body did not arrive within {self._read_seconds:g} seconds"
            ) from None

    async def _collect(self, receive: Receive, cap: int) -> bytes:
        chunks: list[bytes] = []
        held = 0
        more = True
        try:
            while more:
                chunk, more = _content(await receive())
                if held + len(chunk) > cap:
                    if more:
                        await _discard(receive, self._max_bytes)
                    raise _too_large(cap)
                if len(chunk) > self._room:
                    raise unavailable("too many large bodies are arriving at once")
                held += len(chunk)
                self._room -= len(chunk)
                chunks.append(chunk)
        finally:
            self._room += held
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _content(message: Message) -> tuple[bytes, bool]:
    """What a message carries, and whether there is more."""
    if message["type"] == "http.disconnect":
        raise Refusal(400, "incomplete_body", "the connection ended before the body did")
    return message.get("body", b""), message.get("more_body", False)


def _too_large(cap: int) -> Refusal:
    return Refusal(
        413,
        "body_too_large",
        f"the body is larger than {cap} bytes",
        headers={"Connection": "close"},
    )


async def _discard(receive: Receive, limit: int) -> None:
    """Let a sender that is still sending come to the point of reading the answer; not without end."""
    discarded = 0
    more = True
    while more and discarded <= limit:
        chunk, more = _content(await receive())
        discarded += len(chunk)
