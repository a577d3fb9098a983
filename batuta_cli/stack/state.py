"""What is known of a running `batuta up`: a lock, a file with process ids, a mark in its children's environment.

A process is known by id and start time, so that a reused id is never taken for ours. The mark finds children of
a supervisor that was killed, and the runs they launched.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import psutil

MARK = "BATUTA_STARTED_BY"

Phase = Literal["starting", "ready", "stopping"]


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process: its id and its start time, in seconds since the epoch."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessId":
        """The process that has this id now."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process if it still lives."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 0.01
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True, slots=True)
class State:
    """A running `batuta up`."""

    supervisor: ProcessId
    phase: Phase
    addresses: Mapping[str, str] = field(default_factory=dict)
    children: Mapping[str, int] = field(default_factory=dict)


def lock_path(home: Path) -> Path:
    """The lock that a running `batuta up` holds."""
    return home / "run" / "up.lock"


def write(home: Path, state: State) -> None:
    """Replace the state file."""
    path = _path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(asdict(state)), encoding="utf-8")
    draft.replace(path)


def read(home: Path) -> State | None:
    """The state of the `batuta up` that runs; None when none does."""
    try:
        document = json.loads(_path(home).read_text(encoding="utf-8"))
        state = State(
            ProcessId(**document["supervisor"]),
            document["phase"],
            document["addresses"],
            document["children"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if state.supervisor.process() is not None else None


def clear(home: Path) -> None:
    """Remove the state file."""
    _path(home).unlink(missing_ok=True)


def marked(home: Path) -> list[psutil.Process]:
    """Every process that a `batuta up` of this home started, directly or not, and that still lives."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == str(home):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
    return found


def end(processes: list[psutil.Process], grace_s: float) -> int:
    """Ask processes to end, kill those that have not after `grace_s`; how many there were."""
    for process in processes:
        _signal(process, kill=False)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        _signal(process, kill=True)
    psutil.wait_procs(alive, timeout=5)
    return len(processes)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        pass


def _path(home: Path) -> Path:
    return home / "run" / "up.json"
