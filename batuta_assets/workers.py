"""Which process runs a run, told apart from a later process with the same pid.

A worker is named by host, boot, pid and kernel start time, kept as a run tag. A process is said to be dead
only on evidence: it was on this host, and it is gone, is a zombie, has another start time, or the host has
booted since.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias

from sensors import run_tags

WORKER_TAG = run_tags.WORKER
PROC = Path("/proc")

Pulse: TypeAlias = Literal["alive", "dead", "unknown"]


@dataclass(frozen=True, slots=True)
class Worker:
    """One process on one host, in one boot of it. `started_ticks` are clock ticks since that boot."""

    host: str
    boot: str
    pid: int
    started_ticks: int

    def tag(self) -> str:
        """The worker as the value of a run tag."""
        return f"{self.host} {self.boot} {self.pid} {self.started_ticks}"

    @classmethod
    def from_tag(cls, value: str) -> Self | None:
        """The worker named by a run tag, or None where the value is not of ours."""
        parts = value.split(" ")
        if len(parts) != 4 or not (parts[2].isdigit() and parts[3].isdigit()):
            return None
        return cls(parts[0], parts[1], int(parts[2]), int(parts[3]))


def identify(pid: int | None = None) -> Worker | None:
    """Name a running process of this host, by default this one; None where it is gone."""
    pid = os.getpid() if pid is None else pid
    started = _start_ticks(pid)
    return None if started is None else Worker(socket.gethostname(), _boot(), pid, started)


def pulse(worker: Worker) -> Pulse:
    """Whether the worker still runs; `unknown` for a process of another host."""
    if worker.host != socket.gethostname():
        return "unknown"
    if worker.boot != _boot():
        return "dead"
    return "alive" if _start_ticks(worker.pid) == worker.started_ticks else "dead"


def own_tags() -> dict[str, str]:
    """The run tags of a run that this very process executes."""
    worker = identify()
    return {} if worker is None else {WORKER_TAG: worker.tag()}


def _boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _start_ticks(pid: int) -> int | None:
    """Kernel start time of a process; None where it is gone or a zombie."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])
