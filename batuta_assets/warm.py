"""The service `launcher`: a process whose imports are done, which forks a worker for each run that is asked for.

It never opens a connection to a database or a code server, and it has one thread: what it forks inherits
neither half a lock nor another's socket. Its first child is the listener (`listener.py`), which launches runs
when events land; it is forked anew when it ends.

When the bundle or dbt's manifest changes, the process replaces itself by a new one. While it is not there,
launchers start processes themselves.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from batuta.settings import get_settings
from batuta_assets.sockets import socket_path
from batuta_assets.warm_load import Loaded, load

ASK_TIMEOUT_S: Final = 1.0
LOOK_S: Final = 1.0
"""How often the files that definitions are made of are looked at."""
STEADY_S: Final = 60.0
LONGEST_PAUSE_S: Final = 15.0


@dataclass
class Warm:
    """The forking process."""

    loaded: Loaded
    door: socket.socket
    address: Path
    waiting: dict[int, socket.socket] = field(default_factory=dict)
    """The connection of whoever asked for a worker, by the worker's pid."""
    bell: socket.socket = field(init=False)
    """Rings when a child has ended or a signal has come."""
    ring: socket.socket = field(init=False)
    ears: int = field(init=False)
    """The listener's end of a pipe on which it hears of each worker's end."""
    mouth: int = field(init=False)
    selector: selectors.BaseSelector = field(init=False)
    listener: int | None = None
    listener_since: float = 0.0
    listener_deaths: int = 0
    listener_not_before: float = 0.0
    stopping: bool = False

    def __post_init__(self) -> None:
        self.bell, self.ring = socket.socketpair()
        self.bell.setblocking(False)
        self.ring.setblocking(False)
        self.ears, self.mouth = os.pipe()
        os.set_blocking(self.mouth, False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.door, selectors.EVENT_READ)
        self.selector.register(self.bell, selectors.EVENT_READ)

    def serve(self) -> None:
        """Fork what is asked for until told to stop, or until the definitions have changed."""
        signal.set_wakeup_fd(self.ring.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self.stopping and not self.loaded.changed():
            self._tend_listener()
            for key, _ in self.selector.select(LOOK_S):
                if key.fileobj is self.door:
                    self._answer()
                else:
                    self.bell.recv(4096)
            self._reap()

    def leave(self) -> None:
        """Close the door, so that launchers know at once."""
        self.address.unlink(missing_ok=True)
        self.door.close()
        if self.listener is not None:
            os.kill(self.listener, signal.SIGTERM)

    def _stop(self, *_: Any) -> None:
        self.stopping = True

    def _answer(self) -> None:
        connection, _ = self.door.accept()
        connection.settimeout(ASK_TIMEOUT_S)
        try:
            with connection.makefile("rb") as lines:
                request = json.loads(lines.readline() or b"{}")
            refusal = self._refusal(request)
            if refusal is not None:
                connection.sendall(json.dumps({"no": refusal}).encode() + b"\n")
                connection.close()
                return
            arguments, log = str(request["args"]), Path(request["log"])
            pid = self._fork(lambda: self.loaded.work(arguments), log, connection)
            self.waiting[pid] = connection
            connection.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        except (OSError, ValueError):
            if connection not in self.waiting.values():
                connection.close()

    def _refusal(self, request: dict[str, Any]) -> str | None:
        """Why this request is not for this process."""
        if not {"args", "log", "executable"} <= set(request):
            return "the request names no run"
        if request["executable"] != sys.executable:
            return f"the run wants {request['executable']}"
        if self.loaded.changed():
            return "the definitions have changed"
        return None

    def _tend_listener(self) -> None:
        if self.listener is None and time.monotonic() >= self.listener_not_before:
            self.listener_since = time.monotonic()
            ears = self.ears
            self.listener = self._fork(lambda: self.loaded.listen(ears))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            if pid == self.listener:
                self._bury_listener()
                continue
            try:
                os.write(self.mouth, b".")
            except BlockingIOError:
                pass
            connection = self.waiting.pop(pid, None)
            if connection is not None:
                try:
                    connection.sendall(json.dumps({"ended": code}).encode() + b"\n")
                except OSError:
                    pass
                connection.close()

    def _bury_listener(self) -> None:
        lived = time.monotonic() - self.listener_since
        self.listener_deaths = 1 if lived > STEADY_S else self.listener_deaths + 1
        self.listener = None
        self.listener_not_before = time.monotonic() + min(2.0 ** (self.listener_deaths - 1), LONGEST_PAUSE_S)

    def _fork(
        self, job: Callable[[], int], log: Path | None = None, asked_by: socket.socket | None = None
    ) -> int:
        """Start a child that does a job and ends; its pid. A log makes it a session of its own."""
        threads = len(list(Path("/proc/self/task").iterdir()))
        if threads != 1:
            raise RuntimeError(f"this process has {threads} threads and cannot be forked")
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            self._become_child(log)
            if asked_by is not None:
                asked_by.close()
            code = job()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:  # noqa: BLE001 - the parent's code must not be reached
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _become_child(self, log: Path | None) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.selector.close()
        for own in (self.door, self.bell, self.ring):
            own.close()
        os.close(self.mouth)
        for connection in self.waiting.values():
            connection.close()
        if log is not None:
            os.close(self.ears)
            os.setsid()
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)


def main() -> int:
    """Load, open the door, serve; a new process takes over when the definitions have changed."""
    # Linear algebra would start threads of its own when it is imported.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    loaded = load()
    address = socket_path(get_settings().home, "launcher")
    address.parent.mkdir(parents=True, exist_ok=True)
    address.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    door.bind(str(address))
    os.umask(before)
    door.listen(32)
    gc.collect()
    gc.freeze()
    warm = Warm(loaded, door, address)
    try:
        warm.serve()
    finally:
        warm.leave()
    if not warm.stopping:
        os.execv(sys.executable, [sys.executable, "-m", "batuta_assets.warm"])  # noqa: S606
    return 0


if __name__ == "__main__":
    sys.exit(main())
