"""How a mailbox is configured: over IMAP, or over Microsoft Graph."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from sensors.connectors.addresses import ServiceAddress, on_this_machine
from sensors.connectors.graph.settings import CLIENT_SECRET, REFRESH_TOKEN, GraphSettings
from sensors.connectors.graph.settings import CREDENTIALS as GRAPH_CREDENTIALS

PASSWORD: Final = "password"  # noqa: S105 - a name
ALL: Final = "all"
CREDENTIALS: Final[Mapping[str, str]] = MappingProxyType(
    {PASSWORD: "password of the mailbox, or one for this application alone (IMAP)", **GRAPH_CREDENTIALS}
)

_MIB: Final = 1024 * 1024
_PORTS: Final = {"ssl": 993, "starttls": 143, "none": 143}
_GOOGLE_TOKENS: Final = "https://oauth2.googleapis.com/token"

Folder = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


def _all_or_list(value: object) -> str | None:
    if value == ALL:
        return ALL
    return "list" if isinstance(value, list | tuple) else None


Folders = Annotated[
    Annotated[Literal["all"], Tag(ALL)] | Annotated[tuple[Folder, ...], Tag("list")],
    Discriminator(
        _all_or_list, custom_error_type="folders", custom_error_message="must be a list of folders, or all"
    ),
]
Tls = Literal["ssl", "starttls", "none"]


class EmailSettings(GraphSettings):
    """Which mailbox is read, and how. What begins with IMAP is for `kind: imap` only."""

    kind: Literal["imap", "graph"] = Field(
        default="imap", description="imap: any IMAP server; graph: Microsoft 365 without IMAP."
    )
    client_id: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._\-]{0,255}$",
        description="Client id of the app registration: for Graph, and for IMAP with auth xoauth2.",
    )
    host: str = Field(default="", pattern=r"^[A-Za-z0-9.\-:]{0,253}$", description="IMAP: the server.")
    port: int | None = Field(default=None, ge=1, le=65_535, description="IMAP: 993 with ssl, else 143.")
    tls: Tls = Field(default="ssl", description="IMAP: ssl, starttls, or none (this machine only).")
    user: str = Field(default="", max_length=320, description="IMAP: the user's name at the server.")
    auth: Literal["password", "xoauth2"] = Field(
        default="password", description="IMAP: how the user signs in; Google and Microsoft 365 want xoauth2."
    )
    token_url: ServiceAddress = Field(
        default=_GOOGLE_TOKENS, description="IMAP: where access tokens are issued, with auth xoauth2."
    )
    token_scope: str = Field(default="", max_length=1000, description="IMAP: scope to ask for, if any.")
    folders: Folders = Field(default=("INBOX",), description="Names of folders, or all.")
    since: date | None = Field(
        default=None, description="IMAP: polls leave out mail the server received before this day."
    )
    max_message_bytes: int = Field(
        default=25 * _MIB, ge=1024, le=100 * _MIB, description="Of larger mail the headers are read only."
    )
    keep_attachments: bool = Field(default=True, description="Keep attachments by the hash of their content.")
    trusted_server: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._\-]{1,253}$",
        description="Authserv-id of the own mail server: its Authentication-Results count.",
    )
    poll_seconds: int = Field(default=300, ge=10, le=86_400, description="Seconds between two polls.")

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.kind == "graph":
            return self
        if not self.host or not self.user:
            raise ValueError("kind imap needs host and user")
        if any(ord(c) < 32 or ord(c) == 127 for c in self.user):
            raise ValueError("user must not contain control characters")
        if self.tls == "none" and not on_this_machine(self.host):
            raise ValueError("tls none sends the password in clear: only to this machine (127.0.0.1)")
        return self

    @property
    def imap_port(self) -> int:
        """The port to connect to."""
        return self.port or _PORTS[self.tls]

    def pushed(self) -> bool:
        """See `ConnectorSettings.pushed`: IMAP sends nothing."""
        return self.kind == "graph"

    def lacking(self, credentials: frozenset[str]) -> str | None:
        """See `ConnectorSettings.lacking`."""
        if self.kind == "graph":
            return super().lacking(credentials) if self.client_id else "kind graph needs settings.clientId"
        if self.auth == "password":
            return None if PASSWORD in credentials else f"needs the credential {PASSWORD}"
        if not self.client_id:
            return "auth xoauth2 needs settings.clientId"
        if not {REFRESH_TOKEN, CLIENT_SECRET} & credentials:
            return f"auth xoauth2 needs the credential {REFRESH_TOKEN} or {CLIENT_SECRET}"
        return None
