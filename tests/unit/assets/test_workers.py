"""A worker is known by more than its pid, and is called dead only on evidence."""

import dataclasses
import subprocess
import sys

import pytest

from batuta_assets.workers import Worker, identify, own_tags, pulse


def test_this_process_is_alive() -> None:
    worker = identify()
    assert worker is not None
    assert pulse(worker) == "alive"


def test_a_worker_survives_its_tag() -> None:
    worker = identify()
    assert worker is not None
    assert Worker.from_tag(own_tags()["batuta/worker"]) == worker


@pytest.mark.parametrize("value", ["", "a b c", "host boot x 1", "host boot 1 2 3"])
def test_a_tag_of_somebody_elses_names_no_worker(value: str) -> None:
    assert Worker.from_tag(value) is None


def test_a_later_process_with_the_same_pid_is_not_the_worker() -> None:
    worker = identify()
    assert worker is not None
    assert pulse(dataclasses.replace(worker, started_ticks=worker.started_ticks - 1)) == "dead"


def test_a_worker_of_an_earlier_boot_is_dead() -> None:
    worker = identify()
    assert worker is not None
    assert pulse(dataclasses.replace(worker, boot="before")) == "dead"


def test_nothing_is_known_of_a_worker_of_another_host() -> None:
    worker = identify()
    assert worker is not None
    assert pulse(dataclasses.replace(worker, host="elsewhere", pid=1)) == "unknown"


def test_a_killed_process_is_dead_even_before_its_parent_has_noticed() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    worker = identify(process.pid)
    assert worker is not None
    process.kill()
    while pulse(worker) == "alive":
        pass
    assert pulse(worker) == "dead"
    process.wait()
    assert identify(process.pid) is None
