"""The example company in a database: its generated deliveries through the real landing path, as the demo does it."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from batuta.contracts.contract import Contracts
from batuta.keys import KeyRing, create_keys
from batuta.landing.land import Landing
from batuta.landing.model import Delivery, LandingCounts, Parsed, Rejected
from batuta.policy.decision import DefaultPolicy
from batuta.warehouse.connection import connect
from examples.arcsat.generate import SECRETS, File, Manifest
from sensors.connectors import connector
from sensors.connectors.protocol import Unverified

KEYS = {name: f"signing key of {name}".encode() for name in SECRETS}
LAST_DAY = date(2025, 11, 12)
LANDED_AT = datetime(2025, 11, 13, 8, 30, tzinfo=UTC)


def clock() -> datetime:
    """The morning after the last day."""
    return LANDED_AT


def open_landing(home: Path) -> Landing:
    """Landing with keys of its own in `home`."""
    if not (home / "keys").exists():
        create_keys(home)
    return Landing(Contracts.load(), DefaultPolicy(), KeyRing.load(home), clock)


def deliveries(folder: Path, file: File) -> Iterator[Delivery]:
    """The deliveries of one generated file, in order of arrival."""
    with (folder / file.path).open("rb") as lines:
        for line in lines:
            yield _delivery(file, line)


def _delivery(file: File, line: bytes) -> Delivery:
    headers: dict[str, str] = {}
    body = line.rstrip(b"\n")
    if file.connector != "events":
        captured = json.loads(line)
        headers = {name.lower(): value for name, value in captured["headers"].items()}
        encoded = captured.get("body_base64")
        body = base64.b64decode(encoded) if encoded else captured["body"].encode()
    return Delivery(file.product, file.connector, None, headers, body, LANDED_AT)


def as_they_came(found: Iterable[Delivery]) -> Iterable[Delivery]:
    """All deliveries in order of arrival."""
    return found


def land_file(
    url: str,
    landing: Landing,
    folder: Path,
    file: File,
    arrange: Callable[[Iterable[Delivery]], Iterable[Delivery]] = as_they_came,
) -> LandingCounts:
    """Land one generated file, or what `arrange` makes of it; what its vendor did not sign goes to quarantine."""
    speaker = connector(file.connector)

    def read(delivery: Delivery) -> Parsed:
        if file.connector != "events":
            try:
                speaker.verify(delivery, [KEYS[f"{file.product}-{file.connector}"]])
            except Unverified as error:
                raise Rejected("signature", error.message) from error
        return speaker.parse(delivery)

    with connect(url, "writer") as connection:
        return landing.land(connection, arrange(deliveries(folder, file)), read, way="file")


def land_example(url: str, home: Path, folder: Path, manifest: Manifest) -> dict[str, LandingCounts]:
    """Land everything that was generated; what became of each file."""
    landing = open_landing(home)
    return {file.path: land_file(url, landing, folder, file) for file in manifest.files}


def register(url: str, manifest: Manifest) -> None:
    """What `batuta apply` tells the models of the products, with the example's last day as horizon."""
    with connect(url, "writer") as connection:
        for product in dict.fromkeys(file.product for file in manifest.files):
            connection.execute(
                "insert into batuta.products (product, currency, timezone, locale, applied_at) "
                "values (%s, 'BRL', 'America/Sao_Paulo', 'pt-BR', %s)",
                (product, LANDED_AT),
            )
            connection.execute(
                "insert into batuta.horizons (product, as_of) values (%s, %s)", (product, LAST_DAY)
            )
