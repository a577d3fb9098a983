"""How an account at Microsoft Graph is configured, whatever is read of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import Field

from sensors.connectors.addresses import ServiceAddress
from sensors.connectors.pulling import ConnectorSettings

AUTHORITY: Final = "https://login.microsoftonline.com"
GRAPH: Final = "https://graph.microsoft.com"
CLIENT_SECRET: Final = "clientSecret"  # noqa: S105 - a name
REFRESH_TOKEN: Final = "refreshToken"  # noqa: S105 - a name
CREDENTIALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        CLIENT_SECRET: "secret of the app registration; alone, the app speaks for itself (application rights)",
        REFRESH_TOKEN: "refresh token of a person who let the app in (delegated rights); renewed as it is used",
    }
)


class GraphSettings(ConnectorSettings):
    """What names an app registration and where it is known."""

    tenant: str = Field(
        default="common",
        pattern=r"^[A-Za-z0-9.\-]{1,255}$",
        description="Directory (tenant) id or domain; `consumers` for personal accounts.",
    )
    client_id: str = Field(
        pattern=r"^[A-Za-z0-9\-]{1,255}$", description="Application (client) id of the registration."
    )
    authority_url: ServiceAddress = Field(default=AUTHORITY, description="Where tokens are issued.")
    graph_url: ServiceAddress = Field(
        default=GRAPH, description="Where Graph answers; national clouds have their own."
    )
    notifications: bool = Field(
        default=True, description="Keep a subscription that wakes the account; needs BATUTA_PUBLIC_URL."
    )

    def lacking(self, credentials: frozenset[str]) -> str | None:
        """See `ConnectorSettings.lacking`."""
        if credentials & CREDENTIALS.keys():
            return self._lacking_tenant(credentials)
        return (
            f"needs a credential: {CLIENT_SECRET} (application rights) or {REFRESH_TOKEN} (delegated rights)"
        )

    def _lacking_tenant(self, credentials: frozenset[str]) -> str | None:
        if REFRESH_TOKEN not in credentials and self.tenant in {"common", "consumers", "organizations"}:
            return f"settings.tenant must name the directory: {CLIENT_SECRET} alone works in one tenant only"
        return None
