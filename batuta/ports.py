"""Who listens where on this machine."""

import socket
from dataclasses import dataclass

from batuta.errors import BatutaError


class PortTaken(BatutaError):
    """Another program listens on a port that BATUTA wants."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The program that holds a port; pid and name are unknown when it belongs to another user."""

    pid: int | None
    name: str | None

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid else "another program"


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on `host`:`port` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def holder(port: int) -> Holder:
    """The program that holds `port`."""
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return Holder(None, None)
    # A port may also be held as the near end of an outgoing connection; who listens comes first.
    held = [each for each in connections if each.laddr and each.laddr.port == port and each.pid is not None]
    held.sort(key=lambda each: each.status != psutil.CONN_LISTEN)
    for connection in held:
        try:
            return Holder(connection.pid, psutil.Process(connection.pid).name())
        except psutil.NoSuchProcess:
            continue
    return Holder(None, None)


def require_free(host: str, port: int, setting: str) -> None:
    """Refuse when something already listens on `host`:`port`.

    Raises:
        PortTaken: the message names the program, the hint the setting to change.
    """
    if not is_free(host, port):
        raise PortTaken(
            f"port {port} is taken by {holder(port)}", hint=f"Stop it, or choose another port with {setting}."
        )
