"""How a command shows that it works: one line a step, on standard error, with the time since it began."""

import time
from collections.abc import Callable

import click


def steps() -> Callable[[str], None]:
    """A function that shows a step's name, with the seconds since the first."""
    begun = time.monotonic()

    def show(message: str) -> None:
        click.echo(f"{time.monotonic() - begun:6.1f} s  {message}", err=True)

    return show
