"""`batuta up`: database, gateway, Dagster and the data docs together, until Ctrl-C or `batuta down`."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from filelock import FileLock, Timeout

from batuta.errors import BatutaError
from batuta.ports import require_free
from batuta.settings import Settings, get_settings
from batuta.warehouse.binaries import Progress
from batuta.warehouse.database import embedded_server, quiet, stop_database
from batuta_cli.progress import steps
from batuta_cli.stack import dagster_home, docs_site, state
from batuta_cli.stack.services import addresses, listeners, services
from batuta_cli.stack.supervisor import WATCH_S, ServiceFailed, Supervisor, nice

DETACHED_TIMEOUT_S = 480.0


@click.command()
@click.option("--detach", is_flag=True, help="Return once everything answers and leave it running.")
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as one JSON line.")
def up(detach: bool, as_json: bool) -> None:
    """Start everything on this machine and print the addresses."""
    settings = get_settings()
    progress = steps()
    if detach:
        _show(_detach(settings, progress), as_json)
        return
    with _only_one(settings), _stop_signals() as stop:
        _run(settings, progress, stop, as_json)


def _run(settings: Settings, progress: Progress, stop: threading.Event, as_json: bool) -> None:
    left = state.marked(settings.home)
    if left:
        progress(f"ending {len(left)} processes of an earlier `batuta up` that was killed")
        state.end(left, grace_s=5.0)
    for listener in listeners(settings):
        require_free(listener.host, listener.port, listener.setting)
    me = state.ProcessId.of(os.getpid())
    state.write(settings.home, state.State(me, "starting"))
    supervisor: Supervisor | None = None
    try:
        _setup(settings, stop)
        url = settings.database_url or embedded_server(settings).url()
        environment = dagster_home.environment(settings, url)
        dagster_home.socket_path(settings.home).unlink(missing_ok=True)
        docs_site.prepare(settings)
        supervisor = Supervisor(
            settings.home, settings.project, environment, services(settings), progress, stop.is_set
        )
        docs = _DocsBuild.begin(settings, url, environment)
        supervisor.start()
        if not stop.is_set():
            _write_ready(settings, me, supervisor.pids())
            _show(addresses(settings), as_json)
            if not as_json:
                click.echo("Stop with Ctrl-C or `batuta down`.", err=True)
        _watch(settings, me, supervisor, docs, progress, stop)
    finally:
        state.write(settings.home, state.State(me, "stopping"))
        if supervisor is not None:
            supervisor.stop()
        stop_database(settings)
        state.clear(settings.home)
    progress("everything is stopped")


def _watch(
    settings: Settings,
    me: state.ProcessId,
    supervisor: Supervisor,
    docs: "_DocsBuild | None",
    progress: Progress,
    stop: threading.Event,
) -> None:
    known = supervisor.pids()
    trouble: str | None = None
    while not stop.wait(WATCH_S):
        supervisor.watch()
        if settings.database_url is None:
            trouble = _revive_database(settings, progress, trouble)
        if known != supervisor.pids():
            known = supervisor.pids()
            _write_ready(settings, me, known)
        if docs is not None and docs.finished(progress):
            docs = None


def _write_ready(settings: Settings, me: state.ProcessId, pids: Mapping[str, int]) -> None:
    state.write(settings.home, state.State(me, "ready", addresses(settings), pids))


def _revive_database(settings: Settings, progress: Progress, said: str | None) -> str | None:
    """Start a database that has ended; what keeps it from starting, which is `said` only once."""
    server = embedded_server(settings)
    if server.running() is not None:
        return None
    if said is None:
        progress("the database ended; starting it again")
    try:
        server.start(quiet)
    except BatutaError as error:
        if error.message != said:
            progress(error.message)
        return error.message
    return None


@dataclass
class _DocsBuild:
    """The making of the data docs, beside everything else."""

    settings: Settings
    process: subprocess.Popen[bytes]
    made_for: str

    @classmethod
    def begin(cls, settings: Settings, url: str, environment: Mapping[str, str]) -> "_DocsBuild | None":
        wanted = docs_site.stamp(settings, url)
        if docs_site.is_current(settings, wanted):
            return None
        process = docs_site.generate(settings, {**environment, state.MARK: str(settings.home)})
        nice(process, 10)
        return cls(settings, process, wanted)

    def finished(self, progress: Progress) -> bool:
        code = self.process.poll()
        if code is None:
            return False
        if code == 0:
            docs_site.publish(self.settings, self.made_for)
            progress("the data docs are made")
        else:
            progress(
                f"the data docs could not be made; see {self.settings.home / 'logs' / 'docs-generate.log'}"
            )
        return True


def _setup(settings: Settings, stop: threading.Event) -> None:
    """Set up in a process of its own: this one stays for long and should stay small."""
    command = [sys.executable, "-m", "batuta_cli.main", "setup"]
    environment = {
        **os.environ,
        "BATUTA_PROJECT": str(settings.project),
        "BATUTA_HOME": str(settings.home),
        state.MARK: str(settings.home),
    }
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None:
        if stop.wait(0.1):
            process.terminate()
            process.wait()
            raise click.Abort
    if process.returncode:
        raise ServiceFailed("setting up failed, for the reason above", hint="`batuta doctor` looks further.")


def _detach(settings: Settings, progress: Progress) -> Mapping[str, str]:
    running = state.read(settings.home)
    if running is not None:
        raise _already(running)
    log = settings.home / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "batuta_cli.main", "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    progress(f"starting; the log is {log}")
    deadline = time.monotonic() + DETACHED_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said, hint = _last_words(log, begun)
            raise ServiceFailed(said, hint=f"{hint}\nSee {log}.".lstrip())
        running = state.read(settings.home)
        if running is not None and running.phase == "ready":
            return running.addresses
        time.sleep(0.3)
    raise ServiceFailed(
        f"not up after {DETACHED_TIMEOUT_S:.0f} s", hint=f"See {log}; stop it with `batuta down`."
    )


def _last_words(log: Path, begun: int) -> tuple[str, str]:
    """The first error in a log since `begun`, and what it says to do."""
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(begun)
        lines = [line.strip() for line in file.read().splitlines() if line.strip()]
    for number, line in enumerate(lines):
        command, _, said = line.partition(": ")
        if command in {"batuta up", "batuta setup"}:
            hint = lines[number + 1 : number + 2]
            return said, "".join(each for each in hint if not each.startswith("batuta "))
    return "it ended at once: " + " | ".join(lines[-3:]), ""


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    path = state.lock_path(settings.home)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _already(state.read(settings.home)) from None
    try:
        yield
    finally:
        lock.release()


def _already(running: state.State | None) -> BatutaError:
    found = "".join(
        f"\n  {name:10} {address}" for name, address in (running.addresses if running else {}).items()
    )
    pid = f" (pid {running.supervisor.pid})" if running else ""
    return BatutaError(f"it is already running{pid}{found}", hint="Stop it with `batuta down`.")


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set; a second Ctrl-C while stopping changes nothing."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(found: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, address in found.items():
        click.echo(f"  {name:10} {address}")
    sys.stdout.flush()
