"""What steps need while they run.

Settings, connections, the time. Looked up when a run starts, never at load.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from batuta.settings import Settings, get_settings
from batuta.warehouse.connection import Connection, Role, connect
from batuta.warehouse.database import embedded_server, quiet


class Runtime(dg.ConfigurableResource[None]):
    """The installation a run works in."""

    def settings(self) -> Settings:
        """The settings of this process."""
        return get_settings()

    def database_url(self) -> str:
        """The warehouse's address; starts the embedded server where there is one and it is down."""
        return warehouse_url(self.settings())

    def connect(self, role: Role) -> Connection:
        """A new connection to the warehouse in a role."""
        return connect(self.database_url(), role, application="batuta-dagster")

    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.now(UTC)


def warehouse_url(settings: Settings) -> str:
    """The configured database, else the embedded one, started if it is down."""
    return settings.database_url or embedded_server(settings).start(quiet)


def connector_to(role: Role) -> Callable[[], Connection]:
    """Opens connections in a role, reading the settings at each call: for sensors and schedules."""
    return lambda: Runtime().connect(role)
