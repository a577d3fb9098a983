"""Facts: the recorded numbers a skill works from, and how they get into words.

A narrative never holds a digit of its own. It holds slots, `{{fact:name}}` or `{{fact:name|signed}}`, and code prints
the fact's value in the reader's locale. Every fact knows where it came from (`lineage`); `events_of_fact` follows it
to the events.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from batuta.errors import BatutaError

if TYPE_CHECKING:
    import psycopg

FactValue: TypeAlias = Decimal | int | str | date | None

SLOT: Final = re.compile(r"\{\{fact:([A-Za-z0-9][A-Za-z0-9_.-]*)(?:\|(signed|abs))?\}\}")
_BRACES: Final = re.compile(r"\{\{|\}\}")
_DIGIT: Final = re.compile(r"\d")

# A money unit carries its ISO currency: "money:BRL".
UNITS: Final = frozenset(
    {"count", "money", "number", "percent", "points", "hours", "days", "date", "text", "score"}
)
_NO_VALUE: Final = "\N{EM DASH}"
_NBSP: Final = "\N{NO-BREAK SPACE}"


class UngroundedText(BatutaError):
    """A narrative holds a number, a slot or a brace that no recorded fact stands behind."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One recorded value: `unit` says how it reads, `lineage` where it came from."""

    id: str
    name: str
    value: FactValue
    unit: str
    as_of: date
    lineage: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def currency(self) -> str | None:
        """The ISO currency of a money fact."""
        kind, _, currency = self.unit.partition(":")
        return currency if kind == "money" else None


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of rendered text: plain words, or one fact's formatted value."""

    text: str
    fact: Fact | None = None


def encode_value(value: FactValue) -> int | str | None:
    """The JSON form of a value: exact decimals and ISO dates are strings."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):
        return value.isoformat()
    return value


def decode_value(value: Any, unit: str) -> FactValue:
    """The value behind its JSON form."""
    kind = unit.partition(":")[0]
    if value is None or kind == "text":
        return value
    if kind == "date":
        return date.fromisoformat(value)
    return value if kind == "count" else Decimal(str(value))


def slots(text: str) -> tuple[str, ...]:
    """The names of the facts a text asks for, in order."""
    return tuple(match.group(1) for match in SLOT.finditer(text))


def ground(text: str, facts: Mapping[str, Fact]) -> None:
    """Refuse a text with a free digit, an unknown slot or a stray brace.

    Raises:
        UngroundedText: names what has no fact behind it.
    """
    unknown = [name for name in slots(text) if name not in facts]
    if unknown:
        raise UngroundedText(f"the narrative asks for facts that were not recorded: {', '.join(unknown)}")
    words = SLOT.sub("", text)
    if _BRACES.search(words):
        raise UngroundedText(f"the narrative has a malformed slot: {words!r}")
    if _DIGIT.search(words):
        raise UngroundedText(f"the narrative has a number that is not a recorded fact: {words!r}")


def format_fact(fact: Fact, locale: str, style: str | None = None) -> str:
    """A fact's value as people of this locale write it."""
    return format_value(fact.value, fact.unit, locale, style)


def format_value(value: FactValue, unit: str, locale: str, style: str | None = None) -> str:
    """Print a value by its unit: `R$ 1.234,56`, `12,3 %`, `12/11/2025`, `26,5 h`, `12 dias`.

    Args:
        value: None prints as a dash.
        unit: One of `UNITS`; money as `money:<currency>`.
        locale: BCP 47 (`pt-BR`).
        style: `signed` always shows the sign, `abs` never.
    """
    if value is None:
        return _NO_VALUE
    if isinstance(value, str):
        return value
    identifier = locale.replace("-", "_")
    if isinstance(value, date):
        return _format_date(value, identifier)
    number = abs(value) if style == "abs" else value
    sign = "+" if style == "signed" and number > 0 else ""
    return sign + _format_number(number, unit, identifier)


def _format_date(value: date, locale: str) -> str:
    from babel.dates import format_date

    return format_date(value, "short" if locale.startswith("pt") else "medium", locale=locale)


def _format_number(number: Decimal | int, unit: str, locale: str) -> str:
    from babel.numbers import format_currency, format_decimal

    kind, _, currency = unit.partition(":")
    if kind == "money":
        return format_currency(number, currency, locale=locale)
    if kind == "count":
        return format_decimal(number, format="#,##0", locale=locale)
    if kind == "percent":
        space = _NBSP if locale.startswith("pt") else ""
        return f"{format_decimal(number, format='#,##0.0', locale=locale)}{space}%"
    if kind == "hours":
        from babel.units import format_unit

        return format_unit(round(number, 1), "duration-hour", "short", locale=locale)
    if kind == "days":
        return _format_days(number, locale)
    return format_decimal(number, format="#,##0.##", locale=locale)


def _format_days(number: Decimal | int, locale: str) -> str:
    from babel.numbers import format_decimal

    singular, plural = ("dia", "dias") if locale.startswith("pt") else ("day", "days")
    word = singular if abs(number) == 1 else plural
    return f"{format_decimal(number, format='#,##0.#', locale=locale)}{_NBSP}{word}"


def parts(text: str, facts: Mapping[str, Fact], locale: str) -> list[Part]:
    """Split a narrative into words and formatted facts, so that a page can escape the one and link the other.

    Raises:
        UngroundedText: the text is not covered by `facts`.
    """
    ground(text, facts)
    found: list[Part] = []
    position = 0
    for match in SLOT.finditer(text):
        if match.start() > position:
            found.append(Part(text[position : match.start()]))
        fact = facts[match.group(1)]
        found.append(Part(format_fact(fact, locale, match.group(2)), fact))
        position = match.end()
    if position < len(text):
        found.append(Part(text[position:]))
    return found


def _plain(_fact: Fact, text: str) -> str:
    return text


def render(
    text: str,
    facts: Mapping[str, Fact],
    locale: str,
    link: Callable[[Fact, str], str] = _plain,
    escape: Callable[[str], str] = str,
) -> str:
    """Fill a narrative's slots.

    Args:
        text: A narrative with slots.
        facts: The run's facts by name.
        locale: BCP 47 (`pt-BR`).
        link: Wraps a fact's formatted value; its text is already escaped.
        escape: Applied to words and values alike (`html.escape` for a page).
    """
    return "".join(
        escape(part.text) if part.fact is None else link(part.fact, escape(part.text))
        for part in parts(text, facts, locale)
    )


@dataclass(frozen=True, slots=True)
class FactEvent:
    """One event behind a fact; `received_at` and `type` are None once retention has removed it from the log."""

    source: str
    id: str
    type: str | None
    received_at: datetime | None

    @property
    def expired(self) -> bool:
        """Removed from the log by policy."""
        return self.received_at is None


@dataclass(frozen=True, slots=True)
class FactEvents:
    """The events behind a fact.

    `unchanged` says whether they are still the ones the fact was computed from: None where these were not counted.
    """

    events: tuple[FactEvent, ...]
    unchanged: bool | None


def events_digest(refs: Iterable[tuple[str, str]]) -> str:
    """Digest of a set of events (source, id), the same however it was listed."""
    lines = "\n".join(f"{source} {id}" for source, id in sorted(refs))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def events_of_fact(conn: psycopg.Connection[Any], fact_id: str) -> FactEvents:
    """Follow a recorded fact to the events it was computed from (role: reader).

    A fact computed from other facts has the events of all of them; one given with the request has none.

    Raises:
        BatutaError: no such fact.
    """
    row = conn.execute(
        "select r.product, f.lineage, f.skill_run from batuta.facts f join batuta.skill_runs r on r.id = f.skill_run "
        "where f.id = %s",
        (fact_id,),
    ).fetchone()
    if row is None:
        raise BatutaError(
            f"no fact {fact_id!r} is recorded",
            hint="The report shows the ids: those of an analysis begin with run_, those of a KPI's value with the "
            "pipeline. What the page counted by itself leads to the relation it names beside it.",
        )
    product, lineage, run_id = row
    refs, unchanged = _follow(conn, run_id, lineage)
    return FactEvents(look_up_events(conn, product, refs), unchanged)


def _follow(
    conn: psycopg.Connection[Any], run_id: str, lineage: Mapping[str, Any]
) -> tuple[set[tuple[str, str]], bool | None]:
    if lineage["kind"] == "facts":
        names = list(lineage["facts"])
        rows = conn.execute(
            "select lineage from batuta.facts where skill_run = %s and name = any(%s)", (run_id, names)
        ).fetchall()
        followed = [_follow(conn, run_id, row[0]) for row in rows]
        checks = [unchanged for _refs, unchanged in followed]
        refs = {ref for found, _unchanged in followed for ref in found}
        return refs, None if None in checks else all(checks)
    events = lineage.get("events")
    if events is None:
        return set(), True
    if "list" in events:
        return {(source, id) for source, id in orjson.loads(_lineage_record(conn, events["list"]))}, True
    sql = _lineage_record(conn, events["query"])
    rows = conn.execute(sql.encode(), events["parameters"]).fetchall()
    refs = {(source, id) for source, id in rows}
    return refs, None if events["digest"] is None else events_digest(refs) == events["digest"]


def _lineage_record(conn: psycopg.Connection[Any], digest: str) -> str:
    row = conn.execute("select content from batuta.lineage_records where digest = %s", (digest,)).fetchone()
    if row is None:
        raise BatutaError(f"the lineage record {digest} is missing from the warehouse")
    return row[0]


def look_up_events(
    conn: psycopg.Connection[Any], product: str, refs: Iterable[tuple[str, str]]
) -> tuple[FactEvent, ...]:
    """What the log holds of a product's events (source, id), in their order (role: reader)."""
    from batuta.events.event import event_key
    from batuta.landing.reader import OF_KEYS

    keys = {event_key(product, source, id): (source, id) for source, id in sorted(refs)}
    rows = conn.execute(
        f"select key, type, received_at from batuta.history where {OF_KEYS}", {"keys": list(keys)}
    ).fetchall()
    kept = {bytes(key): (type, received_at) for key, type, received_at in rows}
    return tuple(FactEvent(source, id, *kept.get(key, (None, None))) for key, (source, id) in keys.items())
