"""dbt in this process, on a database of a test: importing it once spares three seconds a call."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from batuta.warehouse.connection import dbt_environment

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
TABLES = ("--selector", "marts_tables")
"""Options of a refresh of what takes in what is new: views stand, once they are made."""
# A log of everything dbt thinks takes it a good part of its time.
SILENT = ("--quiet", "--log-level-file", "none")


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    with patch.dict(os.environ, variables):
        yield


def dbt(url: str | None, target: Path, *arguments: str) -> Any:
    """Run one dbt command; its result.

    Args:
        url: The database; None for commands that need none.
        target: Where dbt writes; used again, it spares the parsing.
        arguments: The command and its options.

    Raises:
        AssertionError: dbt or one of its nodes failed, with the messages.
    """
    from dbt.cli.main import dbtRunner

    folders = [
        "--project-dir",
        PROJECT,
        "--profiles-dir",
        PROJECT,
        "--target-path",
        target,
        "--log-path",
        target,
    ]
    with _environment(dbt_environment(url) if url else {}):
        outcome = dbtRunner().invoke([*SILENT, *arguments, *map(str, folders)])
    if not outcome.success:
        results = getattr(outcome.result, "results", [])
        failed = [f"{r.node.name}: {r.message}" for r in results if r.status in ("error", "fail")]
        raise AssertionError("\n".join(failed) or str(outcome.exception))
    return outcome.result


class KpiWarehouse:
    """A database whose models can be refreshed. Tests share it and keep apart by product."""

    def __init__(self, url: str, target: Path) -> None:
        self.url = url
        self.target = target

    def run(self, *arguments: str) -> Any:
        """One dbt command on this database."""
        return dbt(self.url, self.target, *arguments)

    def refresh(self, *options: str) -> None:
        """Build the models, without tests."""
        self.run("run", "--no-write-json", *options)
