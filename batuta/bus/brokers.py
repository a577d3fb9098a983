"""What librdkafka says of the brokers: a sentence when none can be reached, another when one can be again.

Left to itself it writes a line to standard error for each attempt to connect, twenty a second. What clients do with
the brokers is none of this module's business.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from batuta.bus.address import BusAddress
from batuta.telemetry import get_logger

_log = get_logger(__name__)

_LOOK_MS: Final = 5_000
_LOG_ERRORS: Final = 3
_ALL_DOWN: Final = "_ALL_BROKERS_DOWN"
_OF_ONE_CONNECTION: Final = ("_TRANSPORT", "_RESOLVE", "_SSL", "_AUTHENTICATION", "_TIMED_OUT")


class Unreachable(Exception):
    """No broker of the bus can be reached; the message says why."""


class BrokerWatch:
    """Hears what one client of librdkafka says of its brokers; called only while that client polls."""

    def __init__(self, address: BusAddress) -> None:
        self._brokers = address.brokers
        self._away = False
        self._reason = ""

    def settings(self) -> dict[str, Any]:
        """How the client is to tell it."""
        return {
            "logger": self,
            "log_level": _LOG_ERRORS,
            "error_cb": self.failed,
            "stats_cb": self.looked,
            "statistics.interval.ms": _LOOK_MS,
        }

    def log(self, _level: int, _format: str, facility: str, _client: str, text: str) -> None:
        """A line of librdkafka's own; failed connections come to `failed` too."""
        if facility == "FAIL":
            _log.debug("connection to the bus failed", reason=text)
        else:
            _log.warning("bus in trouble", reason=text)

    def failed(self, error: KafkaError) -> None:
        """A connection failed, or with `_ALL_DOWN` the last there was: told once, until one is there again."""
        if error.name() in _OF_ONE_CONNECTION:
            self._reason = error.str()
        elif error.name() != _ALL_DOWN:
            _log.warning("bus in trouble", reason=error.name())
        elif not self._away:
            self._away = True
            _log.warning(
                "no broker of BATUTA_BUS can be reached; tried again until one can",
                brokers=self._brokers,
                reason=self._reason or error.str(),
            )

    def looked(self, statistics: str) -> None:
        """How the connections are now, every few seconds."""
        if self._away and any(one["state"] == "UP" for one in orjson.loads(statistics)["brokers"].values()):
            self._away, self._reason = False, ""
            _log.info("a broker of BATUTA_BUS can be reached again", brokers=self._brokers)


def topics(address: BusAddress, seconds: float) -> frozenset[str]:
    """The topics that the brokers have.

    Raises:
        Unreachable: none answered within so many seconds, or the settings of the address cannot be used.
    """
    failures: list[KafkaError] = []
    settings: dict[str, Any] = {"client.id": "batuta-doctor", "log_level": 0, "error_cb": failures.append}
    try:
        client = AdminClient(address.connection() | settings)
    except KafkaException as error:
        raise Unreachable(error.args[0].str()) from None
    try:
        return frozenset(client.list_topics(timeout=seconds).topics)
    except KafkaException as error:
        client.poll(0)
        told = [one for one in failures if one.name() in _OF_ONE_CONNECTION] or [error.args[0]]
        raise Unreachable(told[-1].str()) from None
