"""Days, as commands take them."""

from datetime import date
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from batuta_cli.days import Day


@click.command()
@click.option("--from", "first", type=Day())
def shown(first: date) -> None:
    click.echo(repr(first))


def test_a_day_is_read_and_anything_else_is_told_with_an_example() -> None:
    assert CliRunner().invoke(shown, ["--from", "2025-11-12"]).output == "datetime.date(2025, 11, 12)\n"
    for wrong in ("yesterday", "12/11/2025", "2025-11-31", ""):
        result = CliRunner().invoke(shown, ["--from", wrong])
        assert result.exit_code == 2
        assert f'"{wrong}" is no day; write one such as 2025-11-12' in result.output


@pytest.mark.parametrize("name", ["backfill", "events", "kpi", "skill"])
def test_no_command_reads_days_its_own_way(name: str) -> None:
    found = getattr(import_module(f"batuta_cli.commands.{name}"), name)
    pending: list[click.Command] = [found]
    options: list[click.Parameter] = []
    while pending:
        command = pending.pop()
        options += command.params
        pending += command.commands.values() if isinstance(command, click.Group) else ()
    assert any(isinstance(option.type, Day) for option in options)
    assert not any(isinstance(option.type, click.DateTime) for option in options)
