"""Platform KPIs on a terminal: one table per subject, small amounts and short times in full."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Final

from batuta.facts import format_value
from batuta.platform.kpis import EVERY_PRODUCT, PlatformKpi, reason_in

if TYPE_CHECKING:
    from rich.table import Table

NOTHING: Final = "nothing to measure in 28 days"
"""The reason of what has not happened; a subject with nothing else is told in a line."""

WORDS = {
    "en": {
        "title": "Platform",
        "as_of": "as of",
        "value": "Value",
        "objective": "Objective",
        "budget": "Budget left",
        "note": "Note",
        "none": "no figures about the platform yet",
        "to": "to",
        "pipeline": "Pipeline",
        "connector": "Connector",
        "agent": "Agent",
        "classifier": "Classifier",
        "product": "Product",
        "platform": "Platform",
    },
    "pt": {
        "title": "Plataforma",
        "as_of": "em",
        "value": "Valor",
        "objective": "Objetivo",
        "budget": "Margem restante",
        "note": "Observação",
        "none": "ainda sem números sobre a plataforma",
        "to": "a",
        "pipeline": "Pipeline",
        "connector": "Conector",
        "agent": "Agente",
        "classifier": "Classificador",
        "product": "Produto",
        "platform": "Plataforma",
    },
}
_STEPS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def print_platform(values: Sequence[PlatformKpi], locale: str) -> None:
    """Print the KPIs by subject, with the objective and what is left of its error budget where there is one."""
    from rich.console import Console

    words = WORDS["pt" if locale.startswith("pt") else "en"]
    console = Console()
    if not values:
        console.print(words["none"])
        return
    console.print(f"{words['title']}, {words['as_of']} {format_value(values[0].as_of, 'date', locale)}")
    kinds = list(words)
    ordered = sorted(values, key=lambda one: (kinds.index(one.kind), one.subject, one.product))
    for _, found in groupby(ordered, key=lambda one: (one.kind, one.subject, one.product)):
        listed = list(found)
        told = [one for one in listed if one.reason != NOTHING]
        heading = f"{words[listed[0].kind]} {_subject(listed[0])}"
        if told:
            console.print(_table(heading, told, locale, words))
        else:
            console.print(f"{heading}: {reason_in(NOTHING, locale)}")


def _table(heading: str, listed: Sequence[PlatformKpi], locale: str, words: dict[str, str]) -> Table:
    from rich.table import Table

    promised = any(one.objective is not None for one in listed)
    table = Table(title=heading, title_justify="left")
    table.add_column("KPI")
    table.add_column(words["value"], justify="right", no_wrap=True)
    if promised:
        table.add_column(words["objective"], justify="right", no_wrap=True)
        table.add_column(words["budget"], justify="right")
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column(words["note"])
    for one in listed:
        budget = (
            [percent(one.objective, locale), percent(one.budget_left_percent, locale)] if promised else []
        )
        table.add_row(
            one.title_pt if locale.startswith("pt") else one.title_en,
            printed(one.value, one, locale),
            *budget,
            format_value(one.sample_size, "count", locale),
            _note(one, locale, words),
        )
    return table


def printed(value: Decimal | None, kpi: PlatformKpi, locale: str) -> str:
    """A value in its unit: times by the unit that suits them, amounts below a cent with the digits they have."""
    if value is None:
        return format_value(None, kpi.unit, locale)
    if kpi.unit == "hours":
        return duration(value * 3600, locale)
    if kpi.unit == "currency" and kpi.currency is not None:
        return money(value, kpi.currency, locale)
    return percent(value, locale) if kpi.unit == "percent" else format_value(value, kpi.unit, locale)


def percent(value: Decimal | None, locale: str) -> str:
    """A percentage; one close to the whole with the digits that tell it from it."""
    if value is None:
        return format_value(None, "percent", locale)
    if value == 100 or abs(100 - value) >= Decimal("0.05"):
        return format_value(value, "percent", locale)
    from babel.numbers import format_decimal

    return f"{format_decimal(value, format='#,##0.0##', locale=locale.replace('-', '_'))} %"


def duration(seconds: Decimal, locale: str) -> str:
    """A time in days, hours, minutes or seconds, whichever is the largest that it has one of."""
    from babel.units import format_unit

    unit, size = next((step for step in _STEPS if seconds >= step[1]), ("second", 1))
    identifier = locale.replace("-", "_")
    return format_unit(round(seconds / size, 1), f"duration-{unit}", "short", locale=identifier)


def money(amount: Decimal, currency: str, locale: str) -> str:
    """An amount; one below a tenth with six places, since there is no smaller coin."""
    from babel.numbers import format_currency

    identifier = locale.replace("-", "_")
    if amount == 0 or abs(amount) >= Decimal("0.1"):
        return format_currency(amount, currency, locale=identifier)
    pattern = "¤ #,##0.000000" if locale.startswith("pt") else "¤#,##0.000000"
    return format_currency(amount, currency, pattern, locale=identifier, currency_digits=False)


def _subject(kpi: PlatformKpi) -> str:
    return kpi.subject if kpi.product in (EVERY_PRODUCT, kpi.subject) else f"{kpi.subject}, {kpi.product}"


def _note(kpi: PlatformKpi, locale: str, words: dict[str, str]) -> str:
    notes: list[str] = []
    if kpi.low is not None and kpi.high is not None:
        low, high = (printed(end, kpi, locale) for end in (kpi.low, kpi.high))
        notes.append(f"95 %: {low} {words['to']} {high}")
    if (reason := reason_in(kpi.reason, locale)) is not None:
        notes.append(reason)
    return "; ".join(notes)
