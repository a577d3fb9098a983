"""The warm process forks what is asked for, tells how it ended, and leaves when it must."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from batuta_assets.warm import Warm
from batuta_assets.warm_call import Forked, ask
from batuta_assets.warm_load import Loaded, Stamp
from tests.support.dbt import PROJECT

PATIENCE_S = 60.0


def wait_until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Small:
    """A running `tests/support/small_warm.py`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.small_warm", str(folder)],
            cwd=PROJECT,
            start_new_session=True,
        )
        wait_until((folder / "door").exists)
        wait_until(self.answers)

    def answers(self) -> bool:
        worker = self.ask("exit 0")
        return worker is not None and worker.wait() == 0

    def ask(self, words: str, executable: str = sys.executable) -> Forked | None:
        return ask(self.folder / "door", words, executable, self.folder / f"{words.replace(' ', '-')}.log")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    found = Small(tmp_path_factory.mktemp("warm"))
    yield found
    if found.process.poll() is None:
        os.killpg(found.process.pid, signal.SIGKILL)
    found.process.wait()


def test_a_worker_is_forked_and_its_end_is_told(small: Small) -> None:
    workers = [small.ask("exit 3"), small.ask("exit 0")]
    assert [worker.wait() for worker in workers if worker is not None] == [3, 0]


def test_a_worker_has_a_session_and_a_log_of_its_own(small: Small) -> None:
    worker = small.ask("exit 5")
    assert worker is not None
    worker.wait()
    assert f"exit 5 in session {worker.pid}\n" in (small.folder / "exit-5.log").read_text()


def test_a_worker_that_is_killed_is_told_as_killed(small: Small) -> None:
    worker = small.ask("wait")
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL


def test_a_run_of_another_python_is_refused(small: Small) -> None:
    assert small.ask("exit 0", executable="/elsewhere/python") is None


def test_nobody_behind_the_door_is_no_error(tmp_path: Path) -> None:
    assert ask(tmp_path / "door", "exit 0", sys.executable, tmp_path / "log") is None


def test_what_is_no_request_is_refused_and_the_next_is_answered(small: Small) -> None:
    assert ask(small.folder / "door", "", "", small.folder / "log") is None
    assert small.answers()


def test_the_listener_hears_of_each_end_and_is_replaced_when_it_dies(small: Small) -> None:
    def listener() -> psutil.Process | None:
        children = psutil.Process(small.process.pid).children()
        return next((c for c in children if os.getsid(c.pid) == small.process.pid), None)

    wait_until(listener)
    heard = (small.folder / "heard").stat().st_size
    assert small.answers()
    wait_until(lambda: (small.folder / "heard").stat().st_size > heard)
    first = listener()
    assert first is not None
    first.kill()
    wait_until(lambda: (now := listener()) is not None and now.pid != first.pid)


def test_with_other_definitions_it_refuses_and_leaves(small: Small) -> None:
    """The last of this process: it does not come back."""
    worker = small.ask("wait")
    assert worker is not None
    (small.folder / "changed").touch()
    assert small.ask("exit 0") is None
    small.process.wait(PATIENCE_S)
    assert not (small.folder / "door").exists()
    assert worker.wait() is None
    assert psutil.pid_exists(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)


def test_a_process_with_threads_is_not_forked(tmp_path: Path) -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="threads"):
            Warm._fork(object.__new__(Warm), lambda: 0)
    finally:
        release.set()
        thread.join()


def test_definitions_have_changed_when_a_file_says_something_else(tmp_path: Path) -> None:
    bundle, manifest = tmp_path / "bundle", tmp_path / "manifest"
    bundle.write_text("one")
    loaded = Loaded(graph=None, jobs={}, stamps={p: Stamp.of(p) for p in (bundle, manifest)})  # type: ignore[arg-type]
    assert not loaded.changed()
    later = bundle.stat().st_mtime_ns + 1_000_000_000
    os.utime(bundle, ns=(later, later))
    assert not loaded.changed()
    manifest.write_text("there now")
    assert loaded.changed()
