"""The service `ears`: waits at mailboxes and folders for news, and wakes their accounts up to be polled.

What it hears is a hint, never the truth: an account is polled whether it rings or not, so that nothing is lost while
this process, the database or a vendor is away. One thread per account that can be watched; this one alone talks to the
database. Without such accounts it does nothing but look at the bundle now and then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

from batuta.errors import BatutaError
from batuta.manifests.bundle import bundle_path, read_bundle
from batuta.settings import Settings, get_settings
from batuta.telemetry import configure_logging, get_logger
from sensors.connectors import puller
from sensors.connectors.pulling import Account
from sensors.pull.accounts import BoundAccount, Key, accounts, wake

LOOK_S: Final = 2.0
FIRST_REST_S: Final = 1.0
LONGEST_REST_S: Final = 300.0
STEADY_S: Final = 60.0
"""A watch that held so long has not failed at once: its next rest is a short one."""

_log = get_logger("sensors.pull.listener")


class Watcher(Protocol):
    """A puller that can wait for news."""

    def watch(self, account: Account, stop: threading.Event, woken: Callable[[], None]) -> None:
        """Call `woken` at news, until `stop` is set; raise or return when the line is lost."""
        ...


Found = Callable[[], Iterable[tuple[BoundAccount, Watcher]]]
"""The accounts to watch, as they are now."""
Wake = Callable[[frozenset[Key]], None]
"""Writes wake-ups; raises BatutaError or a database error when they could not be written."""


@dataclass(slots=True)
class _Watch:
    """One account being watched by a thread of its own."""

    bound: BoundAccount
    watcher: Watcher
    ring: Callable[[Key], None]
    stop: threading.Event = field(default_factory=threading.Event)
    rest_s: float = FIRST_REST_S

    def begin(self) -> None:
        name = "ears " + " ".join(filter(None, self.bound.key))
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while not self.stop.is_set():
            begun = time.monotonic()
            self._hold()
            if time.monotonic() - begun >= STEADY_S:
                self.rest_s = FIRST_REST_S
            # What came while nobody listened waits for the poll.
            self.stop.wait(self.rest_s)
            self.rest_s = min(LONGEST_REST_S, self.rest_s * 2)

    def _hold(self) -> None:
        product, connector, account = self.bound.key
        place = {"product": product, "connector": connector, "account": account}
        try:
            self.watcher.watch(self.bound.account, self.stop, lambda: self.ring(self.bound.key))
        except BatutaError as error:
            _log.warning("not listening", reason=error.message, rest_s=self.rest_s, **place)
        except Exception as error:  # noqa: BLE001 - of foreign answers; its words may hold what the vendor sent
            _log.warning("not listening", reason=type(error).__name__, rest_s=self.rest_s, **place)
        else:
            if not self.stop.is_set():
                _log.info("no longer listening", rest_s=self.rest_s, **place)


class Ears:
    """Watches what `found` gives, and hands what rings to `write`."""

    def __init__(self, found: Found, write: Wake, *, look_s: float = LOOK_S) -> None:
        """`look_s`: seconds between two looks at what there is to watch."""
        self._found = found
        self._write = write
        self._look_s = look_s
        self._watches: dict[Key, tuple[object, _Watch]] = {}
        self._rung: set[Key] = set()
        self._lock = threading.Lock()
        self._bell = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Listen until `stop` is set; whoever sets it waits for a look at most."""
        rest_s, not_before = FIRST_REST_S, 0.0
        while not stop.is_set():
            self._tend()
            if time.monotonic() >= not_before:
                try:
                    self._hand_over()
                    rest_s = FIRST_REST_S
                except Exception as error:  # noqa: BLE001 - whatever the database is at, ears outlive it
                    reason = error.message if isinstance(error, BatutaError) else type(error).__name__
                    _log.warning("wake-ups are kept until the database is back", reason=reason)
                    not_before, rest_s = time.monotonic() + rest_s, min(30.0, rest_s * 2)
            self._bell.wait(self._look_s)
            self._bell.clear()
        for _, watch in self._watches.values():
            watch.stop.set()

    def ring(self, key: Key) -> None:
        """An account has news; called by watching threads."""
        with self._lock:
            self._rung.add(key)
        self._bell.set()

    def _tend(self) -> None:
        """Begin and end watches as the accounts come, change and go."""
        wanted = {bound.key: (_identity(bound), bound, watcher) for bound, watcher in self._found()}
        for key in [key for key, (known, _) in self._watches.items() if wanted.get(key, (None,))[0] != known]:
            self._watches.pop(key)[1].stop.set()
        for key, (identity, bound, watcher) in wanted.items():
            if key not in self._watches:
                watch = _Watch(bound, watcher, self.ring)
                self._watches[key] = (identity, watch)
                watch.begin()

    def _hand_over(self) -> None:
        # What rings while this is written may be too late for the poll that it wakes: it is written again.
        with self._lock:
            rung = frozenset(self._rung)
            self._rung.clear()
        if not rung:
            return
        try:
            self._write(rung)
        except BaseException:
            with self._lock:
                self._rung |= rung
            raise


class Bundled:
    """The accounts to watch of the applied bundle, read again when it or the secrets change."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._paths = (str(bundle_path(settings.home)), str(settings.secrets_dir))
        self._seen: object = None
        self._found: tuple[tuple[BoundAccount, Watcher], ...] = ()

    def __call__(self) -> tuple[tuple[BoundAccount, Watcher], ...]:
        """As they are now; as they were, where the bundle cannot be read."""
        stamp = tuple(_stamp(path) for path in self._paths)
        if stamp != self._seen:
            self._seen = stamp
            try:
                found = accounts(read_bundle(bundle_path(self._settings.home)), self._settings)
            except BatutaError as error:
                _log.info("nothing to listen to yet", reason=error.message)
            else:
                self._found = tuple(_watched(found.ready))
        return self._found


def _watched(bounds: Iterable[BoundAccount]) -> Iterable[tuple[BoundAccount, Watcher]]:
    for bound in bounds:
        module = puller(bound.key[1])
        if module is not None and hasattr(module, "watch"):
            yield bound, cast("Watcher", module)


class Writing:
    """Writes wake-ups over a connection that is opened when there is one to write."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._conn: Any = None

    def __call__(self, keys: frozenset[Key]) -> None:
        """Commit them, or raise and keep nothing open."""
        from batuta.warehouse.connection import connect
        from batuta.warehouse.database import ensure_database, quiet

        try:
            if self._conn is None or self._conn.closed:
                url = self._settings.database_url or ensure_database(self._settings, quiet)
                self._conn = connect(url, "writer", application="batuta ears")
            with self._conn.transaction():
                for key in sorted(keys):
                    wake(self._conn, key)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None


def _identity(bound: BoundAccount) -> tuple[object, ...]:
    """What makes a watch another one: the binding, and the secrets it signs in with. Kept in memory only."""
    credentials: Mapping[str, bytes] = bound.account.credentials
    return bound.digest, tuple(sorted(credentials.items()))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - looked at every other second, for as long as the machine runs
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def main() -> int:
    """Listen with the settings of the environment until told to stop; problems are sentences."""
    try:
        settings = get_settings()
        configure_logging(settings)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        writing = Writing(settings)
        Ears(Bundled(settings), writing).run(stop)
        writing.close()
    except BatutaError as error:
        print(error.message, file=sys.stderr)  # noqa: T201
        if error.hint:
            print(error.hint, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
