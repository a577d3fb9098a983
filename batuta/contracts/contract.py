"""Event contracts: the shipped ones and the project's own, loaded, checked and looked up by event type.

A contract lies in `<folder>/<name>/<version>.json`; its newest version is in force, older ones stay readable. Which
types it governs: those of the table in `batuta.events.types` that name it, those of its own `x-batuta.types`, and the
type that is called like it. The project's folder comes after the shipped one and may add versions, not change them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import orjson

from batuta.contracts.profile import Node, Personal, personal_fields, read_profile
from batuta.errors import BatutaError
from batuta.events.types import lookup, matches

PROJECT_FOLDER: Final = Path("schemas") / "events"
_VERSION: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")


class ContractError(BatutaError):
    """Contracts that cannot be used: every problem on a line of its own, with file and place."""


class NoContract(BatutaError):
    """No contract governs a type."""


@dataclass(frozen=True)
class Contract:
    """One version of a contract."""

    name: str
    version: str
    schema: Mapping[str, Any] = field(repr=False)
    root: Node = field(repr=False)
    types: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """What the events it let in are marked with: a URI that names contract and version."""
        return f"batuta:contract:{self.name}/{self.version}"

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the schema, whatever its spacing and order."""
        return hashlib.sha256(orjson.dumps(self.schema, option=orjson.OPT_SORT_KEYS)).hexdigest()

    @cached_property
    def personal(self) -> Mapping[str, Personal]:
        """The personal data it names, by field path."""
        return personal_fields(self.root)


class Contracts:
    """Every contract of an installation."""

    def __init__(self, contracts: Sequence[Contract]) -> None:
        self._versions: dict[str, list[Contract]] = {}
        for contract in contracts:
            self._versions.setdefault(contract.name, []).append(contract)
        for versions in self._versions.values():
            versions.sort(key=lambda contract: _version_key(contract.version))
        self.for_type = lru_cache(maxsize=4096)(self._for_type)

    @classmethod
    def load(cls, project: Path | None = None) -> Contracts:
        """Load the shipped contracts and those of a project folder.

        Raises:
            ContractError: any of them is wrong; the message has them all.
        """
        problems: list[str] = []
        found = _read_folder(files("batuta.contracts") / "schemas", "shipped", problems)
        if project is not None and (project / PROJECT_FOLDER).is_dir():
            shipped = {(contract.name, contract.version): contract for contract in found}
            for own in _read_folder(project / PROJECT_FOLDER, str(project / PROJECT_FOLDER), problems):
                before = shipped.get((own.name, own.version))
                if before is None:
                    found.append(own)
                elif before.digest != own.digest:
                    problems.append(
                        f"{project / PROJECT_FOLDER / own.name / own.version}.json: version {own.version} of "
                        f"{own.name} is shipped with other content; give yours a higher version"
                    )
        if problems:
            raise ContractError(
                "\n".join(problems), hint="docs/contracts.md shows the profile contracts are written in."
            )
        return cls(found)

    @property
    def names(self) -> tuple[str, ...]:
        """Every contract's name."""
        return tuple(sorted(self._versions))

    def get(self, name: str, version: str | None = None) -> Contract:
        """A contract by name, in its newest version or the one named.

        Raises:
            NoContract: there is none.
        """
        for contract in reversed(self._versions.get(name, [])):
            if version in (None, contract.version):
                return contract
        raise NoContract(f"there is no contract {name}" + (f" in version {version}" if version else ""))

    def _for_type(self, type: str) -> Contract:
        """The contract in force for an event type.

        Raises:
            NoContract: none governs it.
        """
        own = self._versions.get(type)
        if own:
            return own[-1]
        row = lookup(type)
        if row is not None and row.contract in self._versions:
            return self._versions[row.contract][-1]
        for versions in self._versions.values():
            if any(matches(pattern, type) for pattern in versions[-1].types):
                return versions[-1]
        raise NoContract(
            "no contract governs this event type",
            hint=f"Write one as {PROJECT_FOLDER}/<type>/1.json in the project folder.",
        )


def _read_folder(folder: Traversable, where: str, problems: list[str]) -> list[Contract]:
    contracts: list[Contract] = []
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if not entry.is_dir():
            continue
        for file in sorted(entry.iterdir(), key=lambda item: item.name):
            stem, dot, suffix = file.name.rpartition(".")
            if suffix != "json" or not dot:
                continue
            place = f"{where}/{entry.name}/{file.name}"
            if not _VERSION.fullmatch(stem):
                problems.append(f"{place}: a contract's file is called by its version, as 1.json")
                continue
            contract = _read_contract(entry.name, stem, file, place, problems)
            if contract is not None:
                contracts.append(contract)
    return contracts


def _read_contract(
    name: str, version: str, file: Traversable, place: str, problems: list[str]
) -> Contract | None:
    try:
        schema = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        problems.append(f"{place}: cannot be read as JSON: {error}")
        return None
    root, wrong = read_profile(schema)
    problems += [f"{place}: {problem}" for problem in wrong]
    types = _types(schema)
    if types is None:
        problems.append(
            f'{place}: x-batuta at the root must be {{"types": [event types or prefixes with .*]}}'
        )
    if root is None or types is None:
        return None
    return Contract(name, version, schema, root, types)


def _types(schema: Any) -> tuple[str, ...] | None:
    annotation = schema.get("x-batuta", {}) if isinstance(schema, dict) else {}
    if not isinstance(annotation, dict) or annotation.keys() - {"types"}:
        return None
    types = annotation.get("types", [])
    if not isinstance(types, list) or not all(isinstance(item, str) and item for item in types):
        return None
    return tuple(types)


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
