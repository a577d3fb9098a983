"""What only this machine's user may ask for: over the loopback interface, named as such, through no proxy.

Until OIDC is there, a token in the secrets folder proves the user. It is made once and readable by its
owner alone.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
from pathlib import Path
from typing import Final

from starlette.requests import Request

from batuta.errors import BatutaError
from batuta_gateway.answers import Refusal, not_found

TOKEN_FILE: Final = "local-token"  # noqa: S105 - the name of its file
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PROXY_HEADERS: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class LocalTokenUnusable(BatutaError):
    """The local token can be neither read nor made."""


def local_token(secrets_dir: Path) -> str:
    """The local token; made if there is none.

    Raises:
        LocalTokenUnusable: the secrets folder cannot be read or written.
    """
    path = secrets_dir / TOKEN_FILE
    try:
        secrets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32))
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise LocalTokenUnusable(
            f"the local token {path} cannot be used: {error.strerror}",
            hint="mend the rights of the secrets folder",
        ) from error
    if not token:
        raise LocalTokenUnusable(f"the local token {path} is empty", hint="delete the file; it is made anew")
    return token


def require_loopback(request: Request) -> None:
    """Refuse what does not come straight from this machine: to anybody else the address does not exist.

    The Host header must name this machine too, or a web page could reach here through a name of its own.

    Raises:
        Refusal: 404.
    """
    host = request.headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    proxied = any(header in request.headers for header in _PROXY_HEADERS)
    if proxied or name not in _LOCAL_NAMES or request.client is None or not _is_loopback(request.client.host):
        raise not_found()


def require_token(request: Request, token: str) -> None:
    """Check `Authorization: Bearer` against the local token.

    Raises:
        Refusal: 401.
    """
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    given = hashlib.sha256(presented.strip().encode("utf-8", "replace")).digest()
    matches = hmac.compare_digest(given, hashlib.sha256(token.encode()).digest())
    if scheme.lower() != "bearer" or not matches:
        raise Refusal(
            401,
            "unauthorized",
            f"send Authorization: Bearer with the token in {TOKEN_FILE} of the secrets folder",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
