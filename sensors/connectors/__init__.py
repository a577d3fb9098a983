"""One package per vendor: how its deliveries are verified and read. No Dagster, no database, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType, ModuleType
from typing import Final, cast

from pydantic import BaseModel, ValidationError

from batuta.errors import UsageError
from batuta.manifests.catalog import AccountForm
from batuta.manifests.models import ConnectorBinding
from sensors.connectors import email, events, github, notion, obsidian, onedrive, shopify, whatsapp
from sensors.connectors.protocol import Connector
from sensors.connectors.pulling import ConnectorSettings, Puller

CONNECTORS: Final[Mapping[str, Connector]] = MappingProxyType(
    {
        "shopify": shopify,
        "github": github,
        "email": email,
        "notion": notion,
        "obsidian": obsidian,
        "onedrive": onedrive,
        "whatsapp": whatsapp,
        "events": events,
    }
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


def is_sent_to(binding: ConnectorBinding, connector: Connector) -> bool:
    """Whether the vendor sends deliveries for an account with these settings; a mailbox over IMAP is sent nothing."""
    if not connector.PUSH:
        return False
    try:
        return _pushed(connector.SETTINGS.model_validate(binding.settings))
    except ValidationError:
        return True


@cache
def fetches(name: str) -> bool:
    """Whether the connector has a puller, without importing it."""
    return name in CONNECTORS and find_spec(f"{__name__}.{name}.pull") is not None


def puller(name: str) -> Puller | None:
    """The part of a connector that fetches, imported now; None where the vendor only sends."""
    return cast("Puller", import_module(f"{__name__}.{name}.pull")) if fetches(name) else None


def backfill_kind(name: str) -> str | None:
    """`window` or `scan`; None where the vendor gives nothing of the past.

    Raises:
        UsageError: no such connector.
    """
    return getattr(connector(name), "BACKFILL", None)


def learns(name: str) -> bool:
    """Whether the vendor chooses the secret it signs with, and tells it in a set-up window."""
    return getattr(CONNECTORS[name], "LEARNS", False)


def files(name: str) -> ModuleType | None:
    """The module that reads the connector's own files (`MessageFiles` or `StateFiles`); None where it has none."""
    module = f"{__name__}.{name}.files"
    return import_module(module) if name in CONNECTORS and find_spec(module) is not None else None


def account_forms() -> Mapping[str, AccountForm]:
    """What manifests may say of the accounts of each connector."""
    return {
        name: AccountForm(
            settings=module.SETTINGS,
            credentials=module.CREDENTIALS,
            push=module.PUSH,
            pull=fetches(name),
            pushed=_pushed,
            lacking=_lacking,
            misnamed=_misnamed,
        )
        for name, module in CONNECTORS.items()
    }


def _pushed(settings: BaseModel) -> bool:
    return not isinstance(settings, ConnectorSettings) or settings.pushed()


def _lacking(settings: BaseModel, credentials: frozenset[str]) -> str | None:
    return settings.lacking(credentials) if isinstance(settings, ConnectorSettings) else None


def _misnamed(settings: BaseModel, account: str | None, fetched: bool) -> str | None:
    return settings.misnamed(account, fetched=fetched) if isinstance(settings, ConnectorSettings) else None
