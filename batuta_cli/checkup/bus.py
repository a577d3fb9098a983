"""Check of the bus between gateway and landing, where there is one."""

from typing import Final

from batuta.settings import Settings
from batuta_cli.checkup.finding import Finding, note, ok, problem

ANSWER_S: Final = 5.0
MEND: Final = (
    "Start the brokers or correct BATUTA_BUS; without BATUTA_BUS the gateway lands what it is sent itself."
)


def brokers(settings: Settings) -> Finding:
    """A broker answers, and has the topic."""
    if settings.bus is None:
        return ok("bus", "not needed: BATUTA_BUS is not set")
    # Takes a while, and few have a bus.
    from batuta.bus.address import BusAddress
    from batuta.bus.brokers import Unreachable, topics

    address = BusAddress.of(settings.bus.get_secret_value())
    try:
        found = topics(address, ANSWER_S)
    except Unreachable as error:
        return problem("bus", f"no broker of BATUTA_BUS answers at {address.brokers}: {error}", MEND)
    if address.topic not in found:
        return note("bus", f"{address.brokers} answers; the topic {address.topic} is not there yet")
    return ok("bus", f"{address.brokers} answers, with the topic {address.topic}")
