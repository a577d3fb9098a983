"""What a skill function may do: read named facts of one snapshot, record numbers, narrate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from batuta.facts import Fact, FactValue
from batuta_agents.forms import Paragraph
from batuta_agents.lineage import EventQuery, EventRef, FromRequest, FromRows, Lineage, Record
from batuta_agents.model import Classification, ModelCall, SkillRequest
from batuta_agents.narratives import Narratives
from batuta_agents.queries import Query, RowSet, fetch, load_query

if TYPE_CHECKING:
    import psycopg


@dataclass(slots=True)
class SkillContext:
    """A skill's only way to the world; it lives for one run, inside one read-only snapshot."""

    request: SkillRequest
    batch_to: int
    started_at: datetime
    narratives: Narratives
    _conn: psycopg.Connection[Any]
    _package: str
    _run_id: str
    recorded: dict[str, Fact] = field(default_factory=dict[str, Fact])
    records: dict[str, Record] = field(default_factory=dict[str, Record])
    row_sets: list[RowSet] = field(default_factory=list[RowSet])
    model_calls: list[ModelCall] = field(default_factory=list[ModelCall])
    """What models used; shared with the run, which records it even where the skill fails."""
    classifications: dict[str, Classification] = field(default_factory=dict[str, Classification])
    """By item."""

    @property
    def as_of(self) -> date:
        """The business day analysed."""
        return self.request.as_of

    @property
    def currency(self) -> str:
        """The product's currency."""
        return self.request.currency

    @property
    def money(self) -> str:
        """The unit of money facts."""
        return f"money:{self.request.currency}"

    def facts(self, name: str, **parameters: Any) -> RowSet:
        """The rows of a named query, as of the run's day and snapshot."""
        rows = fetch(self._conn, load_query(self._package, name), self._parameters(parameters))
        self.row_sets.append(rows)
        return rows

    def events(
        self,
        name: str,
        parameters: Mapping[str, Any],
        count: int | None = None,
        digest: str | None = None,
        sample: tuple[EventRef, ...] = (),
    ) -> EventQuery:
        """The events a named query lists; it is run when somebody asks for them."""
        query: Query = load_query(self._package, name)
        bound = query.bind(self._parameters(parameters))
        return EventQuery(query, bound, count, digest, sample)

    def fact(self, name: str, value: FactValue, unit: str, lineage: Lineage) -> str:
        """Record a number with where it came from; returns its name, for slots and outputs."""
        if name in self.recorded:
            raise ValueError(f"fact {name} is recorded twice")
        if isinstance(lineage, FromRows) and lineage.events is not None:
            record = lineage.events.record()
            self.records[record.digest] = record
        identity = f"{self._run_id}.{name}"
        if unit == "count" and isinstance(value, Decimal):
            value = int(value)
        self.recorded[name] = Fact(identity, name, value, unit, self.as_of, lineage.to_json(self.batch_to))
        return name

    def given(self, name: str, value: FactValue, unit: str, field: str, note: str | None = None) -> str:
        """Record what came with the request: an option or an assumption."""
        return self.fact(name, value, unit, FromRequest(field, note))

    def used_model(self, model: str, *, input_tokens: int, output_tokens: int) -> None:
        """Record what one call of a language model used; whoever calls one does."""
        self.model_calls.append(ModelCall(model, input_tokens, output_tokens))

    def classify(self, item: str, label: str, score: Decimal) -> None:
        """Record this skill's verdict on an item, so that it can be held against what people find out later."""
        if item in self.classifications:
            raise ValueError(f"{item} is classified twice")
        self.classifications[item] = Classification(item, label, score)

    def narrate(self, key: str, count: int | None = None) -> Paragraph:
        """A paragraph by template, in the plural form `count` asks for."""
        return self.narratives.paragraph(key, count)

    def words(self, key: str, count: int | None = None) -> str:
        """Words of the template file, for names and labels in the product's locale."""
        return self.narratives.text(key, count)

    def _parameters(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        request = self.request
        return {
            "product": request.product,
            "as_of": request.as_of,
            "currency": request.currency,
            "timezone": request.timezone,
            **extra,
        }
