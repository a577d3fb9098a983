"""The registry: every applied manifest, the schemas it refers to and the skills behind it, with history.

A version is written only when the content changed. Applying a folder leaves what it does not mention as it
is, unless told to remove it; the bundle always holds everything that is registered.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from batuta.contracts.applied import apply_contracts
from batuta.contracts.taking import Taken
from batuta.errors import BatutaError
from batuta.manifests.bundle import write_bundle
from batuta.manifests.catalog import Catalog, SkillInfo
from batuta.manifests.compiler import compile_manifests
from batuta.manifests.graph import CompiledGraph, content_digest
from batuta.manifests.load import Document
from batuta.manifests.models import FORMS, Agent, Manifest
from batuta.manifests.problems import Problem, dotted, errors_in
from batuta.manifests.yaml_source import Source
from batuta.platform.objectives import write_objectives
from batuta.quality.reading import apply_contracts as apply_data_contracts
from batuta.warehouse.connection import Connection

Action = Literal["created", "updated", "unchanged", "removed"]
Identity = tuple[str, str]

MANIFEST_KINDS = tuple(FORMS)
SCHEMA, SKILL = "Schema", "Skill"
APPLY_LOCK = 0x6261_7475_7461


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one registered thing."""

    kind: str
    name: str
    version: int
    digest: str
    document: dict[str, Any]
    origin: str
    applied_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """What applying did to one registered thing."""

    action: Action
    kind: str
    name: str
    version: int


@dataclass(frozen=True, slots=True)
class ContractChange:
    """What applying did to one contract of the project; a project never removes one."""

    action: Taken
    kind: Literal["EventContract", "DataContract"]
    name: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did."""

    changes: tuple[Change, ...]
    contracts: tuple[ContractChange, ...]
    graph: CompiledGraph
    bundle: Path
    warnings: tuple[Problem, ...]


class Refused(BatutaError):
    """Manifests that cannot be applied."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(
            "\n".join(map(str, problems)), hint="nothing was applied; mend these and apply again"
        )
        self.problems = tuple(problems)


class NotRegistered(BatutaError):
    """The registry does not have it."""


def apply(
    connection: Connection,
    documents: Sequence[Document],
    catalog: Catalog,
    *,
    home: Path,
    now: datetime,
    project: Path | None = None,
    prune: bool = False,
) -> Applied:
    """Register manifests, in one transaction, and put the bundle of all that is registered in force.

    Args:
        connection: As owner; committed here.
        documents: Manifests without errors of form.
        catalog: What the installed code offers.
        home: Where the bundle goes.
        now: The time of registration.
        project: The project folder whose event and data contracts come into force with the manifests.
        prune: Remove manifests that `documents` do not have.

    Raises:
        Refused: together with what is registered already, the manifests make no sense.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [APPLY_LOCK])
        latest = {(entry.kind, entry.name): entry for entry in latest_entries(connection)}
        present = {identity: entry for identity, entry in latest.items() if entry.removed_at is None}
        given = {document.identity for document in documents}
        others = {identity: entry for identity, entry in present.items() if identity not in given}
        kept = [] if prune else list(_registered_documents(others))
        compilation = compile_manifests([*documents, *kept], catalog)
        if compilation.graph is None:
            raise Refused(errors_in(compilation.problems))
        wanted = dict(_wanted([*documents, *kept], catalog.skills))
        changes = tuple(_write(connection, latest, wanted, now))
        _write_products(connection, compilation.graph, now)
        write_objectives(connection, compilation.graph, now)
        contracts = tuple(_take_contracts(project, home)) if project is not None else ()
        bundle = write_bundle(home, compilation.graph)
    connection.commit()
    return Applied(changes, contracts, compilation.graph, bundle, compilation.problems)


def latest_entries(connection: Connection) -> list[Entry]:
    """The last version of everything, also of what has been removed, by kind and name."""
    return _entries(
        connection,
        "select distinct on (kind, name) * from batuta.registry order by kind, name, version desc",
    )


def registered(connection: Connection, kind: str | None = None) -> list[Entry]:
    """What is registered now, by kind and name."""
    return [
        entry
        for entry in latest_entries(connection)
        if entry.removed_at is None and kind in (None, entry.kind)
    ]


def history(connection: Connection, kind: str, name: str) -> list[Entry]:
    """Every version of one thing, newest first.

    Raises:
        NotRegistered: it never was.
    """
    found = _entries(
        connection,
        "select * from batuta.registry where kind = %s and name = %s order by version desc",
        (kind, name),
    )
    if not found:
        raise NotRegistered(f"{kind} {name} is not registered", hint="batuta registry list shows what is")
    return found


def _entries(connection: Connection, query: LiteralString, values: Sequence[str] = ()) -> list[Entry]:
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(query, values).fetchall()


def _registered_documents(present: Mapping[Identity, Entry]) -> Iterator[Document]:
    schemas = {name: entry.document for (kind, name), entry in present.items() if kind == SCHEMA}
    for (kind, name), entry in present.items():
        if kind in FORMS:
            manifest = _manifest(entry)
            own = {ref: schemas[ref] for ref in _schema_refs(manifest) if ref in schemas}
            yield Document(manifest, Source(f"registry ({kind} {name})", {}, {}), own)


def _manifest(entry: Entry) -> Manifest:
    try:
        return FORMS[entry.kind].model_validate(entry.document)
    except ValidationError as error:
        fields = ", ".join(sorted({dotted(detail["loc"]) for detail in error.errors()}))
        raise BatutaError(
            f"the registered {entry.kind} {entry.name} does not fit this version of BATUTA: {fields}",
            hint=f"apply a folder that has {entry.kind} {entry.name}, or apply with --prune to remove it",
        ) from None


def _schema_refs(manifest: Manifest) -> list[str]:
    if not isinstance(manifest, Agent):
        return []
    contracts = manifest.spec.contracts
    return [ref for ref in (contracts.input_schema_ref, contracts.output_schema_ref) if ref is not None]


def _wanted(
    documents: Iterable[Document], skills: Iterable[SkillInfo]
) -> Iterator[tuple[Identity, tuple[Mapping[str, Any], str]]]:
    for document in documents:
        content = document.manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
        yield document.identity, (content, document.source.file)
        for ref, schema in document.schemas.items():
            yield (SCHEMA, ref), (schema, document.source.file)
    for skill in skills:
        yield (SKILL, skill.name), (asdict(skill), f"batuta_agents.{skill.agent}")


def _write(
    connection: Connection,
    latest: Mapping[Identity, Entry],
    wanted: Mapping[Identity, tuple[Mapping[str, Any], str]],
    now: datetime,
) -> Iterator[Change]:
    for kind, name in sorted({*latest, *wanted}, key=_kinds_first):
        entry = latest.get((kind, name))
        present = entry is not None and entry.removed_at is None
        if (kind, name) not in wanted:
            if entry is not None and present:
                connection.execute(
                    "update batuta.registry set removed_at = %s"
                    " where kind = %s and name = %s and version = %s",
                    [now, kind, name, entry.version],
                )
                yield Change("removed", kind, name, entry.version)
            continue
        content, origin = wanted[kind, name]
        digest = content_digest(content)
        if entry is not None and present and entry.digest == digest:
            yield Change("unchanged", kind, name, entry.version)
            continue
        version = entry.version + 1 if entry is not None else 1
        connection.execute(
            "insert into batuta.registry (kind, name, version, digest, document, origin, applied_at)"
            " values (%s, %s, %s, %s, %s, %s, %s)",
            [kind, name, version, digest, Jsonb(content), origin, now],
        )
        yield Change("updated" if present else "created", kind, name, version)


def _take_contracts(project: Path, home: Path) -> Iterator[ContractChange]:
    for name, taken in apply_contracts(project, home).items():
        yield ContractChange(taken, "EventContract", name)
    for name, taken in apply_data_contracts(project, home).items():
        yield ContractChange(taken, "DataContract", name)


def _kinds_first(identity: Identity) -> tuple[int, str, str]:
    kind, name = identity
    order = (*MANIFEST_KINDS, SCHEMA, SKILL)
    return order.index(kind) if kind in order else len(order), kind, name


def _write_products(connection: Connection, graph: CompiledGraph, now: datetime) -> None:
    names = [product.name for product in graph.products]
    connection.execute("delete from batuta.products where not product = any(%s)", [names])
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into batuta.products as known (product, currency, timezone, locale, gross_margin, applied_at)"
            " values (%s, %s, %s, %s, %s, %s)"
            " on conflict (product) do update set currency = excluded.currency, timezone = excluded.timezone,"
            " locale = excluded.locale, gross_margin = excluded.gross_margin, applied_at = excluded.applied_at"
            " where (known.currency, known.timezone, known.locale, known.gross_margin)"
            " is distinct from (excluded.currency, excluded.timezone, excluded.locale, excluded.gross_margin)",
            [(p.name, p.currency, p.timezone, p.locale, p.gross_margin, now) for p in graph.products],
        )
