"""`python -m batuta_gateway.bus_landing`: the process that lands what gateways have put on the bus."""

from __future__ import annotations

import signal
import sys
import threading
from functools import partial

from batuta.bus.address import BusAddress
from batuta.bus.consumer import BusConsumer
from batuta.errors import BatutaError, UsageError
from batuta.landing.land import Landing
from batuta.manifests.bundle import bundle_path
from batuta.settings import Settings, get_settings
from batuta.telemetry import configure_logging, get_logger
from batuta.warehouse.connection import Connection, connect
from batuta.warehouse.database import embedded_server
from batuta_gateway.app import utc_now
from sensors.connectors import events

_log = get_logger(__name__)


class LandingInForce:
    """Landing with the contracts of the bundle that is applied now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bundle = bundle_path(settings.home)
        self._landing = Landing.open(settings, utc_now)
        self._seen = self._stamp()

    def __call__(self) -> Landing:
        """The landing; a bundle that cannot be used leaves it as it was."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._landing = Landing.open(self._settings, utc_now)
            except BatutaError as error:
                _log.warning("bundle not read", reason=error.message, hint=error.hint)
        return self._landing

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._bundle.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def serve(settings: Settings, stop: threading.Event) -> None:
    """Land until told to stop.

    Raises:
        UsageError: no bus is set.
        BatutaError: the master keys or contracts cannot be used.
    """
    if settings.bus is None:
        raise UsageError("BATUTA_BUS is not set", hint="Set it to kafka://host:9092/topic.")
    landing = LandingInForce(settings)
    address = BusAddress.of(settings.bus.get_secret_value())
    consumer = BusConsumer(address, landing, partial(_connect, settings), events.parse, utc_now)
    consumer.run(stop)


def _connect(settings: Settings) -> Connection:
    url = settings.database_url or embedded_server(settings).url()
    return connect(url, "writer", application="batuta-bus")


def main() -> int:
    """Land with the settings of the environment; problems are sentences."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = get_settings()
        configure_logging(settings)
        serve(settings, stop)
    except BatutaError as error:
        print(error.message, file=sys.stderr)  # noqa: T201
        if error.hint:
            print(error.hint, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
