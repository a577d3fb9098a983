"""Who may deliver what: products and their connectors from the applied bundle, with their secrets.

The bundle and the secrets folder are looked at before each request and read again when they have changed,
so that `batuta apply` and a rotated secret need no restart. A bundle that cannot be read leaves the doors
as they were.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from batuta.errors import BatutaError
from batuta.manifests.bundle import bundle_path, read_bundle
from batuta.manifests.graph import CompiledGraph, CompiledProduct
from batuta.manifests.models import ConnectorBinding
from batuta.secrets import SecretMissing, find_secrets, resolve_secret
from batuta.settings import Settings
from batuta.telemetry import get_logger
from sensors.connectors import CONNECTORS, is_sent_to
from sensors.connectors.protocol import Asked, Connector, Reply

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """One connector of one product: what may come in, and who has to sign for it.

    Attributes:
        product: Whose door it is.
        connector: Reads what comes in.
        account: As the manifest names it.
        secrets: Any of them may have signed a delivery.
        credentials: By name; a handshake may ask for them.
        accepts_unsigned: In development only.
        secret_file: File in the secrets folder for a secret that the vendor chooses in a handshake.
    """

    product: str
    connector: Connector
    account: str | None
    secrets: tuple[bytes, ...] = field(repr=False)
    credentials: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    accepts_unsigned: bool = False
    secret_file: str | None = None

    def accepted_status(self, *, on_bus: bool) -> int:
        """What this vendor wants to hear once its delivery is safe (`ACCEPTED` of the connector)."""
        return getattr(self.connector, "ACCEPTED", 202 if on_bus else 200)

    @property
    def max_body_bytes(self) -> int | None:
        """The vendor's own limit of a delivery, where it names one (`MAX_BODY_BYTES` of the connector)."""
        return getattr(self.connector, "MAX_BODY_BYTES", None)

    @property
    def handshake(self) -> Callable[[Asked, Mapping[str, bytes]], Reply | None] | None:
        """How the connector answers a vendor that makes sure of an address, where that vendor does."""
        return getattr(self.connector, "handshake", None)


@dataclass(frozen=True, slots=True)
class Doors:
    """All doors of a bundle."""

    graph: CompiledGraph
    by_address: Mapping[tuple[str, str], tuple[Door, ...]]

    def find(self, product: str, connector: str, account: str | None) -> Door | None:
        """The door at an address; an account may be left out where the product has a single door."""
        doors = self.by_address.get((product, connector), ())
        if account is None:
            return doors[0] if len(doors) == 1 else None
        for door in doors:
            if door.account is not None and door.connector.same_account(door.account, account):
                return door
        return None

    def of_connector(self, connector: str) -> tuple[Door, ...]:
        """Every product's doors for one connector."""
        return tuple(
            door for (_, name), doors in self.by_address.items() if name == connector for door in doors
        )


NO_DOORS: Final = Doors(CompiledGraph(), {})


class Entrance:
    """The doors as they are now."""

    def __init__(self, settings: Settings, applied: Callable[[], None]) -> None:
        """`applied` is called when there is a new bundle, and may raise BatutaError."""
        self._settings = settings
        self._applied = applied
        self._bundle = bundle_path(settings.home)
        # As texts: they are looked at before every request.
        self._watched = (str(self._bundle), str(settings.secrets_dir))
        self._seen: tuple[object, ...] | None = None
        self._doors = NO_DOORS
        self._looked = False

    def doors(self) -> Doors:
        """The doors of the bundle in force; requests that come at one moment share one look."""
        if self._looked:
            return self._doors
        stamp = tuple(_stamp(path) for path in self._watched)
        if stamp != self._seen:
            self._seen = stamp
            self._reload()
        try:
            asyncio.get_running_loop().call_soon(self._moment_over)
        except RuntimeError:
            return self._doors
        self._looked = True
        return self._doors

    def _moment_over(self) -> None:
        self._looked = False

    def look_again(self) -> None:
        """Read bundle and secrets anew at the next request, whatever their files' times say."""
        self._seen = None
        self._looked = False

    def _reload(self) -> None:
        try:
            graph = read_bundle(self._bundle)
            self._applied()
        except BatutaError as error:
            _log.warning(
                "bundle not read",
                reason=error.message,
                hint=error.hint,
                products=len(self._doors.graph.products),
            )
            return
        self._doors = open_doors(graph, self._settings)
        _log.info(
            "doors open", bundle=graph.digest, products=len(graph.products), doors=len(self._doors.by_address)
        )


def open_doors(graph: CompiledGraph, settings: Settings) -> Doors:
    """The doors of a compiled graph; the log says which stay closed because nothing here can serve them."""
    doors: dict[tuple[str, str], tuple[Door, ...]] = {}
    for product in graph.products:
        for index, binding in enumerate(product.connectors):
            connector = CONNECTORS.get(binding.type)
            if connector is None:
                _log.warning(
                    "connector is not served by the gateway", product=product.name, connector=binding.type
                )
                continue
            if not is_sent_to(binding, connector):
                continue
            address = (product.name, binding.type)
            door = _door(product, index, binding, connector, settings)
            doors[address] = (*doors.get(address, ()), door)
    return Doors(graph, doors)


def _door(
    product: CompiledProduct, index: int, binding: ConnectorBinding, connector: Connector, settings: Settings
) -> Door:
    where = f"Product {product.name}: spec.connectors[{index}]"
    accepts_unsigned = binding.allow_unsigned and settings.environment == "development"
    secrets = find_secrets(binding.secret_refs, settings, where=f"{where}.secretRefs")
    for missing in secrets.missing:
        what = "a secret is missing" if secrets.values else "deliveries are refused: secret missing"
        _log.error(what, reason=missing.message, hint=missing.hint)
    if not binding.secret_refs and not accepts_unsigned:
        _log.error("deliveries are refused: no secret configured", where=f"{where}.secretRefs")
    return Door(
        product.name,
        connector,
        binding.account,
        secrets.values,
        _credentials(binding, settings, where),
        accepts_unsigned,
        binding.secret_refs[0].file if binding.secret_refs else None,
    )


def _credentials(binding: ConnectorBinding, settings: Settings, where: str) -> dict[str, bytes]:
    """Those that are there; one that is missing is said, and costs only the handshake that needs it."""
    found: dict[str, bytes] = {}
    for name, ref in binding.credentials.items():
        try:
            found[name] = resolve_secret(ref, settings, where=f"{where}.credentials.{name}")
        except SecretMissing as error:
            _log.warning("credential missing", reason=error.message, hint=error.hint)
    return found


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - half the time of Path.stat
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
