"""Where a fact comes from: rows of a query, other facts, or the skill's own input; and by which events.

Events are named in full where a skill picked them row by row (`EventList`), and by a query where they are too many
to keep (`EventQuery`). Both carry count, digest and sample, so that a later listing can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from batuta.blobs import canonical_json, digest_of
from batuta.facts import events_digest
from batuta_agents.queries import Query, RowSet, plain

EventRef: TypeAlias = tuple[str, str]
SAMPLE_SIZE: Final = 5
_PICKED_KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class Record:
    """Something lineage points at by digest: an event list or the SQL that makes one."""

    digest: str
    kind: str
    content: str


@dataclass(frozen=True, slots=True)
class EventList:
    """Events named one by one."""

    refs: tuple[EventRef, ...]

    @classmethod
    def of(cls, refs: Iterable[Sequence[str]]) -> EventList:
        """Distinct events in a fixed order."""
        return cls(tuple(sorted({(source, id) for source, id in refs})))

    def record(self) -> Record:
        """The list itself, to be kept."""
        content = canonical_json(self.refs)
        return Record(digest_of(content), "events", content.decode())

    def to_json(self) -> dict[str, Any]:
        """Its place in a fact's lineage."""
        return {
            "list": self.record().digest,
            "count": len(self.refs),
            "digest": events_digest(self.refs),
            "sample": [list(ref) for ref in self.refs[:SAMPLE_SIZE]],
        }


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Events listed by a query of `source, id`; None where they were not counted at the time."""

    query: Query
    parameters: Mapping[str, Any]
    count: int | None = None
    digest: str | None = None
    sample: tuple[EventRef, ...] = ()

    def record(self) -> Record:
        """The query's text, to be kept."""
        return Record(self.query.digest, "query", self.query.sql)

    def to_json(self) -> dict[str, Any]:
        """Its place in a fact's lineage."""
        return {
            "query": self.query.digest,
            "parameters": plain(dict(self.parameters)),
            "count": self.count,
            "digest": self.digest,
            "sample": [list(ref) for ref in self.sample],
        }


Events: TypeAlias = EventList | EventQuery


@dataclass(frozen=True, slots=True)
class FromRows:
    """Computed from columns of a query's rows: all of them, or those picked."""

    rows: RowSet
    columns: tuple[str, ...]
    events: Events | None = None
    picked: tuple[int, ...] | None = None

    def to_json(self, batch_to: int) -> dict[str, Any]:
        """The lineage as recorded."""
        query = self.rows.query
        lineage: dict[str, Any] = {
            "kind": "rows",
            "query": query.name,
            "query_digest": query.digest,
            "relations": list(query.relations),
            "filter": query.filter,
            "grain": query.grain,
            "parameters": plain(dict(self.rows.parameters)),
            "columns": list(self.columns),
            "rows_digest": self.rows.digest,
            "row_count": len(self.rows.rows) if self.picked is None else len(self.picked),
            "batch_to": batch_to,
        }
        if self.picked is not None and len(self.picked) <= _PICKED_KEPT:
            lineage["rows"] = list(self.picked)
        if self.events is not None:
            lineage["events"] = self.events.to_json()
        return lineage


@dataclass(frozen=True, slots=True)
class FromFacts:
    """Computed from other facts of the same run by a stated formula."""

    facts: tuple[str, ...]
    formula: str

    def to_json(self, batch_to: int) -> dict[str, Any]:
        """The lineage as recorded."""
        return {"kind": "facts", "facts": list(self.facts), "formula": self.formula, "batch_to": batch_to}


@dataclass(frozen=True, slots=True)
class FromRequest:
    """Given with the request: an option of the input, an assumption, the product or the day."""

    field: str
    note: str | None = None

    def to_json(self, batch_to: int) -> dict[str, Any]:
        """The lineage as recorded."""
        return {"kind": "request", "field": self.field, "note": self.note, "batch_to": batch_to}


Lineage: TypeAlias = FromRows | FromFacts | FromRequest
