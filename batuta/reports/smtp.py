"""Sends one message over SMTP, as the address in `BATUTA_SMTP_URL` says.

`smtps://user:password@host:465`, `smtp://host:587?starttls=1`, `smtp://127.0.0.1:25`.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from batuta.errors import BatutaError

TIMEOUT_S: Final = 30.0
_PORTS: Final = {"smtp": 25, "smtps": 465}
_HINT: Final = (
    "Write BATUTA_SMTP_URL as smtp://user:password@host:587?starttls=1 or smtps://user:password@host:465."
)


class MailServerUnfit(BatutaError):
    """BATUTA_SMTP_URL cannot be understood."""


class MailNotSent(BatutaError):
    """The mail server did not take the message."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where and how to send."""

    host: str
    port: int
    tls: bool
    starttls: bool
    user: str | None
    password: str | None = field(repr=False)

    @classmethod
    def from_url(cls, url: str) -> MailServer:
        """Read an address.

        Raises:
            MailServerUnfit: the message never holds the password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise MailServerUnfit("BATUTA_SMTP_URL is no address", hint=_HINT) from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise MailServerUnfit("BATUTA_SMTP_URL is no address of a mail server", hint=_HINT)
        if bool(parts.username) != bool(parts.password):
            raise MailServerUnfit("BATUTA_SMTP_URL needs user and password, or neither", hint=_HINT)
        starttls = parse_qs(parts.query).get("starttls", ["0"])[-1] not in {"", "0", "false", "no"}
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            tls=parts.scheme == "smtps",
            starttls=starttls and parts.scheme == "smtp",
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )


def send(server: MailServer, message: EmailMessage, sender: str, recipients: Sequence[str]) -> int:
    """Hand a message to the server for all recipients.

    Returns:
        How many recipients the server refused; the others have it.

    Raises:
        MailNotSent: nobody has it; the message says why.
    """
    try:
        with _connect(server) as client:
            if server.starttls:
                client.starttls(context=ssl.create_default_context())
            if server.user is not None and server.password is not None:
                client.login(server.user, server.password)
            refused = client.send_message(message, from_addr=sender, to_addrs=list(recipients))
    except smtplib.SMTPAuthenticationError as error:
        raise MailNotSent(
            f"{server.host}:{server.port} refuses the user of BATUTA_SMTP_URL ({error.smtp_code})", hint=_HINT
        ) from error
    except smtplib.SMTPRecipientsRefused as error:
        raise MailNotSent(
            f"{server.host}:{server.port} refuses all {len(error.recipients)} recipients"
        ) from error
    except smtplib.SMTPException as error:
        code = getattr(error, "smtp_code", None)
        reason = f"code {code}" if code is not None else type(error).__name__
        raise MailNotSent(f"{server.host}:{server.port} did not take the mail ({reason})") from error
    except OSError as error:
        raise MailNotSent(
            f"{server.host}:{server.port} cannot be reached: {error.strerror or error}", hint=_HINT
        ) from error
    return len(refused)


def _connect(server: MailServer) -> smtplib.SMTP:
    if server.tls:
        return smtplib.SMTP_SSL(
            server.host, server.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
        )
    return smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
