"""How commands take a day."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import click


class Day(click.ParamType):
    """A day of the calendar, as 2025-11-12."""

    name = "day"

    def convert(self, value: str | date, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day that is written."""
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            self.fail(f'"{value}" is no day; write one such as 2025-11-12', param, ctx)


DAY: Final = Day()
