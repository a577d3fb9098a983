"""Event contracts in force on an installation: the shipped ones and those that `batuta apply` took from a project.

Applied contracts lie under BATUTA_HOME, so that what lands does not depend on the folder a process was started in.
Versions are added, and those that are there stay: rows of the log refer to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batuta.contracts.contract import PROJECT_FOLDER, Contracts
from batuta.contracts.taking import Taken, take


def applied_folder(home: Path) -> Path:
    """Where applied contracts lie, laid out as in a project."""
    return home / "contracts"


def apply_contracts(project: Path, home: Path) -> Mapping[str, Taken]:
    """Put a project's contracts in force; what that changed, by `name/version`."""
    own, target = project / PROJECT_FOLDER, applied_folder(home) / PROJECT_FOLDER
    names = [source.relative_to(own) for source in sorted(own.glob("*/*.json"))]
    return {name.with_suffix("").as_posix(): take(own / name, target / name) for name in names}


def contracts_in_force(home: Path) -> Contracts:
    """The shipped contracts and the applied ones.

    Raises:
        ContractError: any of them is wrong.
    """
    return Contracts.load(applied_folder(home))
