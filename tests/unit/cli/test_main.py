"""The command line: quick help, sentences for errors, exit codes."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import click
import psycopg
import pytest

from batuta.errors import BatutaError, UsageError
from batuta_cli import main as entry

HEAVY = ("dagster", "pydantic", "psycopg", "structlog", "rich", "matplotlib", "dbt")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom batuta_cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stderr.strip() == "[]"
    assert all(name in done.stdout for name, command in entry.COMMANDS.items() if not command.hidden)


def test_checking_manifests_needs_no_dagster() -> None:
    code = (
        "import sys, batuta_cli.commands.apply, batuta_cli.commands.validate\n"
        "import batuta_assets.catalog, batuta_assets.dbt_manifest, batuta_assets.dbt_run, batuta_assets.locations\n"
        "print([name for name in ('dagster', 'dbt') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_every_command_of_the_table_is_there(name: str) -> None:
    command = entry.cli.get_command(click.Context(entry.cli), name)

    assert isinstance(command, click.Command)
    assert command.help


def _raising(error: Exception) -> Callable[..., click.Command]:
    @click.command()
    @click.option("--json", is_flag=True)
    def failing(**_options: bool) -> None:
        raise error

    return lambda *_: failing


def _run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        entry.main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize(
    ("error", "code"), [(BatutaError("No.", hint="Do."), 1), (UsageError("No.", hint="Do."), 2)]
)
def test_an_error_is_a_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BatutaError, code: int
) -> None:
    monkeypatch.setattr(entry.LazyGroup, "get_command", _raising(error))

    assert _run(["kpi"]) == code
    assert capsys.readouterr().err == "batuta kpi: No.\nDo.\n"


def test_an_error_is_json_where_json_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entry.LazyGroup, "get_command", _raising(BatutaError("No.", hint="Do.")))

    assert _run(["kpi", "--json"]) == 1
    assert json.loads(capsys.readouterr().err) == {"error": "No.", "hint": "Do."}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/srv/batuta"), "/srv/batuta: Permission denied"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/srv/batuta"),
            "/srv/batuta: No space left on device",
        ),
        (
            psycopg.errors.AdminShutdown("terminating connection"),
            "the database broke off: terminating connection",
        ),
    ],
)
def test_what_the_machine_or_the_database_refuses_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    monkeypatch.setattr(entry.LazyGroup, "get_command", _raising(error))

    assert _run(["kpi"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == f"batuta kpi: {said}"


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry.LazyGroup, "get_command", _raising(ValueError("a bug")))

    with pytest.raises(ValueError, match="a bug"):
        entry.main(["kpi"])


def test_a_full_disk_is_named_whatever_failed_because_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entry.LazyGroup, "get_command", _raising(BatutaError("No.", hint="Do.")))
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=7_000_000))

    assert _run(["kpi"]) == 1
    _, full, hint = capsys.readouterr().err.splitlines()
    assert full.startswith("The disk is full: ")
    assert full.endswith(" has 7 MB free.")
    assert hint == "Do."


@pytest.mark.parametrize("arguments", [["no-such-command"], ["--no-such-option"]])
def test_bad_usage_ends_with_two(arguments: list[str]) -> None:
    assert _run(arguments) == 2


def test_a_broken_setting_is_said_before_the_command_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATUTA_LOG_LEVEL", "loud")

    assert _run(["kpi"]) == 2
    assert "BATUTA_LOG_LEVEL" in capsys.readouterr().err


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(entry.LazyGroup, "get_command", _raising(KeyboardInterrupt()))  # pyright: ignore[reportArgumentType]

    assert _run(["kpi"]) == 130
    assert "Traceback" not in capsys.readouterr().err
