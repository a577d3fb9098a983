"""`batuta down`: stop a running `batuta up`, whatever it left behind, and the embedded database."""

import json
import time

import click

from batuta.errors import BatutaError
from batuta.settings import get_settings
from batuta.warehouse.database import stop_database
from batuta_cli.progress import steps
from batuta_cli.stack import state

STOP_TIMEOUT_S = 120.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was stopped as one JSON line.")
def down(as_json: bool) -> None:
    """Stop everything that `up` or a command started."""
    settings = get_settings()
    progress = steps()
    running = state.read(settings.home)
    if running is not None:
        progress(f"stopping `batuta up` (pid {running.supervisor.pid})")
        _stop(running)
    left = state.end(state.marked(settings.home), grace_s=20.0)
    state.clear(settings.home)
    database = stop_database(settings)
    if as_json:
        click.echo(json.dumps({"up": running is not None, "left_behind": left, "database": database}))
    elif running is None and not left and not database:
        click.echo("Nothing was running.")
    else:
        click.echo("Everything is stopped.")


def _stop(running: state.State) -> None:
    process = running.supervisor.process()
    if process is None:
        return
    process.terminate()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while running.supervisor.process() is not None:
        if time.monotonic() > deadline:
            raise BatutaError(
                f"`batuta up` (pid {running.supervisor.pid}) does not stop",
                hint=f"End it with `kill -9 {running.supervisor.pid}`, then run `batuta down` again.",
            )
        time.sleep(0.2)
