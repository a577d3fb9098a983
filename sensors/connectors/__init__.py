"""One package per vendor: how its deliveries are verified and read. No Dagster, no database, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from batuta.errors import UsageError
from sensors.connectors import events, github, shopify
from sensors.connectors.protocol import Connector

CONNECTORS: Final[Mapping[str, Connector]] = MappingProxyType(
    {"shopify": shopify, "github": github, "events": events}
)


def connector(name: str) -> Connector:
    """The connector of this name.

    Raises:
        UsageError: there is none; the hint lists those there are.
    """
    try:
        return CONNECTORS[name]
    except KeyError:
        raise UsageError(
            f'no connector "{name}"', hint=f"connectors: {', '.join(sorted(CONNECTORS))}"
        ) from None
