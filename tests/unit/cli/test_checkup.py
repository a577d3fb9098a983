"""Doctor's checks of the machine: each problem is named and comes with a way to mend it."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from batuta.settings import Settings, get_settings
from batuta_cli.checkup import data, machine, orchestra
from batuta_cli.checkup.finding import Finding
from batuta_cli.stack import state


def _problem(findings: list[Finding] | Finding) -> Finding:
    listed = findings if isinstance(findings, list) else [findings]
    problems = [finding for finding in listed if finding.verdict == "problem"]
    assert len(problems) == 1
    assert problems[0].mend
    return problems[0]


def test_another_python_is_a_problem() -> None:
    assert "3.11 is needed" in _problem(machine.python((3, 13, 1))).message
    assert machine.python((3, 11, 7)).verdict == "ok"


def test_a_package_of_another_version_or_none_is_a_problem() -> None:
    assert "sqlalchemy<2.0" in _problem(machine.packages(["sqlalchemy<2.0"])).message
    assert "no-such-package is not installed" in _problem(machine.packages(["no-such-package>=1"])).message


def test_the_packages_of_the_project_are_installed_as_asked() -> None:
    assert [finding.verdict for finding in machine.packages()] == ["ok"]


def test_little_disk_is_a_problem(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage._replace(free=50_000_000))

    assert "50 MB" in _problem(machine.disk(settings)).message


def test_a_taken_port_is_named_with_who_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("BATUTA_DAGSTER_PORT", str(listener.getsockname()[1]))
        found = _problem(
            [each for each in machine.ports(get_settings()) if str(listener.getsockname()[1]) in each.message]
        )

    assert f"(pid {os.getpid()})" in found.message
    assert "BATUTA_DAGSTER_PORT" in (found.mend or "")


def test_a_misspelt_setting_is_noted_with_the_one_meant() -> None:
    found = machine.variables({"BATUTA_GATEWAY_PROT": "1", "BATUTA_HOME": "x", "PATH": "y"})

    assert [finding.message for finding in found] == [
        "BATUTA_GATEWAY_PROT is not a setting; did you mean BATUTA_GATEWAY_PORT?"
    ]


def test_missing_build_tools_matter_only_while_something_is_to_be_built(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "missing_build_tools", lambda: ["cmake"])

    unbuilt = settings.model_copy(update={"cache": tmp_path / "cache"})
    assert "cmake" in _problem(machine.build_tools(unbuilt)).message
    elsewhere = unbuilt.model_copy(update={"database_url": "postgresql://x/y"})
    assert machine.build_tools(elsewhere).verdict == "ok"


def test_missing_keys_are_a_problem(settings: Settings) -> None:
    assert "nothing is set up" in _problem(data.keys(settings, None)).message
    settings.home.mkdir(parents=True)
    assert _problem(data.keys(settings, None)).check == "keys"


def test_an_unreachable_database_is_a_problem(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"database_url": "postgresql://me:hidden-word@127.0.0.1:1/none"})
    found, url = data.database(elsewhere)

    assert url is None
    assert "127.0.0.1:1/none" in _problem(found).message
    assert "hidden-word" not in str(found)


def test_a_stopped_trigger_is_one_that_should_run_by_default() -> None:
    def entry(name: str, default: str, now: str, field: str) -> dict[str, object]:
        return {"name": name, "defaultStatus": default, field: {"status": now}}

    repository = {
        "sensors": [
            entry("runs", "RUNNING", "RUNNING", "sensorState"),
            entry("stopped_by_hand", "RUNNING", "STOPPED", "sensorState"),
            entry("off_by_default", "STOPPED", "STOPPED", "sensorState"),
        ],
        "schedules": [entry("daily", "RUNNING", "STOPPED", "scheduleState")],
    }
    answer = {"repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [repository]}}

    assert list(orchestra.stopped_triggers(answer)) == [("sensor", "stopped_by_hand"), ("schedule", "daily")]


def test_a_process_is_known_by_its_start_time_too() -> None:
    me = state.ProcessId.of(os.getpid())

    assert me.process() is not None
    assert state.ProcessId(me.pid, me.started - 5).process() is None
