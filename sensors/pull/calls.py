"""HTTP to vendors: patient where the vendor asks for patience, never beyond the deadline, and discreet.

Messages and logs name a host and a status, nothing else: paths, queries and bodies of vendors hold personal data, and
headers hold secrets. Nothing follows a redirect unless asked, and no cookie is kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from sensors.connectors.pulling import Answer, OutOfTime, RateLimited, SourceFailed, Unauthorized

USER_AGENT: Final = "NONISV|Avila|BATUTA/0.1"
TIMEOUT_S: Final = 30.0
LEAST_TIMEOUT_S: Final = 1.0
GRACE_S: Final = 10.0
"""How long what was begun before the deadline may take beyond it."""
TRIES: Final = 4
RATE_LIMIT_TRIES: Final = 20
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 8.0
LEAST_RATE_LIMIT_S: Final = 2.0
LONGEST_RATE_LIMIT_S: Final = 300.0
RATE_LIMITS: Final = frozenset({429, 529})
WORTH_A_RETRY: Final = frozenset({408, 425, 500, 502, 503, 504})
_CHUNK_BYTES: Final = 65_536

Limits: TypeAlias = Callable[[Answer], float | None]
"""Seconds to wait because of an answer: before the same call again where it is an error, else before the next one.
None: the answer asks for nothing. Of an error it is given the beginning of the body, else headers only."""


class _Shaky(SourceFailed):
    """A failure that may be gone at the next try."""


def http_client() -> httpx.Client:
    """A client for many accounts at once: connections are kept, cookies are not."""
    # They log whole addresses, and headers where they debug.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return httpx.Client(
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        headers={"user-agent": USER_AGENT},
        limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
        timeout=TIMEOUT_S,
    )


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be sent, as httpx takes it."""

    method: str
    url: str
    arguments: Mapping[str, Any]
    expect: Collection[int]
    follow_redirects: bool
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to the query that the address has already."""

    @property
    def host(self) -> str:
        try:
            return urlsplit(self.url).hostname or "an address without a host"
        except ValueError:
            return "an address that is none"


class HttpCalls:
    """`Calls` over httpx, for one account and one deadline."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        clock: Callable[[], datetime],
        deadline: float,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        limits: Limits | None = None,
    ) -> None:
        """`deadline` is a time of `monotonic`; `limits` reads the vendor's own rate limit headers."""
        self._client = client
        self._clock = clock
        self._deadline = deadline
        self._monotonic = monotonic
        self._sleep = sleep
        self._limits = limits
        self._not_before = monotonic()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        expect: Collection[int] = (200,),
        max_bytes: int = 64 * 1024 * 1024,
        follow_redirects: bool = False,
    ) -> Answer:
        """See `Calls.request`."""
        arguments = {"headers": headers, "json": json, "content": content, "data": form}
        request = _Request(method, url, arguments, expect, follow_redirects, params or {})
        for attempt in self._tries():
            with attempt:
                response = self._open(request, attempt.retry_state.attempt_number)
                return _answer(response, b"".join(self._chunks(response, request, max_bytes)))
        raise AssertionError  # the last try returns or raises

    def stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int,
        follow_redirects: bool = False,
    ) -> Iterator[bytes]:
        """See `Calls.stream`."""
        request = _Request("GET", url, {"headers": headers}, (200,), follow_redirects)
        # What has been handed over cannot be taken back: only until it has begun, it is tried again.
        yield from self._chunks(self._open_patiently(request), request, max_bytes)

    def pause(self, seconds: float, why: str) -> None:
        """See `Calls.pause`."""
        if seconds <= 0:
            return
        if self._monotonic() + seconds > self._deadline:
            raise RateLimited(why, self._clock() + timedelta(seconds=seconds))
        self._sleep(seconds)

    def _open_patiently(self, request: _Request) -> httpx.Response:
        for attempt in self._tries():
            with attempt:
                return self._open(request, attempt.retry_state.attempt_number)
        raise AssertionError  # the last try returns or raises

    def _tries(self) -> Retrying:
        return Retrying(
            sleep=self._sleep,
            wait=self._wait,
            stop=self._stop,
            retry=retry_if_exception_type((_Shaky, RateLimited)),
            reraise=True,
        )

    def _wait(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome is not None else None
        if isinstance(failure, RateLimited):
            return max(0.0, (failure.until - self._clock()).total_seconds())
        return _exponential(FIRST_PAUSE_S, LONGEST_PAUSE_S, state.attempt_number)

    def _stop(self, state: RetryCallState) -> bool:
        failure = state.outcome.exception() if state.outcome is not None else None
        tries = RATE_LIMIT_TRIES if isinstance(failure, RateLimited) else TRIES
        if state.attempt_number >= tries:
            return True
        return self._monotonic() + state.upcoming_sleep > self._deadline

    def _open(self, request: _Request, attempt: int) -> httpx.Response:
        """A response of an expected status, its body not read yet; every failure is a sentence."""
        self.pause(self._not_before - self._monotonic(), f"{request.host} asks for a pause between calls")
        left = self._deadline - self._monotonic()
        if left <= 0:
            raise OutOfTime(f"no time was left to ask {request.host}")
        response = self._send(request, min(TIMEOUT_S, max(left, LEAST_TIMEOUT_S)))
        if isinstance(response, SourceFailed):
            # Raised here, without the library's own error in tow: that one holds addresses and headers.
            raise response
        try:
            self._judge(response, request, attempt)
        except BaseException:
            response.close()
            raise
        return response

    def _send(self, request: _Request, timeout_s: float) -> httpx.Response | SourceFailed:
        try:
            url = httpx.URL(request.url)
            if request.params:
                url = url.copy_merge_params(request.params)
            message = self._client.build_request(request.method, url, timeout=timeout_s, **request.arguments)
            return self._client.send(message, stream=True, follow_redirects=request.follow_redirects)
        except httpx.RequestError as error:
            return _failure(error, request.host)
        except (httpx.InvalidURL, ValueError, TypeError):
            return SourceFailed(
                f"the request to {request.host} cannot be sent: its address or a header is not allowed",
                hint="Look at the account's settings and credentials: a line break, or a letter beyond ASCII?",
            )

    def _judge(self, response: httpx.Response, request: _Request, attempt: int) -> None:
        status = response.status_code
        expected = status in request.expect
        wait = self._wait_asked_for(response, request, expected=expected, attempt=attempt)
        if expected and (status < 400 or wait is None):
            self._not_before = self._monotonic() + (wait or 0.0)
            return
        if wait is not None:
            raise RateLimited(
                f"{request.host} asks to be left alone ({status})", self._clock() + timedelta(seconds=wait)
            )
        if status in WORTH_A_RETRY or status > 504:
            raise _Shaky(f"{request.host} answers {status}", hint="It is tried again later.")
        if status in (401, 403):
            raise Unauthorized(
                f"{request.host} refuses the credentials ({status})",
                hint="Renew the credential, or give it the rights that the connector's page names.",
            )
        raise SourceFailed(f"{request.host} answers {status}")

    def _wait_asked_for(
        self, response: httpx.Response, request: _Request, *, expected: bool, attempt: int
    ) -> float | None:
        """Seconds the vendor wants to be left alone; None where it wants nothing."""
        status = response.status_code
        own = self._own_limits(response, request, expected=expected)
        if own is not None:
            return max(own, 0.0)
        if expected:
            return None
        after = _retry_after(response.headers.get("retry-after"), self._clock())
        if after is not None and status in (*RATE_LIMITS, 403, 503):
            return min(max(after, LEAST_RATE_LIMIT_S / 2), 86_400.0)
        if status in RATE_LIMITS:
            return _exponential(LEAST_RATE_LIMIT_S, LONGEST_RATE_LIMIT_S, attempt)
        return None

    def _own_limits(self, response: httpx.Response, request: _Request, *, expected: bool) -> float | None:
        """What the vendor's own hook reads out of an answer; the body of one that is expected is the caller's."""
        if self._limits is None:
            return None
        if expected:
            return self._limits(_answer(response, b""))
        try:
            with closing(self._chunks(response, request, 2 * _CHUNK_BYTES)) as chunks:
                said = next(chunks, b"")
        except SourceFailed:
            said = b""
        return self._limits(_answer(response, said))

    def _chunks(
        self, response: httpx.Response, request: _Request, max_bytes: int
    ) -> Generator[bytes, None, None]:
        """The body, not more of it than allowed, not longer than the deadline; closes the response."""
        size = 0
        try:
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                size += len(chunk)
                if size > max_bytes:
                    raise SourceFailed(f"{request.host} answers with more than {max_bytes} bytes")
                if self._monotonic() > self._deadline + GRACE_S:
                    raise OutOfTime(f"{request.host} does not finish its answer in time")
                yield chunk
        except httpx.RequestError as error:
            raise _failure(error, request.host) from None
        finally:
            response.close()


def _answer(response: httpx.Response, body: bytes) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, body, str(response.url))


def _failure(error: httpx.RequestError, host: str) -> SourceFailed:
    """A sentence for what went wrong on the way; httpx's own words may hold the address."""
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return SourceFailed(
            f"the request to {host} cannot be sent: its address or a header is not allowed",
            hint="Look at the account's settings and credentials: a line break, or an address without https://?",
        )
    if isinstance(error, httpx.TooManyRedirects):
        return SourceFailed(f"{host} redirects in a circle")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return _Shaky(f"{host} cannot be reached", hint="Is the address right, and the network up?")
    if isinstance(error, httpx.TimeoutException):
        return _Shaky(f"{host} does not answer in time", hint="It is tried again later.")
    return _Shaky(f"{host} broke the connection off", hint="It is tried again later.")


def _retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header, which has seconds or an HTTP date; None for anything else."""
    if value is None:
        return None
    text = value.strip()
    try:
        return (
            max(0.0, float(text))
            if text.replace(".", "", 1).isascii() and text[:1].isdigit()
            else _until(text, now)
        )
    except (ValueError, OverflowError):
        return None


def _until(text: str, now: datetime) -> float:
    moment = parsedate_to_datetime(text)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


def _exponential(first: float, longest: float, attempt: int) -> float:
    return min(longest, first * 2 ** (min(attempt, 30) - 1))
