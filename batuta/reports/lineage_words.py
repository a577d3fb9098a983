"""Where a fact comes from and what was counted for it, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from batuta.facts import Fact, format_value
from batuta.reports.ledger import event_samples, sources

SHOWN_EVENTS: Final = 2


def describe_lineage(fact: Fact, linked: Sequence[tuple[str, str]], words: Mapping[str, str]) -> Markup:
    """Where a fact comes from: a query's rows, other facts, or the request."""
    lineage = fact.lineage
    kind = lineage.get("kind")
    if kind == "request":
        return Markup("{}").format(words["from_request"].format(field=lineage.get("field")))
    if kind == "facts":
        names = {name: anchor for anchor, name in linked}
        listed = Markup(", ").join(
            Markup('<a href="#{}">{}</a>').format(names[name], name)
            if name in names
            else Markup("{}").format(name)
            for name in sources(fact)
        )
        formula = words["from_facts"].format(formula=lineage.get("formula"))
        return Markup("{}<br>{}").format(formula, listed)
    relations = ", ".join(lineage.get("relations", ()))
    pieces = [Markup("<code>{}</code>").format(relations)]
    if lineage.get("filter"):
        pieces.append(Markup("{}: {}").format(words["filter"], lineage["filter"]))
    return Markup("<br>").join(pieces)


def describe_evidence(fact: Fact, words: Mapping[str, str], locale: str) -> Markup:
    """What was counted for a fact: rows, batch, query, events."""
    lineage = fact.lineage
    events = lineage.get("events") or {}
    found: list[str] = []
    rows = lineage.get("row_count")
    if rows is not None:
        found.append(words["row" if rows == 1 else "rows"].format(count=format_value(rows, "count", locale)))
    if events.get("count") is not None:
        found.append(words["events"].format(count=format_value(events["count"], "count", locale)))
    if lineage.get("batch_to") is not None:
        found.append(words["batch"].format(batch=lineage["batch_to"]))
    if lineage.get("query_digest"):
        digest = str(lineage["query_digest"]).removeprefix("sha256:")[:12]
        found.append(words["query"].format(name=f"{lineage.get('query', '')} {digest}".strip()))
    text = Markup("{}").format(" · ".join(found))
    samples = list(event_samples(lineage))[:SHOWN_EVENTS]
    if samples:
        listed = Markup(", ").join(Markup("<code>{}</code>").format(event_id) for event_id in samples)
        text += Markup("<br>{}: {}").format(words["sample_events"], listed)
    return text
