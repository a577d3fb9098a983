"""Checks of the machine: Python, packages, build tools, disk, settings, ports, processes left behind."""

import difflib
import importlib.metadata
import shutil
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement

import batuta
from batuta.ports import holder, is_free
from batuta.settings import PREFIX, Settings
from batuta.warehouse.binaries import cached_tree, missing_build_tools, tree_name
from batuta.warehouse.database import embedded_server
from batuta_cli.checkup.finding import Finding, note, ok, problem
from batuta_cli.stack import state
from batuta_cli.stack.services import listeners

PYTHON = (3, 11)
LEAST_FREE_BYTES = 1_000_000_000
OTHER_VARIABLES = ("BATUTA_DBT_", "BATUTA_TEST_", "BATUTA_DAGSTER_PG_URL", "BATUTA_BUNDLE", state.MARK)
MEND_PACKAGES = "Run `make setup`, which installs the pinned versions."


def python(version: Sequence[int] = sys.version_info[:3]) -> Finding:
    """The interpreter is the one the pinned packages are for."""
    found = ".".join(map(str, version))
    if tuple(version[:2]) == PYTHON:
        return ok("python", f"Python {found}")
    return problem("python", f"Python {found}; {PYTHON[0]}.{PYTHON[1]} is needed", MEND_PACKAGES)


def packages(wanted: Iterable[str] | None = None) -> list[Finding]:
    """Installed packages are those the project asks for."""
    found: list[Finding] = []
    requirements = [Requirement(line) for line in (_requirements() if wanted is None else wanted)]
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            found.append(problem("packages", f"{requirement.name} is not installed", MEND_PACKAGES))
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            asked = f"{requirement.name}{requirement.specifier}"
            found.append(
                problem(
                    "packages", f"{requirement.name} {version} is installed; {asked} is needed", MEND_PACKAGES
                )
            )
    return found or [ok("packages", f"{len(requirements)} packages as asked for")]


def build_tools(settings: Settings) -> Finding:
    """What building TimescaleDB takes, where it is still to be built."""
    if settings.database_url is not None:
        return ok("build tools", "not needed: BATUTA_DATABASE_URL is set")
    if (embedded_server(settings).place / tree_name()).is_dir() or cached_tree(settings.cache).is_dir():
        return ok("build tools", "not needed: TimescaleDB is built")
    missing = missing_build_tools()
    if not missing:
        return ok("build tools", "cmake, gcc and make are there")
    names = " ".join(missing)
    mend = f"Install them (Debian, Ubuntu: apt-get install {names}), or set BATUTA_DATABASE_URL."
    return problem("build tools", f"{', '.join(missing)} missing; TimescaleDB cannot be built", mend)


def disk(settings: Settings) -> Finding:
    """There is room for data."""
    folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free >= LEAST_FREE_BYTES:
        return ok("disk", f"{free / 1e9:.1f} GB free at {folder}")
    mend = "Free some space, or move to another disk with BATUTA_HOME."
    return problem("disk", f"only {free / 1e6:.0f} MB free at {folder}", mend)


def variables(environ: Mapping[str, str]) -> list[Finding]:
    """No setting is misspelt."""
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    found: list[Finding] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in known or name.startswith(OTHER_VARIABLES):
            continue
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        found.append(note("settings", f"{name} is not a setting{meant}"))
    return found or [ok("settings", "all variables are known")]


def ports(settings: Settings) -> list[Finding]:
    """The ports are free for `batuta up`, where it does not run already."""
    if state.read(settings.home) is not None:
        return [ok("ports", "held by the running `batuta up`")]
    ours = {process.pid for process in state.marked(settings.home)}
    wanted = [(each.host, each.port, each.setting) for each in listeners(settings)]
    if settings.database_url is None and embedded_server(settings).running() is None:
        wanted.append(("127.0.0.1", settings.database_port, "BATUTA_DATABASE_PORT"))
    taken = [
        (port, setting)
        for host, port, setting in wanted
        if not is_free(host, port) and holder(port).pid not in ours
    ]
    return [
        problem(
            "ports",
            f"port {port} is taken by {holder(port)}",
            f"Stop it, or choose another port with {setting}.",
        )
        for port, setting in taken
    ] or [ok("ports", f"free: {', '.join(str(port) for _, port, _ in wanted)}")]


def left_behind(settings: Settings) -> Finding:
    """No process of a killed `batuta up` lives on."""
    if state.read(settings.home) is not None:
        return ok("processes", "`batuta up` runs")
    pids = [str(process.pid) for process in state.marked(settings.home)]
    if not pids:
        return ok("processes", "nothing is left of an earlier `batuta up`")
    return problem(
        "processes", f"left behind by a killed `batuta up`: pid {', '.join(pids)}", "Run `batuta down`."
    )


def _requirements() -> list[str]:
    pyproject = Path(batuta.__file__).parent.parent / "pyproject.toml"
    if pyproject.is_file():
        return list(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"])
    return [line for line in importlib.metadata.requires("batuta") or [] if "extra ==" not in line]
