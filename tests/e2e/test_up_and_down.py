"""`batuta up`, `doctor` and `down` as processes: everything answers, nothing is left."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from batuta.settings import Settings, get_settings
from batuta.warehouse.database import embedded_server, stop_database
from batuta_cli.stack import state
from tests.support.database import free_port, remove_home

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A home of its own with ports of its own."""
    home = Path(tempfile.mkdtemp(prefix="batuta-up-"))
    home.chmod(0o755)
    monkeypatch.setenv("BATUTA_HOME", str(home))
    for name in ("DATABASE", "GATEWAY", "DAGSTER", "DOCS"):
        monkeypatch.setenv(f"BATUTA_{name}_PORT", str(free_port()))
    settings = get_settings()
    yield settings
    state.end(state.marked(home), grace_s=5)
    stop_database(settings)
    remove_home(home)


def _batuta(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "batuta_cli.main", *arguments], check=False, capture_output=True, text=True
    )


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status == 200


def _problems() -> list[str]:
    findings = json.loads(_batuta("doctor", "--json").stdout)["findings"]
    return [finding["message"] for finding in findings if finding["verdict"] == "problem"]


def test_up_starts_everything_heals_and_down_leaves_no_process(installation: Settings) -> None:
    started = _batuta("up", "--detach", "--json")
    assert started.returncode == 0, started.stderr
    addresses = json.loads(started.stdout)
    assert _answers(f"{addresses['Gateway']}/healthz")
    assert _answers(f"{addresses['Dagster']}/server_info")
    assert _answers(addresses["Data docs"])
    assert _problems() == []

    second = _batuta("up")
    assert second.returncode == 1
    assert "already running" in second.stderr

    running = state.read(installation.home)
    database = embedded_server(installation).running()
    assert running is not None
    assert database is not None
    os.kill(running.children["gateway"], signal.SIGKILL)
    os.kill(database.pid, signal.SIGKILL)
    _until_ready(f"{addresses['Gateway']}/readyz")

    stopped = _batuta("down")
    assert stopped.returncode == 0, stopped.stderr
    assert running.supervisor.process() is None
    _assert_nothing_is_left(installation)
    assert "Nothing was running" in _batuta("down").stdout


def _until_ready(url: str) -> None:
    deadline = time.monotonic() + 240
    while True:
        try:
            if _answers(url):
                return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not come back"
        time.sleep(0.5)


def _assert_nothing_is_left(settings: Settings) -> None:
    assert state.marked(settings.home) == []
    assert embedded_server(settings).running() is None
    place = str(embedded_server(settings).place)
    left = [
        p for p in psutil.process_iter(["cmdline"]) if any(place in part for part in p.info["cmdline"] or ())
    ]
    assert left == []
