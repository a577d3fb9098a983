"""The supervisor, with small programs for services: what dies comes back, what is stopped is gone for good."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from batuta.settings import Settings
from batuta_cli.checkup import machine
from batuta_cli.stack import state
from batuta_cli.stack.services import Service
from batuta_cli.stack.supervisor import ServiceFailed, Supervisor

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
DEAF_CODE = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
PARENT_CODE = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
time.sleep(600)
"""
DEAF = (sys.executable, "-c", DEAF_CODE)
PARENT = (sys.executable, "-c", PARENT_CODE)
KILLED_CODE = """
import os, signal, sys
from pathlib import Path
from batuta_cli.stack.services import Service
from batuta_cli.stack.supervisor import Supervisor

home = Path(sys.argv[1])
service = Service("one", (sys.executable, "-c", "import time; time.sleep(600)"), lambda: True)
Supervisor(home, home, {}, [service], print, lambda: False).start()
os.kill(os.getpid(), signal.SIGKILL)
"""

Make = Callable[..., Supervisor]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    said: list[str] = []
    made: list[Supervisor] = []

    def build(*services: Service) -> Supervisor:
        supervisor = Supervisor(tmp_path, tmp_path, {}, services, said.append, lambda: False)
        made.append(supervisor)
        return supervisor

    yield build
    for supervisor in made:
        supervisor.stop()
    assert state.marked(tmp_path) == []


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.05)


def test_a_killed_service_is_started_again(make: Make) -> None:
    supervisor = make(Service("one", SLEEP, lambda: True))
    supervisor.start()
    first = supervisor.pids()["one"]
    os.kill(first, signal.SIGKILL)

    def again() -> bool:
        supervisor.watch()
        return supervisor.pids().get("one", first) != first

    _until(again)


def test_a_service_waits_for_those_it_needs(make: Make) -> None:
    order: list[str] = []

    def answers(name: str) -> Callable[[], bool]:
        def answer() -> bool:
            order.append(name)
            return order.count(name) > 1

        return answer

    make(Service("b", SLEEP, answers("b"), after=("a",)), Service("a", SLEEP, answers("a"))).start()

    assert order == ["a", "a", "b", "b"]


def test_a_service_that_cannot_start_is_named_with_its_last_words(make: Make) -> None:
    failing = (sys.executable, "-c", "raise SystemExit('no such module')")

    with pytest.raises(ServiceFailed, match="one ended with exit code 1: no such module"):
        make(Service("one", failing, lambda: False)).start()


def test_a_service_deaf_to_the_request_is_killed(make: Make, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "one.log"
    supervisor = make(Service("one", DEAF, lambda: log.exists() and "deaf" in log.read_text(), grace_s=0.5))
    supervisor.start()
    pid = supervisor.pids()["one"]
    supervisor.stop()

    assert not psutil.pid_exists(pid)


def test_what_a_service_started_in_a_session_of_its_own_is_stopped_too(make: Make, tmp_path: Path) -> None:
    supervisor = make(Service("one", PARENT, lambda: True))
    supervisor.start()
    _until(lambda: len(state.marked(tmp_path)) == 2)
    supervisor.stop()

    assert state.marked(tmp_path) == []


def test_down_ends_what_a_killed_supervisor_left_behind(settings: Settings) -> None:
    settings.home.mkdir(parents=True)
    killed = subprocess.run([sys.executable, "-c", KILLED_CODE, str(settings.home)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert machine.left_behind(settings).verdict == "problem"

    down = subprocess.run(
        [sys.executable, "-m", "batuta_cli.main", "down"], check=False, capture_output=True, text=True
    )

    assert "Everything is stopped" in down.stdout
    assert machine.left_behind(settings).verdict == "ok"


def test_the_state_of_a_killed_supervisor_does_not_count(tmp_path: Path) -> None:
    mine = state.ProcessId.of(os.getpid())
    state.write(tmp_path, state.State(mine, "ready", {"Dagster": "http://127.0.0.1:3000"}))
    assert state.read(tmp_path) == state.State(mine, "ready", {"Dagster": "http://127.0.0.1:3000"})

    state.write(tmp_path, state.State(state.ProcessId(mine.pid, mine.started - 100), "ready"))
    assert state.read(tmp_path) is None
