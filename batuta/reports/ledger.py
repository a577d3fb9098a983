"""Which facts a page speaks of: it links each number to its fact, and the facts to what they were made from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from batuta.facts import Fact, format_fact, parts
from batuta.skill_records import Analysis

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the appendix: a fact with the section it belongs to and the facts it was made from."""

    anchor: str
    origin: str
    fact: Fact
    sources: tuple[tuple[str, str], ...]
    """(anchor, name) of the facts it was computed from."""


@dataclass(slots=True)
class Ledger:
    """Links to facts, in the order they were first spoken of."""

    locale: str
    _used: dict[str, tuple[str, Fact, Mapping[str, Fact]]] = field(
        default_factory=dict[str, tuple[str, Fact, Mapping[str, Fact]]]
    )

    def link(self, fact: Fact, origin: str, known: Mapping[str, Fact], style: str | None = None) -> Markup:
        """A fact's value, linked to its line in the appendix."""
        return self.mark(fact, origin, known, format_fact(fact, self.locale, style))

    def mark(self, fact: Fact, origin: str, known: Mapping[str, Fact], text: str) -> Markup:
        """Any words for a fact, linked to its line in the appendix."""
        self._use(fact, origin, known)
        return Markup('<a class="fact" href="#{}">{}</a>').format(anchor_of(fact), text)

    def words(self, text: str, analysis: Analysis) -> Markup:
        """A narrative of an analysis with each of its facts linked."""
        pieces = (
            escape(part.text)
            if part.fact is None
            else self.mark(part.fact, analysis.skill, analysis.facts, part.text)
            for part in parts(text, analysis.facts, self.locale)
        )
        return Markup("").join(pieces)

    def entries(self) -> list[Entry]:
        """All facts spoken of and all they were made from, in order."""
        return [
            Entry(
                anchor_of(fact),
                origin,
                fact,
                tuple((anchor_of(known[name]), name) for name in sources(fact) if name in known),
            )
            for origin, fact, known in self._used.values()
        ]

    def _use(self, fact: Fact, origin: str, known: Mapping[str, Fact]) -> None:
        if fact.id in self._used:
            return
        self._used[fact.id] = (origin, fact, known)
        for name in sources(fact):
            if name in known:
                self._use(known[name], origin, known)


def anchor_of(fact: Fact) -> str:
    """The fragment of a fact's line."""
    return "fact-" + _UNFIT.sub("-", fact.id)


def sources(fact: Fact) -> tuple[str, ...]:
    """Names of the facts this one was computed from."""
    if fact.lineage.get("kind") != "facts":
        return ()
    return tuple(fact.lineage.get("facts", ()))


def event_samples(lineage: Mapping[str, Any]) -> Iterator[str]:
    """Ids of a few events behind a fact."""
    for _source, event_id in (lineage.get("events") or {}).get("sample", ()):
        yield event_id


def plain_words(text: str, analysis: Analysis, locale: str) -> str:
    """A narrative of an analysis without links."""
    return "".join(part.text for part in parts(text, analysis.facts, locale))
