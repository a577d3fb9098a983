"""Starts the services, watches them, starts again what dies, and stops all of them.

Each service leads a session of its own, so that Ctrl-C reaches only the supervisor and a stop reaches what
the service itself started. The database is not a child: it outlives a killed supervisor, and is looked after here.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from batuta.errors import BatutaError
from batuta_cli.stack.services import Service
from batuta_cli.stack.state import MARK, end, marked

START_TIMEOUT_S = 300.0
START_ATTEMPTS = 3
POLL_S = 0.25
WATCH_S = 1.0
STEADY_S = 60.0
LONGEST_PAUSE_S = 30.0
LOG_LIMIT_BYTES = 10_000_000

Say = Callable[[str], None]


class ServiceFailed(BatutaError):
    """A service did not come up."""


@dataclass
class Child:
    """A service and its process."""

    service: Service
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    start_not_before: float = 0.0
    ready: bool = False

    def exit_code(self) -> int | None:
        """Exit code when the process has ended, else None."""
        return None if self.process is None else self.process.poll()


@dataclass
class Supervisor:
    """The services of one home and their processes."""

    home: Path
    folder: Path
    environment: Mapping[str, str]
    services: Sequence[Service]
    say: Say
    stopping: Callable[[], bool]
    children: dict[str, Child] = field(init=False)

    def __post_init__(self) -> None:
        self.children = {service.name: Child(service) for service in self.services}

    def pids(self) -> dict[str, int]:
        """Process id of each service that runs."""
        return {
            name: c.process.pid for name, c in self.children.items() if c.process and c.exit_code() is None
        }

    def start(self) -> None:
        """Start every service and wait until each answers.

        Raises:
            ServiceFailed: one died repeatedly or did not answer in time; the end of its log is in the message.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.stopping():
            waiting = [child for child in self.children.values() if not child.ready]
            if not waiting:
                return
            for child in waiting:
                self._advance(child)
            if time.monotonic() > deadline:
                names = ", ".join(child.service.name for child in waiting)
                raise ServiceFailed(
                    f"no answer from {names} within {START_TIMEOUT_S:.0f} s",
                    hint=f"See the logs in {self.home / 'logs'}.",
                )
            time.sleep(POLL_S)

    def watch(self) -> None:
        """Look after the services once: what has died is started again, later each time."""
        now = time.monotonic()
        for child in self.children.values():
            code = child.exit_code()
            if child.process is not None and code is not None:
                self._bury(child, code, now)
            if child.process is None and now >= child.start_not_before:
                self._spawn(child)

    def stop(self) -> None:
        """Stop every service, with all that it started, and every run that was launched."""
        self.say("stopping")
        running = [child for child in self.children.values() if child.process is not None]
        for child in running:
            _signal_group(child, signal.SIGTERM)
        deadline = {child.service.name: time.monotonic() + child.service.grace_s for child in running}
        while alive := [child for child in running if child.exit_code() is None]:
            for child in alive:
                if time.monotonic() > deadline[child.service.name]:
                    _signal_group(child, signal.SIGKILL)
            time.sleep(0.1)
        end(marked(self.home), grace_s=10.0)

    def _advance(self, child: Child) -> None:
        if child.process is None:
            if all(self.children[name].ready for name in child.service.after):
                self._spawn(child)
            return
        code = child.exit_code()
        if code is not None:
            child.deaths += 1
            if child.deaths >= START_ATTEMPTS:
                raise ServiceFailed(
                    f"{child.service.name} ended with exit code {code}: {self._last_words(child)}",
                    hint=f"See {self._log(child)}.",
                )
            child.process = None
            return
        child.ready = child.service.answers()
        if child.ready:
            self.say(f"{child.service.name} is up")

    def _bury(self, child: Child, code: int, now: float) -> None:
        _signal_group(child, signal.SIGKILL)
        child.deaths = 1 if now - child.started_at > STEADY_S else child.deaths + 1
        pause = min(2.0 ** (child.deaths - 1), LONGEST_PAUSE_S)
        child.process = None
        child.start_not_before = now + pause
        self.say(f"{child.service.name} ended ({_how(code)}); starting it again in {pause:.0f} s")

    def _spawn(self, child: Child) -> None:
        log = self._log(child)
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        environment = {**os.environ, **self.environment, **child.service.environment, MARK: str(self.home)}
        with log.open("ab") as output:
            child.process = subprocess.Popen(
                child.service.command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        child.started_at = time.monotonic()

    def _log(self, child: Child) -> Path:
        return self.home / "logs" / f"{child.service.name}.log"

    def _last_words(self, child: Child) -> str:
        lines = self._log(child).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " | ".join(line.strip() for line in lines[-3:]) or "it said nothing"


def _signal_group(child: Child, number: signal.Signals) -> None:
    if child.process is None:
        return
    try:
        os.killpg(child.process.pid, number)
    except ProcessLookupError:
        pass


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def nice(process: subprocess.Popen[bytes], by: int) -> None:
    """Let a background process give way to the others."""
    try:
        psutil.Process(process.pid).nice(by)
    except psutil.Error:
        pass
