"""What steps need while they run.

Settings, connections, the time. Looked up when a run starts, never at load.
"""

from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any, TypeVar

import dagster as dg
from pydantic import PrivateAttr

from batuta.settings import Settings, get_settings
from batuta.warehouse.connection import Connection, Role, connect

T = TypeVar("T")


class Runtime(dg.ConfigurableResource[None]):
    """The installation a run works in."""

    _known: dict[Hashable, Any] = PrivateAttr(default_factory=dict[Hashable, Any])

    def settings(self) -> Settings:
        """The settings of this process."""
        return get_settings()

    def database_url(self) -> str:
        """The warehouse's address; starts the embedded server where there is one and it is down."""
        return warehouse_url(self.settings())

    def connect(self, role: Role) -> Connection:
        """A new connection to the warehouse in a role."""
        return connect(self.database_url(), role, application="batuta-dagster")

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once per key: for what several steps of one run ask."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.now(UTC)


def warehouse_url(settings: Settings) -> str:
    """The configured database, else the embedded one, started if it is down."""
    from batuta.warehouse.database import embedded_server, quiet

    return settings.database_url or embedded_server(settings).start(quiet)


def connector_to(role: Role) -> Callable[[], Connection]:
    """Opens connections in a role, reading the settings at each call: for sensors and schedules."""
    return lambda: Runtime().connect(role)
