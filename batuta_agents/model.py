"""What the skill runtime takes and gives: a request, a result, and the vocabulary between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol

from batuta.facts import Fact, render
from batuta.skill_records import RunStatus

if TYPE_CHECKING:
    import psycopg


class Connect(Protocol):
    """Opens a connection to the warehouse in a role: `functools.partial(batuta.warehouse.connect, url)`."""

    def __call__(self, role: Literal["reader", "writer"]) -> psycopg.Connection[Any]: ...


@dataclass(frozen=True, slots=True)
class SkillRequest:
    """The circumstances of a run: whose numbers, of which day, asked by whom with which effective roles."""

    product: str
    roles: tuple[str, ...]
    as_of: date
    caller: str
    pipeline: str | None = None
    dagster_run_id: str | None = None
    trace: str | None = None
    locale: str = "pt-BR"
    currency: str = "BRL"
    timezone: str = "America/Sao_Paulo"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One answer of a language model, and what it used; a call that failed used what the provider says it did."""

    model: str
    """As `BATUTA_MODEL` names it: `provider:name`."""
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Classification:
    """A classifier's verdict on one item; `score` is the probability of the class, in percent."""

    item: str
    label: str
    score: Decimal


@dataclass(frozen=True, slots=True)
class SkillResult:
    """What came of a run; `output` is None unless `status` is ok, `error` is None if it is."""

    status: RunStatus
    run_id: str
    skill: str
    output: Mapping[str, Any] | None
    facts: Mapping[str, Fact] = field(default_factory=dict[str, Fact])
    metrics: Mapping[str, int] = field(default_factory=dict[str, int])
    output_digest: str | None = None
    error: str | None = None

    def said(self, locale: str) -> tuple[str, ...]:
        """The narrative with its numbers printed for a locale."""
        paragraphs = self.output["narrative"] if self.output else ()
        return tuple(render(paragraph["text"], self.facts, locale) for paragraph in paragraphs)

    def to_contract(self, locale: str) -> dict[str, Any]:
        """The answer of `POST /skill/execute`: status, output with report id and summary, metrics."""
        answer: dict[str, Any] = {"status": self.status}
        if self.output is not None:
            answer["output"] = {
                "reportId": self.run_id,
                "summary": " ".join(self.said(locale)),
                **self.output,
            }
        if self.error is not None:
            answer["error"] = self.error
        return answer | {"metrics": dict(self.metrics)}
