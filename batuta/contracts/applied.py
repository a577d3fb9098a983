"""Event contracts in force on an installation: the shipped ones and those that `batuta apply` took from a project.

Applied contracts lie under BATUTA_HOME, so that what lands does not depend on the folder a process was started in.
Versions are added, and those that are there stay: rows of the log refer to them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from batuta.contracts.contract import PROJECT_FOLDER, Contracts


def applied_folder(home: Path) -> Path:
    """Where applied contracts lie, laid out as in a project."""
    return home / "contracts"


def apply_contracts(project: Path, home: Path) -> tuple[str, ...]:
    """Put a project's contracts in force; gives `name/version` of each.

    Each file is replaced whole, so a reader sees the old or the new one.
    """
    applied: list[str] = []
    for source in sorted((project / PROJECT_FOLDER).glob("*/*.json")):
        name = source.relative_to(project / PROJECT_FOLDER)
        target = applied_folder(home) / PROJECT_FOLDER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.new")
        shutil.copyfile(source, fresh)
        fresh.replace(target)
        applied.append(str(name.with_suffix("")))
    return tuple(applied)


def contracts_in_force(home: Path) -> Contracts:
    """The shipped contracts and the applied ones.

    Raises:
        ContractError: any of them is wrong.
    """
    return Contracts.load(applied_folder(home))
