"""How a launcher asks the warm process (`warm.py`) for a worker: one line of JSON there, two lines back.

The first answer is the worker's process id, or why there is none; the second, when the worker has ended, how.
"""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

PATIENCE_S: Final = 2.0
"""How long a caller waits for the first answer before it starts a process itself."""


@dataclass(frozen=True, slots=True)
class Forked:
    """A worker that the warm process has forked, and the line on which its end is told."""

    pid: int
    connection: socket.socket
    answers: IO[str]

    def wait(self) -> int | None:
        """The worker's exit code when it has ended; None where the warm process ended first."""
        try:
            self.connection.settimeout(None)
            line = self.answers.readline()
        except OSError:
            return None
        finally:
            self.connection.close()
        return int(json.loads(line)["ended"]) if line else None


def ask(address: Path, args: str, executable: str, log: Path) -> Forked | None:
    """Ask for a worker; None where nobody answers, or the answer is no.

    Args:
        address: The warm process's socket.
        args: Dagster's arguments of the run, serialized.
        executable: The Python that the run wants.
        log: Where the worker's output goes.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    try:
        connection.connect(str(address))
        request = {"args": args, "executable": executable, "log": str(log)}
        connection.sendall(json.dumps(request).encode() + b"\n")
        answers = connection.makefile("r", encoding="utf-8")
        answer: dict[str, Any] = json.loads(answers.readline() or "{}")
    except (OSError, ValueError):
        connection.close()
        return None
    if "pid" not in answer:
        connection.close()
        return None
    return Forked(int(answer["pid"]), connection, answers)
