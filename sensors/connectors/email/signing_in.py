"""What a mailbox is signed in to with: a password, or an access token made from a refresh token (XOAUTH2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import orjson

from sensors.connectors.email.imap import Login
from sensors.connectors.email.settings import PASSWORD, EmailSettings
from sensors.connectors.graph.settings import CLIENT_SECRET, REFRESH_TOKEN
from sensors.connectors.pulling import Account, Calls, Unauthorized

_LARGEST_TOKEN: Final = 1024 * 1024


def login_of(
    account: Account,
    settings: EmailSettings,
    calls: Calls,
    keep_secret: Callable[[str, bytes], None],
) -> Login:
    """The password, or a fresh access token; a refresh token that comes with it is kept in place of the old one.

    Raises:
        Unauthorized: the credential is missing, or no token is issued for it.
        RateLimited, SourceFailed: as `Calls.request`.
    """
    if settings.auth == "password":
        return "password", _text(account, PASSWORD)
    answer = calls.request(
        "POST",
        settings.token_url,
        form=_grant(account, settings),
        expect=(200, 400, 401),
        max_bytes=_LARGEST_TOKEN,
    )
    try:
        issued = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        issued = None
    token = issued.get("access_token") if isinstance(issued, dict) else None
    if answer.status != 200 or not isinstance(issued, dict) or not isinstance(token, str) or not token:
        raise Unauthorized(
            "no access token is issued for the mailbox",
            hint="Let the person sign in again for a new refreshToken; look at clientId, tokenUrl and tokenScope.",
        )
    renewed = issued.get("refresh_token")
    if isinstance(renewed, str) and renewed and REFRESH_TOKEN in account.credentials:
        keep_secret(REFRESH_TOKEN, renewed.encode())
    return "token", token


def _grant(account: Account, settings: EmailSettings) -> dict[str, str]:
    form = {"client_id": settings.client_id}
    if settings.token_scope:
        form["scope"] = settings.token_scope
    if CLIENT_SECRET in account.credentials:
        form["client_secret"] = _text(account, CLIENT_SECRET)
    if REFRESH_TOKEN in account.credentials:
        return form | {"grant_type": "refresh_token", "refresh_token": _text(account, REFRESH_TOKEN)}
    if CLIENT_SECRET not in account.credentials:
        raise Unauthorized(
            "the mailbox has no credential to ask for a token with",
            hint=f"Name {REFRESH_TOKEN} or {CLIENT_SECRET} under spec.connectors[].credentials.",
        )
    return form | {"grant_type": "client_credentials"}


def _text(account: Account, name: str) -> str:
    secret = account.credentials.get(name)
    try:
        text = secret.decode().rstrip("\r\n") if secret is not None else ""
    except UnicodeDecodeError:
        text = ""
    if not text or "\x00" in text:
        raise Unauthorized(
            f"the credential {name} of the mailbox is missing, or no text",
            hint=f"Name {name} under spec.connectors[].credentials.",
        )
    return text
