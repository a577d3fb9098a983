"""Where a fact comes from and what was counted for it, in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from markupsafe import Markup

from batuta.facts import Fact, format_value
from batuta.reports.ledger import event_samples, sources

SHOWN_EVENTS: Final = 2
_MODEL: Final = re.compile(
    r"(?:batuta_(?:staging|intermediate|marts|live)\.)?((?:stg|int|fct|dim|kpi|live)_\w+)"
)
"""A relation that dbt builds, with or without its schema."""


_MART: Final = re.compile(r"(?:fct|dim|kpi)_\w+")
LATEST: Final[Mapping[str, int]] = MappingProxyType({})
"""The version of marts whose latest is not the first, as dbt's `latest_version` says."""


def model_page(docs: str, model: str) -> str:
    """The address of a dbt model's page on the documentation site: marts are versioned."""
    version = f".v{LATEST.get(model, 1)}" if _MART.fullmatch(model) else ""
    return f"{docs}/#!/model/model.batuta.{model}{version}"


def describe_lineage(
    fact: Fact, linked: Sequence[tuple[str, str]], words: Mapping[str, str], docs: str | None
) -> Markup:
    """Where a fact comes from: a query's rows, other facts, or the request.

    Relations lead to their pages on the documentation site `docs`, where there is one.
    """
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
    relations = Markup(", ").join(_relation(name, docs) for name in lineage.get("relations", ()))
    pieces = [Markup("<code>{}</code>").format(relations)]
    if lineage.get("filter"):
        pieces.append(Markup("{}: {}").format(words["filter"], lineage["filter"]))
    return Markup("<br>").join(pieces)


def _relation(name: str, docs: str | None) -> Markup:
    model = _MODEL.fullmatch(name) if docs else None
    if docs is None or model is None:
        return Markup("{}").format(name)
    return Markup('<a href="{}">{}</a>').format(model_page(docs, model[1]), name)


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
