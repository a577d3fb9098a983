"""Dates, times and names as people of a locale write them. Numbers are printed by `batuta.facts`."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from batuta.facts import format_value


def identifier(locale: str) -> str:
    """Babel's name of a BCP 47 locale."""
    return locale.replace("-", "_")


def long_date(day: date, locale: str) -> str:
    """`quarta-feira, 12 de novembro de 2025`."""
    from babel.dates import format_date

    return format_date(day, "full", locale=identifier(locale))


def short_date(day: date, locale: str) -> str:
    """`12/11/2025`."""
    return format_value(day, "date", locale)


def day_month(day: date, locale: str) -> str:
    """`12/11` or `Nov 12`, for axes."""
    from babel.dates import format_date

    pattern = "dd/MM" if locale.startswith("pt") else "MMM d"
    return format_date(day, pattern, locale=identifier(locale))


def moment(at: datetime, timezone: str, locale: str) -> str:
    """`12/11/2025, 23:41` in the product's zone."""
    from babel.dates import format_time

    local = at.astimezone(ZoneInfo(timezone))
    return f"{short_date(local.date(), locale)}, {format_time(local, 'short', locale=identifier(locale))}"


def axis_number(value: float, unit: str, locale: str) -> str:
    """A short number for an axis: `R$ 12 mil`, `1,2 mil`, `35`."""
    from babel.numbers import format_compact_decimal, get_currency_symbol

    number = Decimal(repr(float(value))).quantize(Decimal("0.1"))
    text = format_compact_decimal(
        number, fraction_digits=0 if abs(value) >= 10_000 else 1, locale=identifier(locale)
    )
    kind, _, currency = unit.partition(":")
    if kind != "money":
        return text
    space = "\N{NO-BREAK SPACE}" if locale.startswith("pt") else ""
    return f"{get_currency_symbol(currency, locale=identifier(locale))}{space}{text}"
