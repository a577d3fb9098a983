"""Reading bodies: caps, room and patience."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from batuta_gateway.answers import Refusal
from batuta_gateway.bodies import BUFFERED_BODIES, BodyReader


def request(*chunks: bytes, length: str | None = None, pause_s: float = 0.0, cut: bool = False) -> Request:
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause_s)
        if cut and not waiting:
            return {"type": "http.disconnect"}
        body = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": body, "more_body": bool(waiting) or cut}

    headers = [] if length is None else [(b"content-length", length.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def refusal(reader: BodyReader, sent: Request) -> Refusal:
    with pytest.raises(Refusal) as caught:
        asyncio.run(reader.read(sent))
    return caught.value


def test_chunks_are_joined():
    assert asyncio.run(BodyReader(10).read(request(b"ab", b"", b"cd"))) == b"abcd"
    assert asyncio.run(BodyReader(4).read(request(b"abcd", length="4"))) == b"abcd"


@pytest.mark.parametrize("length", [None, "2", "ten", "9"])
def test_more_than_the_cap_is_refused_whatever_the_length_says(length: str | None):
    assert refusal(BodyReader(4), request(b"abc", b"de", length=length)).status == 413


def test_a_slow_body_is_given_up():
    assert refusal(BodyReader(10, read_seconds=0.05), request(b"a", b"b", pause_s=0.04)).status == 408


def test_a_body_that_breaks_off_is_no_body():
    assert refusal(BodyReader(10), request(b"abc", cut=True)).status == 400


def test_bodies_together_have_only_so_much_room_and_give_it_back():
    async def run() -> list[int]:
        reader = BodyReader(10)
        slow = [request(b"1234567890", b"", pause_s=0.05) for _ in range(BUFFERED_BODIES + 2)]
        answers = await asyncio.gather(*(reader.read(one) for one in slow), return_exceptions=True)
        assert await reader.read(request(b"1234567890")) == b"1234567890"
        return [answer.status for answer in answers if isinstance(answer, Refusal)]

    assert asyncio.run(run()) == [503, 503]
