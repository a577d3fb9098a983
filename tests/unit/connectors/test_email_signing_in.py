"""Signing in to servers that refuse, throttle, talk nonsense or hang up; XOAUTH2 with a token that is renewed."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.vendors.serving import Served, form_of
from sensors.connectors import email
from sensors.connectors.email import imap as imap_session
from sensors.connectors.email.imap import Lost, Session
from sensors.connectors.email.signing_in import login_of
from sensors.connectors.pulling import Account, RateLimited, SourceFailed, Unauthorized
from tests.support.pulling import NOW, tools

NAME = "joao.silva@example.com"
Script = Callable[[bytes], bytes]


@contextmanager
def imap(script: Script, greeting: bytes = b"* OK ready\r\n") -> Iterator[int]:
    """A server that answers each line by a script; an empty answer hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        line, _ = listener.accept()
        with line, line.makefile("rb") as lines:
            line.sendall(greeting)
            while request := lines.readline():
                answer = script(request)
                if not answer:
                    return
                line.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def answering(capabilities: bytes, **answers: bytes) -> Script:
    """Answers by command; `%b` is the tag."""

    def script(request: bytes) -> bytes:
        tag, _, rest = request.strip().partition(b" ")
        command = rest.split()[0].decode().lower() if rest else ""
        if command == "capability":
            return b"* CAPABILITY IMAP4rev1 %b\r\n%b OK done\r\n" % (capabilities, tag)
        if command == "logout":
            return b"* BYE\r\n%b OK done\r\n" % tag
        answer = answers.get(command, b"%b BAD what\r\n")
        return answer % tag if b"%b" in answer else answer

    return script


def settings(port: int, **more: Any) -> email.EmailSettings:
    return email.SETTINGS(host="127.0.0.1", port=port, tls="none", user=NAME, **more)


def refused(script: Script, login: tuple[str, str] = ("password", "geheim"), **more: Any) -> SourceFailed:
    with imap(script, **more) as port, pytest.raises(SourceFailed) as failed:
        Session(settings(port), login, NOW)
    assert NAME not in str(failed.value)
    assert "geheim" not in str(failed.value)
    return failed.value


def test_a_wrong_password_is_unauthorized() -> None:
    error = refused(
        answering(b"", login=b"%b NO [AUTHENTICATIONFAILED] user " + NAME.encode() + b" unknown\r\n")
    )
    assert isinstance(error, Unauthorized)


def test_a_server_that_is_ill_is_not_a_wrong_password() -> None:
    error = refused(answering(b"", login=b"%b NO [UNAVAILABLE] Temporary authentication failure.\r\n"))
    assert not isinstance(error, Unauthorized)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        (b"NO Request is throttled. Suggested Backoff Time: 90000 milliseconds", timedelta(seconds=90)),
        (b"NO [LIMIT] Too many connections", timedelta(minutes=15)),
        (b"NO [ALERT] Too many simultaneous connections. (Failure)", timedelta(minutes=15)),
    ],
)
def test_a_server_that_wants_to_be_left_alone_is_left_alone(text: bytes, wait: timedelta) -> None:
    error = refused(answering(b"", login=b"%b " + text + b"\r\n"))
    assert isinstance(error, RateLimited)
    assert error.until == NOW + wait


def test_no_password_is_sent_where_the_server_takes_none() -> None:
    sent: list[bytes] = []
    answers = answering(b"LOGINDISABLED STARTTLS")

    def script(request: bytes) -> bytes:
        sent.append(request)
        return answers(request)

    assert "tls" in (refused(script).hint or "")
    assert not any(b"geheim" in line for line in sent)


@pytest.mark.parametrize(
    "greeting", [b"", b"\x16\x03\x01", b"220 smtp.example.com ESMTP\r\n", b"* BYE busy\r\n", b"* PREAUTH\r\n"]
)
def test_what_is_no_imap_server_is_said(greeting: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_session, "TIMEOUT_S", 0.5)
    refused(lambda request: b"", greeting=greeting)


def test_a_server_that_hangs_up_while_signing_in_is_lost() -> None:
    assert isinstance(refused(answering(b"", login=b"")), Lost)


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceFailed, match="cannot be reached"):
        Session(settings(port), ("password", "x"), NOW)


def test_xoauth2_sends_the_token_and_answers_a_refusal_with_nothing() -> None:
    answered: list[bytes] = []

    def script(request: bytes) -> bytes:
        if b"AUTHENTICATE" in request:
            answered.append(request.split()[0])
            return b"+ \r\n"
        if answered and b" " not in request:
            answered.append(request.strip())
            failure = base64.b64encode(b'{"status":"400"}')
            return b"+ " + failure + b"\r\n" if len(answered) == 2 else answered[0] + b" NO failed\r\n"
        return answering(b"AUTH=XOAUTH2")(request)

    error = refused(script, ("token", "tok"))
    assert isinstance(error, Unauthorized)
    assert base64.b64decode(answered[1]) == f"user={NAME}\x01auth=Bearer tok\x01\x01".encode()
    assert answered[2] == b""


@pytest.fixture
def issuer() -> Iterator[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    asked: list[dict[str, Any]] = []
    answer: dict[str, Any] = {"status": 200, "body": {"access_token": "tok", "refresh_token": "new"}}

    async def token(request: Request) -> Response:
        asked.append(await form_of(request))
        return JSONResponse(answer["body"], answer["status"])

    with Served(Starlette(routes=[Route("/token", token, methods=["POST"])])) as served:
        yield f"{served.url}/token", asked, answer


def oauth(url: str, **credentials: bytes) -> Account:
    form = email.SETTINGS(
        host="imap.example.com", user=NAME, auth="xoauth2", client_id="app", token_url=url, token_scope="mail"
    )
    return Account("arcsat", "email", "vendas", form, credentials)


def sign_in(account: Account, kept: dict[str, bytes]) -> tuple[str, str]:
    assert isinstance(account.settings, email.EmailSettings)
    means = tools(kept=kept)
    return login_of(account, account.settings, means.calls, means.keep_secret)


def test_a_refresh_token_is_turned_into_access_and_its_successor_is_kept(
    issuer: tuple[str, list[dict[str, Any]], dict[str, Any]],
) -> None:
    url, asked, _ = issuer
    kept: dict[str, bytes] = {}
    assert sign_in(oauth(url, refreshToken=b"old\n", clientSecret=b"s"), kept) == ("token", "tok")
    assert kept == {"refreshToken": b"new"}
    assert asked[0] == {
        "grant_type": "refresh_token",
        "refresh_token": "old",
        "client_id": "app",
        "client_secret": "s",
        "scope": "mail",
    }


def test_an_app_may_sign_in_for_itself(issuer: tuple[str, list[dict[str, Any]], dict[str, Any]]) -> None:
    url, asked, _ = issuer
    kept: dict[str, bytes] = {}
    sign_in(oauth(url, clientSecret=b"s"), kept)
    assert asked[0]["grant_type"] == "client_credentials"
    assert kept == {}


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, {"error": "invalid_grant"}), (401, {}), (200, {}), (200, []), (200, {"access_token": 1})],
)
def test_a_refresh_token_that_is_used_up_is_unauthorized(
    issuer: tuple[str, list[dict[str, Any]], dict[str, Any]], status: int, body: Any
) -> None:
    url, _, answer = issuer
    answer.update(status=status, body=body)
    with pytest.raises(Unauthorized) as failed:
        sign_in(oauth(url, refreshToken=b"old-secret"), {})
    assert "old-secret" not in str(failed.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": "imap.example.com"},
        {"host": "imap.example.com", "user": "x", "tls": "none"},
        {"host": "imap.example.com", "user": "a\r\nb"},
        {"host": "im ap", "user": "x"},
        {"host": "imap.example.com", "user": "x", "token_url": "http://tokens.example.com"},
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        email.SETTINGS(**given)


def test_settings_say_which_credential_is_lacking() -> None:
    plain = email.SETTINGS(host="imap.example.com", user="x")
    token = email.SETTINGS(host="imap.example.com", user="x", auth="xoauth2", client_id="app")
    assert "password" in (plain.lacking(frozenset()) or "")
    assert plain.lacking(frozenset({"password"})) is None
    assert "refreshToken" in (token.lacking(frozenset({"password"})) or "")
    assert token.lacking(frozenset({"refreshToken"})) is None
