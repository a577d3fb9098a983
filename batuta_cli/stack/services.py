"""The services of one installation: what is started, with what, and how to see that it answers."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from batuta.settings import Settings
from batuta_assets import sockets
from batuta_cli.stack import dagster_home, docs_site, probes


@dataclass(frozen=True)
class Service:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]
    answers: Callable[[], bool]
    after: tuple[str, ...] = ()
    grace_s: float = 10.0
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that a service will listen on, and the setting that moves it."""

    host: str
    port: int
    setting: str


def listeners(settings: Settings) -> tuple[Listener, ...]:
    """The ports that must be free before the services start."""
    return (
        Listener(settings.gateway_host, settings.gateway_port, "BATUTA_GATEWAY_PORT"),
        Listener("127.0.0.1", settings.dagster_port, "BATUTA_DAGSTER_PORT"),
        Listener("127.0.0.1", settings.docs_port, "BATUTA_DOCS_PORT"),
    )


def addresses(settings: Settings) -> dict[str, str]:
    """Where to look, once all answer."""
    return {
        "Dagster": f"http://127.0.0.1:{settings.dagster_port}",
        "Console": f"http://127.0.0.1:{settings.gateway_port}/console",
        "Gateway": f"http://{_reachable(settings.gateway_host)}:{settings.gateway_port}",
        "Data docs": f"http://127.0.0.1:{settings.docs_port}",
    }


def services(settings: Settings) -> tuple[Service, ...]:
    """The services, each after those it needs."""
    python = (sys.executable, "-m")
    socket = dagster_home.socket_path(settings.home)
    launcher = sockets.socket_path(settings.home, "launcher")
    workspace = str(dagster_home.workspace_path(settings.home))
    found = addresses(settings)
    dagster_port = settings.dagster_port
    bus = (Service("bus", (*python, "batuta_gateway.bus_landing"), lambda: True, grace_s=20.0),)
    return (
        *(bus if settings.bus is not None else ()),
        Service(
            "gateway",
            (*python, "batuta_gateway"),
            lambda: probes.http_ok(f"{found['Gateway']}/healthz"),
            grace_s=20.0,
        ),
        Service("ears", (*python, "sensors.pull.listener"), lambda: True),
        Service(
            "docs",
            (
                *(*python, "http.server", "--bind", "127.0.0.1"),
                *("--directory", str(docs_site.folder(settings)), str(settings.docs_port)),
            ),
            lambda: probes.http_ok(f"{found['Data docs']}/"),
        ),
        Service(
            "code",
            (
                *(*python, "dagster", "code-server", "start", "--socket", str(socket)),
                *(
                    "-m",
                    dagster_home.MODULE,
                    "--location-name",
                    dagster_home.LOCATION,
                    "--log-level",
                    "warning",
                ),
            ),
            lambda: probes.socket_answers(socket),
        ),
        Service(
            "webserver",
            (
                *(*python, "dagster_webserver", "-h", "127.0.0.1", "-p", str(dagster_port)),
                *("-w", workspace, "--dagster-log-level", "warning"),
            ),
            lambda: probes.code_problem(dagster_port) is None,
            after=("code",),
        ),
        Service(
            "daemon",
            (*python, "dagster._daemon", "run", "-w", workspace, "--log-level", "warning"),
            lambda: probes.sick_daemons(dagster_port) == [],
            after=("code",),
            grace_s=20.0,
        ),
        Service(
            "launcher",
            (*python, "batuta_assets.warm"),
            lambda: probes.socket_answers(launcher),
            after=("code",),
        ),
    )


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
