"""Entry point of the `batuta` command: the table of commands and how errors are shown.

Commands are imported when they are called, so that `--help` and completion stay quick.
"""

import errno
import importlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import click

from batuta.errors import BatutaError

INTERRUPTED = 130
FULL_BYTES = 50_000_000
# What the machine refuses and a person can mend; any other OSError is a fault of ours and shown as such.
REFUSALS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
        *(errno.ENOTDIR, errno.ENOENT, errno.EEXIST),
    }
)


class CommandEntry(NamedTuple):
    """Where a command lives and what `--help` says of it."""

    target: str
    help: str
    hidden: bool = False


COMMANDS: Mapping[str, CommandEntry] = {
    "up": CommandEntry(
        "batuta_cli.commands.up:up", "Start everything on this machine and print the addresses."
    ),
    "down": CommandEntry("batuta_cli.commands.down:down", "Stop everything that `up` or a command started."),
    "doctor": CommandEntry("batuta_cli.commands.doctor:doctor", "Say what is wrong and how to mend it."),
    "demo": CommandEntry("batuta_cli.commands.demo:demo", "Run the main job on the example company."),
    "validate": CommandEntry(
        "batuta_cli.commands.validate:validate", "Check manifests; every problem at once."
    ),
    "apply": CommandEntry("batuta_cli.commands.apply:apply", "Register what changed in the manifests."),
    "registry": CommandEntry(
        "batuta_cli.commands.registry:registry", "List, show and compare what is registered."
    ),
    "ingest": CommandEntry("batuta_cli.commands.ingest:ingest", "Land what a vendor sent, from files."),
    "backfill": CommandEntry(
        "batuta_cli.commands.backfill:backfill", "Fetch what a vendor has of some days; adds what is missing."
    ),
    "connectors": CommandEntry(
        "batuta_cli.commands.connectors:connectors", "How accounts at vendors stand; poll or audit one now."
    ),
    "contracts": CommandEntry(
        "batuta_cli.commands.contracts:contracts", "Data contracts: list, check, what is broken since when."
    ),
    "export": CommandEntry(
        "batuta_cli.commands.export:export_domain", "Export a data domain under its contract."
    ),
    "kpi": CommandEntry("batuta_cli.commands.kpi:kpi", "Current KPI values."),
    "env": CommandEntry("batuta_cli.commands.env:env", "Print what psql and dbt need to find the warehouse."),
    "events": CommandEntry("batuta_cli.commands.events:events", "Look at the event log."),
    "quarantine": CommandEntry(
        "batuta_cli.commands.quarantine:quarantine", "Look at and replay what could not land."
    ),
    "privacy": CommandEntry(
        "batuta_cli.commands.privacy:privacy", "Requests of persons to be told or forgotten."
    ),
    "retention": CommandEntry(
        "batuta_cli.commands.retention:retention", "What the log lets go of by policy; let it go."
    ),
    "cursors": CommandEntry("batuta_cli.commands.cursors:cursors", "Look at and rewind reading positions."),
    "skill": CommandEntry("batuta_cli.commands.skill:skill", "List and run skills."),
    "bench": CommandEntry("batuta_cli.commands.bench:bench", "Run a benchmark against its peers."),
    "docs": CommandEntry(
        "batuta_cli.commands.docs:docs", "Make the documentation site or dbt's manifest, for CI and images."
    ),
    "schema": CommandEntry(
        "batuta_cli.commands.schema:schema", "Print JSON Schemas, CRDs and the settings table."
    ),
    "setup": CommandEntry(
        "batuta_cli.commands.setup:setup", "Make keys, database and Dagster's home.", hidden=True
    ),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is called and lists the others from the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, entry in COMMANDS.items() if not entry.hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, attribute = entry.target.split(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="batuta", message="%(version)s")
def cli() -> None:
    """Keep a company's AI agents in step with its products."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit with 0, 1 (failed), 2 (bad usage) or 130 (interrupted)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        _configure(arguments)
        code = cli.main(args=list(arguments), prog_name="batuta", standalone_mode=False)
    except BatutaError as error:
        show_error(error, arguments)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        refused = _refused(error)
        if refused is None:
            raise
        show_error(refused, arguments)
        sys.exit(refused.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _configure(arguments: Sequence[str]) -> None:
    named = next((a for a in arguments if not a.startswith("-")), None)
    if named not in COMMANDS or {"-h", "--help"} & set(arguments):
        return
    from batuta.settings import get_settings
    from batuta.telemetry import configure_logging

    configure_logging(get_settings())


def _refused(error: Exception) -> BatutaError | None:
    """A sentence for what the machine or the database refused; None for what is a fault of ours."""
    if isinstance(error, OSError) and error.errno in REFUSALS and error.filename is not None:
        hint = "Mend that, or choose another folder with BATUTA_HOME."
        return BatutaError(f"{error.filename}: {error.strerror}", hint=hint)
    psycopg = sys.modules.get("psycopg")
    if psycopg is not None and isinstance(error, psycopg.OperationalError):
        reason = " ".join(str(error).split())
        return BatutaError(
            f"the database broke off: {reason}", hint="Look with `batuta doctor`, then do the same again."
        )
    return None


def _disk_full() -> str | None:
    """A sentence where the home's disk is full, which is behind many another error."""
    from batuta.settings import get_settings

    try:
        home = get_settings().home
        folder = next(path for path in (home, *home.parents) if path.exists())
        free = shutil.disk_usage(folder).free
    except (BatutaError, OSError):
        return None
    return f"The disk is full: {folder} has {free // 1_000_000} MB free." if free < FULL_BYTES else None


def show_error(error: BatutaError, arguments: Sequence[str]) -> None:
    """Print an error as the sentence it is, or as one JSON line where `--json` was asked for."""
    hint = "\n".join(filter(None, (_disk_full(), error.hint))) or None
    if "--json" in arguments:
        click.echo(json.dumps({"error": error.message, "hint": hint}, ensure_ascii=False), err=True)
        return
    named = next((a for a in arguments if a in COMMANDS), "")
    click.echo(f"{f'batuta {named}'.strip()}: {error.message}", err=True)
    if hint:
        click.echo(hint, err=True)


if __name__ == "__main__":
    main()
