"""Asking Microsoft Graph: tokens, headers, pages.

A token is kept in the process until shortly before it expires; an answer of 401 has it renewed once. Addresses that
Graph hands out (`@odata.nextLink`, `@odata.deltaLink`, `Location`) are opaque: they are kept and followed whole, but
only to Graph itself, since the token goes with them.
Protocol: learn.microsoft.com/graph/throttling-limits and /entra/identity-platform/v2-oauth2-client-creds-grant-flow.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from sensors.connectors.graph.settings import CLIENT_SECRET, REFRESH_TOKEN, GraphSettings
from sensors.connectors.pulling import Account, Answer, SourceFailed, Tools, Unauthorized
from sensors.connectors.reading import JsonObject, number_at, text_at

USER_AGENT: Final = "NONISV|AVILA|BATUTA/0.1"
API: Final = "/v1.0"
_EARLY_S: Final = 120
_SCOPES: Final = "offline_access {graph}/.default"
_RATE_LIMITED: Final = frozenset({429, 503})


class _Tokens:
    """Access tokens of this process, by whom they are for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[str, float]] = {}
        self._renewed: dict[str, bytes] = {}

    def get(self, key: str, now: float) -> str | None:
        with self._lock:
            token, until = self._kept.get(key, ("", now))
            return token if now < until else None

    def keep(self, key: str, token: str, until: float) -> None:
        with self._lock:
            self._kept[key] = (token, until)

    def drop(self, key: str, token: str) -> None:
        """Forget a token that was refused, unless another thread has a newer one by now."""
        with self._lock:
            if self._kept.get(key, ("", 0.0))[0] == token:
                del self._kept[key]

    def renewed(self, key: str) -> bytes | None:
        with self._lock:
            return self._renewed.get(key)

    def renew(self, key: str, refresh_token: bytes) -> None:
        with self._lock:
            self._renewed[key] = refresh_token


_TOKENS: Final = _Tokens()


def limits(answer: Answer) -> float | None:
    """Seconds that an answer's rate limit headers ask for; None where plain Retry-After says it all.

    From 80 % of a quota on Graph counts down in `RateLimit-Remaining`; where nothing is left, the next call waits.
    """
    if answer.status in _RATE_LIMITED or answer.headers.get("ratelimit-remaining") != "0":
        return None
    reset = answer.headers.get("ratelimit-reset", "")
    return min(float(reset), 3600.0) if reset.isascii() and reset.isdigit() else None


class Graph:
    """Graph as one account sees it."""

    def __init__(
        self, account: Account, settings: GraphSettings, tools: Tools, *, prefer: Collection[str] = ()
    ) -> None:
        """`prefer` is sent with every request: preferences count for one request only."""
        self._account = account
        self._settings = settings
        self._tools = tools
        self._headers = {"user-agent": USER_AGENT, "accept": "application/json"}
        if prefer:
            self._headers["prefer"] = ", ".join(prefer)

    def address(self, path: str) -> str:
        """The address of a path of the API, without its leading slash."""
        return f"{self._settings.graph_url}{API}/{path}"

    def owns(self, link: object) -> bool:
        """Whether a link that came with an answer leads to Graph, and so may be followed with the token."""
        if not isinstance(link, str):
            return False
        try:
            there, here = urlsplit(link), urlsplit(self._settings.graph_url)
            return (there.scheme, there.hostname, there.port) == (here.scheme, here.hostname, here.port)
        except ValueError:
            return False

    def ask(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        expect: Collection[int] = (200,),
        headers: Mapping[str, str] | None = None,
        max_bytes: int = 64 * 1024 * 1024,
    ) -> Answer:
        """One request with the account's token, which is renewed once if it is refused.

        Raises:
            Unauthorized, RateLimited, SourceFailed: see `Calls.request`.
        """

        def send(token: str) -> Answer:
            return self._tools.calls.request(
                method,
                url,
                headers=self._headers | dict(headers or {}) | {"authorization": f"Bearer {token}"},
                json=json,
                expect={*expect, 401},
                max_bytes=max_bytes,
            )

        answer = self._with_token(send)
        if answer.status == 401 and 401 not in expect:
            raise Unauthorized(
                f"Microsoft Graph refuses the token of {_called(self._account)} (401)",
                hint="Give the app registration the rights that the connector's page names, with admin consent.",
            )
        return answer

    def read(self, url: str, **options: Any) -> JsonObject:
        """The JSON object that a GET gives.

        Raises:
            SourceFailed: and its kin; also where the answer is no JSON object.
        """
        return document(self.ask("GET", url, **options))

    def stream(self, url: str, *, max_bytes: int = 1024**3) -> Iterator[bytes]:
        """The chunks of a large answer; a token that is refused before the first is renewed once.

        Raises:
            Unauthorized, RateLimited, SourceFailed: see `Calls.stream`.
        """
        key = self._key()
        token = _TOKENS.get(key, self._tools.monotonic()) or self._issue(key)
        begun = False
        try:
            for chunk in self._chunks(url, token, max_bytes):
                begun = True
                yield chunk
        except Unauthorized:
            if begun:
                raise
            _TOKENS.drop(key, token)
            yield from self._chunks(url, self._issue(key), max_bytes)

    def _chunks(self, url: str, token: str, max_bytes: int) -> Iterator[bytes]:
        headers = self._headers | {"authorization": f"Bearer {token}", "accept": "*/*"}
        return self._tools.calls.stream(url, headers=headers, max_bytes=max_bytes)

    def _with_token(self, send: Callable[[str], Answer]) -> Answer:
        key = self._key()
        token = _TOKENS.get(key, self._tools.monotonic())
        fresh = token is None
        token = token or self._issue(key)
        answer = send(token)
        if answer.status == 401 and not fresh:
            _TOKENS.drop(key, token)
            answer = send(self._issue(key))
        return answer

    def _key(self) -> str:
        settings, credentials = self._settings, self._account.credentials
        parts = [settings.authority_url, settings.tenant, settings.client_id, settings.graph_url]
        digest = hashlib.sha256("\x00".join(parts).encode())
        for name in (CLIENT_SECRET, REFRESH_TOKEN):
            digest.update(b"\x00" + credentials.get(name, b""))
        return digest.hexdigest()

    def _issue(self, key: str) -> str:
        """A new access token; a refresh token that comes with it is kept in place of the old one."""
        settings = self._settings
        answer = self._tools.calls.request(
            "POST",
            f"{settings.authority_url}/{settings.tenant}/oauth2/v2.0/token",
            headers={"user-agent": USER_AGENT, "accept": "application/json"},
            form=self._grant(key),
            expect=(200, 400, 401),
        )
        issued = document(answer)
        token = text_at(issued, "access_token")
        if answer.status != 200 or token is None:
            raise Unauthorized(
                f"Microsoft issues no token for {_called(self._account)} ({_error_word(issued)})",
                hint="Renew the client secret, or let the person sign in again for a new refresh token.",
            )
        seconds = number_at(issued, "expires_in") or 0
        _TOKENS.keep(key, token, self._tools.monotonic() + max(seconds - _EARLY_S, 0))
        renewed = text_at(issued, "refresh_token")
        if renewed is not None and REFRESH_TOKEN in self._account.credentials:
            _TOKENS.renew(key, renewed.encode())
            self._tools.keep_secret(REFRESH_TOKEN, renewed.encode())
        return token

    def _grant(self, key: str) -> dict[str, str]:
        settings, credentials = self._settings, self._account.credentials
        secret = credentials.get(CLIENT_SECRET)
        form = {"client_id": settings.client_id}
        if secret:
            form["client_secret"] = _text(secret)
        refresh = _TOKENS.renewed(key) or credentials.get(REFRESH_TOKEN)
        if refresh:
            scopes = _SCOPES.format(graph=settings.graph_url)
            return form | {"grant_type": "refresh_token", "refresh_token": _text(refresh), "scope": scopes}
        if not secret:
            raise Unauthorized(
                f"{_called(self._account)} has no credential for Microsoft Graph",
                hint=f"Name {CLIENT_SECRET} or {REFRESH_TOKEN} under spec.connectors[].credentials.",
            )
        return form | {"grant_type": "client_credentials", "scope": f"{settings.graph_url}/.default"}


def document(answer: Answer) -> JsonObject:
    """The JSON object in an answer's body.

    Raises:
        SourceFailed: there is none.
    """
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise SourceFailed(f"{urlsplit(answer.url).hostname} answers {answer.status} with no JSON object")
    return found


def error_code(answer: Answer) -> str:
    """The code of a Graph error, the innermost one first in line; empty where there is none."""
    try:
        error = document(answer).get("error")
    except SourceFailed:
        return ""
    codes: list[str] = []
    while isinstance(error, dict) and len(codes) < 8:
        codes.append(text_at(error, "code") or "")
        error = error.get("innererror") or error.get("innerError")
    return " ".join(reversed([code for code in codes if code]))


def _error_word(issued: JsonObject) -> str:
    word = text_at(issued, "error") or "no token in the answer"
    return word if word.replace("_", "").replace(" ", "").isalnum() and len(word) < 64 else "refused"


def _called(account: Account) -> str:
    return f"{account.connector}/{account.name}" if account.name else account.connector


def _text(secret: bytes) -> str:
    return secret.decode("utf-8", "replace").strip()
