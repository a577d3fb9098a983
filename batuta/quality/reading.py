"""Reads data contracts: Open Data Contract Standard YAML, checked against the standard and what we ask beyond it.

Shipped contracts lie in `dbt_project/contracts`, a project's own in its folder `contracts`; `batuta apply` puts these
in force. What is read once is kept under BATUTA_HOME by the digest of the file: parsing YAML with places costs a
second.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from batuta.contracts.taking import Taken, take
from batuta.errors import BatutaError
from batuta.manifests.problems import FieldPath, Position, Problem, dotted
from batuta.quality.contract import ENFORCED, Breaking, DataContract, Field, is_version, version_key
from batuta.quality.rules import rules_of

if TYPE_CHECKING:
    from batuta.manifests.yaml_source import Source

SUFFIX: Final = ".odcs.yaml"
SHIPPED_FOLDER: Final = Path("dbt_project") / "contracts"
PROJECT_FOLDER: Final = Path("contracts")
STATUSES: Final = ("proposed", "draft", "active", "deprecated", "retired")
ASKED: Final = "FILL IN"
"""What a drafted contract says where only people know."""
FRESHNESS: Final = ("freshness", "latency")
LOGICAL_TYPES: Final[Mapping[str, str]] = {
    "text": "string",
    "uuid": "string",
    "bytea": "string",
    "boolean": "boolean",
    "date": "date",
    "timestamp with time zone": "timestamp",
    "timestamp without time zone": "timestamp",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "numeric": "number",
    "double precision": "number",
    "json": "object",
    "jsonb": "object",
}
_UNITS: Final = {"d": 86_400, "day": 86_400, "h": 3_600, "hour": 3_600, "m": 60, "min": 60, "minute": 60}
_DIGESTED: Final = b"batuta contract cache 1\0"


class ContractsWrong(BatutaError):
    """Data contracts that cannot be used: every problem on a line of its own, with file and place."""


@dataclass(frozen=True, slots=True)
class Read:
    """A contract file: the contract where it is sound, where its parts stand, and what is wrong."""

    contract: DataContract | None
    source: Source
    problems: tuple[Problem, ...]


def read_contract(content: bytes, file: str) -> Read:
    """Read one file; everything that is wrong with it at once."""
    from batuta.manifests.yaml_source import Source, read_yaml

    documents, problems = read_yaml(content, file)
    if problems or len(documents) != 1:
        said = problems or (Problem(Position(file), "", "one file holds one contract, as one YAML document"),)
        return Read(None, Source(file, {}, {}), tuple(said))
    value, source = documents[0].value, documents[0].source
    found = [*_standard(value, source), *_ours(value, source), *_unsaid(value, source)]
    if found:
        return Read(None, source, tuple(sorted(set(found))))
    contract, wrong = _build(value, file, hashlib.sha256(content).hexdigest())
    complaints = tuple(Problem(source.value_position(path), dotted(path), text) for path, text in wrong)
    return Read(None if complaints else contract, source, complaints)


def contract_files(folder: Path) -> list[Path]:
    """The contract files of a folder, in the order of their names."""
    return sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []


def load(folders: Iterable[Path], cache_file: Path | None = None) -> tuple[DataContract, ...]:
    """Every contract of these folders; a later folder's version takes the place of an earlier one's of that name.

    Raises:
        ContractsWrong: any of them is wrong; the message has all problems.
    """
    kept = _read_cache(cache_file)
    documents, problems = dict[str, Any](), list[Problem]()
    found: dict[tuple[str, str], DataContract] = {}
    for file in (file for folder in folders for file in contract_files(folder)):
        content = file.read_bytes()
        digest = hashlib.sha256(_DIGESTED + content).hexdigest()
        contract: DataContract | None
        if digest in kept:
            contract, _ = _build(kept[digest], str(file), hashlib.sha256(content).hexdigest())
        else:
            read = read_contract(content, str(file))
            problems += read.problems
            contract = read.contract
        if contract is not None:
            documents[digest] = kept.get(digest) or _document(content, str(file))
            found[contract.name, contract.version] = contract
    if problems:
        raise ContractsWrong(
            "\n".join(map(str, sorted(problems))), hint="docs/data-contracts.md shows how one is written."
        )
    if cache_file is not None and documents != kept:
        _write_cache(cache_file, documents)
    return tuple(sorted(found.values(), key=lambda c: (c.name, version_key(c.version))))


def _document(content: bytes, file: str) -> Any:
    from batuta.manifests.yaml_source import read_yaml

    return read_yaml(content, file)[0][0].value


def in_force(project: Path, home: Path) -> tuple[DataContract, ...]:
    """The shipped contracts and the applied ones."""
    return load((project / SHIPPED_FOLDER, applied_folder(home)), home / "quality" / "contracts.json")


def applied_folder(home: Path) -> Path:
    """Where the contracts lie that `batuta apply` took from a project."""
    return home / "contracts" / "data"


def apply_contracts(project: Path, home: Path) -> Mapping[str, Taken]:
    """Put a project's data contracts in force; what that changed, by name of the file."""
    target = applied_folder(home)
    return {file.name: take(file, target / file.name) for file in contract_files(project / PROJECT_FOLDER)}


def enforced(contracts: Sequence[DataContract]) -> tuple[DataContract, ...]:
    """Of each name the newest version whose promise stands: the one the data are held to."""
    newest: dict[str, DataContract] = {}
    for contract in contracts:
        if contract.status in ENFORCED:
            before = newest.get(contract.name)
            if before is None or version_key(before.version) < version_key(contract.version):
                newest[contract.name] = contract
    return tuple(newest[name] for name in sorted(newest))


def logical_type(physical: str) -> str | None:
    """The standard's type for one of PostgreSQL's; None for one that contracts do not know."""
    if physical.endswith("[]"):
        return "array"
    return LOGICAL_TYPES.get(physical.partition("(")[0].strip())


@cache
def _validator() -> Any:
    from importlib.resources import files

    from jsonschema import Draft201909Validator

    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_bytes())
    return Draft201909Validator(schema)


def _standard(value: Any, source: Source) -> Iterator[Problem]:
    """What the standard's own schema has against a document."""
    for error in _validator().iter_errors(value):
        path: FieldPath = tuple(error.absolute_path)
        named = [p for p in error.absolute_path if isinstance(p, str)]
        message = (
            error.message if len(error.message) < 300 else f"does not fit the standard at {'.'.join(named)}"
        )
        yield Problem(source.value_position(path), dotted(path), message)


def _ours(value: Mapping[str, Any], source: Source) -> Iterator[Problem]:
    """What we ask of a contract beyond the standard, because something here reads it."""

    def problem(message: str, *path: str | int) -> Problem:
        return Problem(source.value_position(path), dotted(path), message)

    if not isinstance(value, Mapping):
        yield problem("a contract is a mapping of fields")
        return
    for field, why in (
        ("name", "what the contract is called"),
        ("domain", "the data domain it exports"),
        ("status", f"one of {', '.join(STATUSES)}"),
    ):
        if not value.get(field):
            yield problem(f"{field} is missing: {why}", field)
    if value.get("status") and value["status"] not in STATUSES:
        yield problem(f'no status "{value["status"]}"; known: {", ".join(STATUSES)}', "status")
    if not is_version(str(value.get("version", ""))):
        yield problem("a version is major.minor.patch, in quotes: a break raises the first number", "version")
    if not (value.get("description") or {}).get("purpose"):
        yield problem("description.purpose is missing: what the data are for", "description")
    if not isinstance(value.get("team"), Mapping) or not value["team"].get("name"):
        yield problem("team.name is missing: who answers for it", "team")
    if _fresh_within(value) is None:
        yield problem(
            "slaProperties lacks `freshness` with a value and a unit of d, h or m: how old the data may be",
            "slaProperties",
        )
    breaking = _custom(value).get("breaking")
    if not isinstance(breaking, Mapping) or not {"usedBy", "noticeDays", "whatToDo"} <= breaking.keys():
        yield problem(
            "customProperties lacks `breaking` with usedBy, noticeDays and whatToDo: what it costs to break it",
            "customProperties",
        )
    schema = value.get("schema")
    if not isinstance(schema, list) or len(schema) != 1:
        yield problem("schema has exactly one object: the relation", "schema")
    elif isinstance(schema[0], Mapping):
        yield from _relation_problems(schema[0], source)


def _unsaid(value: Any, source: Source, path: FieldPath = ()) -> Iterator[Problem]:
    """What `batuta contracts draft` left for people to say."""
    if isinstance(value, str) and value.startswith(ASKED):
        yield Problem(
            source.value_position(path), dotted(path), f"still to be said: {value.removeprefix(ASKED + ': ')}"
        )
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from _unsaid(part, source, (*path, name))


def _relation_problems(schema: Mapping[str, Any], source: Source) -> Iterator[Problem]:
    def problem(message: str, *path: str | int) -> Problem:
        return Problem(source.value_position(("schema", 0, *path)), dotted(("schema", 0, *path)), message)

    if str(schema.get("physicalName", "")).count(".") != 1:
        yield problem("physicalName is schema and relation, as batuta_marts.fct_orders", "physicalName")
    if not schema.get("dataGranularityDescription"):
        yield problem("dataGranularityDescription is missing: what one row is", "dataGranularityDescription")
    columns = [c for c in schema.get("properties") or () if isinstance(c, Mapping)]
    positions = sorted(c.get("primaryKeyPosition", 0) for c in columns if c.get("primaryKey"))
    if not positions or positions != list(range(1, len(positions) + 1)):
        yield problem("primaryKey columns have a primaryKeyPosition each: 1, 2, ...", "properties")
    names = [c.get("name") for c in columns]
    for place, column in enumerate(columns):
        if names.index(column.get("name")) != place:
            yield problem(f'a second column "{column.get("name")}"', "properties", place, "name")
        for field in ("logicalType", "physicalType", "description"):
            if not column.get(field):
                yield problem(f"{field} of {column.get('name')} is missing", "properties", place)
        physical, logical = column.get("physicalType"), column.get("logicalType")
        meant = logical_type(str(physical)) if physical else None
        if physical and meant is None:
            yield problem(
                f"{physical} is not a type contracts know; known: {', '.join(LOGICAL_TYPES)}",
                *("properties", place, "physicalType"),
            )
        elif physical and logical and logical != meant:
            yield problem(f"{physical} is {meant}, not {logical}", "properties", place, "logicalType")


def _build(
    value: Mapping[str, Any], file: str, digest: str
) -> tuple[DataContract, list[tuple[FieldPath, str]]]:
    """The contract of a document that fits the standard and our additions."""
    schema = value["schema"][0]
    rules, wrong = rules_of(schema, ("schema", 0))
    own, custom = _custom(schema), _custom(value)
    breaking = custom["breaking"]
    fields = tuple(
        Field(
            name=column["name"],
            logical_type=column["logicalType"],
            physical_type=column["physicalType"],
            description=column["description"].strip(),
            required=bool(column.get("required") or column.get("primaryKey")),
            key_position=column.get("primaryKeyPosition") if column.get("primaryKey") else None,
            unit=_custom(column).get("unit"),
        )
        for column in schema["properties"]
    )
    contract = DataContract(
        name=value["name"],
        version=str(value["version"]),
        status=value["status"],
        domain=value["domain"],
        owner=value["team"]["name"],
        relation=schema["physicalName"],
        title=str(schema.get("businessName") or value["name"]),
        description=value["description"]["purpose"].strip(),
        grain=schema["dataGranularityDescription"],
        fields=fields,
        rules=tuple(rules),
        fresh_within=_fresh_within(value),
        breaking=Breaking(
            tuple(map(str, breaking["usedBy"])),
            int(breaking["noticeDays"]),
            str(breaking["whatToDo"]).strip(),
        ),
        expected_products=_text(own.get("expectedProducts")),
        events=_text(own.get("events")),
        file=file,
        digest=digest,
    )
    return contract, wrong


def _custom(part: Mapping[str, Any]) -> dict[str, Any]:
    listed = part.get("customProperties") or ()
    return {entry["property"]: entry["value"] for entry in listed if isinstance(entry, Mapping)}


def _text(value: object) -> str | None:
    return str(value).strip().rstrip(";") if value else None


def _fresh_within(value: Mapping[str, Any]) -> timedelta | None:
    for entry in value.get("slaProperties") or ():
        seconds = (
            _UNITS.get(str(entry.get("unit", "")).removesuffix("s") or "d")
            if isinstance(entry, Mapping)
            else None
        )
        if seconds and entry.get("property") in FRESHNESS and isinstance(entry.get("value"), int | float):
            return timedelta(seconds=entry["value"] * seconds)
    return None


def _read_cache(file: Path | None) -> dict[str, Any]:
    try:
        return orjson.loads(file.read_bytes()) if file is not None else {}
    except (OSError, ValueError):
        return {}


def _write_cache(file: Path, documents: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_text(json.dumps(documents), encoding="utf-8")
    fresh.replace(file)
