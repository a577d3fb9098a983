"""The embedded database server of one home: make it, start it, stop it.

It listens on 127.0.0.1 only, with a password of its own, and outlives the command that started it. PostgreSQL
refuses to run as root: started by root it runs as a system user, and where that user cannot reach the home (a
folder below /root, say) the server's files live in /var/lib/batuta, with a link in the home.
"""

import hashlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from batuta.errors import BatutaError
from batuta.ports import require_free
from batuta.warehouse.binaries import NoEmbeddedDatabase, Progress, ensure_tree, require_space, tree_name

SYSTEM_USER = "pgserver"
ROLE = "batuta"
DATABASE = "batuta"
HOST = "127.0.0.1"
PLACE_OUTSIDE_HOME = Path("/var/lib/batuta")
LOCK_TIMEOUT_S = 600
START_TIMEOUT_S = 300
STOP_TIMEOUT_S = 60
ORPHAN_TIMEOUT_S = 60
RUN_FREE_BYTES = 200_000_000
LOG_LIMIT_BYTES = 10_000_000
GRAVE = re.compile(r"\b(FATAL|PANIC|ERROR):")

PARAMETERS: Mapping[str, str] = {
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "4",
    "timezone": "UTC",
    "max_connections": "150",
    "max_locks_per_transaction": "256",
    "max_worker_processes": "16",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "1GB",
    "jit": "off",
}


class ServerFailed(BatutaError):
    """The embedded server did not start or stop."""


@dataclass(frozen=True, slots=True)
class Account:
    """The system user the server runs as; None: the caller's own."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: its postmaster and where it listens."""

    pid: int
    port: int


@dataclass(frozen=True)
class EmbeddedServer:
    """The server of one home. `parameters` are added to PARAMETERS."""

    home: Path
    cache: Path
    port: int
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """Folder of programs, data, password and log, wherever it really lies."""
        return (self.home / "postgres").resolve()

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.place / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.place / "server.log"

    def running(self) -> Running | None:
        """The running server, or None; a pid file left by a killed server or a reused pid does not count."""
        return _read_running(self.data)

    def url(self) -> str:
        """Address of the database `batuta`, with its password.

        Raises:
            ServerFailed: the server does not run or its password is gone.
        """
        running = self.running()
        if running is None:
            raise ServerFailed("the embedded database does not run", hint="Start it with `batuta up`.")
        return f"postgresql://{ROLE}:{self._password()}@{HOST}:{running.port}/{DATABASE}"

    def start(self, progress: Progress) -> str:
        """Start the server, making it if need be; its address. Waits for another process doing the same."""
        if self.running() is not None:
            return self.url()
        with self._lock():
            if self.running() is None:
                require_space(self.home, RUN_FREE_BYTES)
                account = self._account()
                self._make_place(account)
                programs = ensure_tree(self.cache, self.place / tree_name(), progress)
                require_free(HOST, self.port, "BATUTA_DATABASE_PORT")
                if not (self.data / "PG_VERSION").exists():
                    progress("making the database cluster")
                    self._initialise(programs, account)
                self._check_version(programs)
                self._wait_for_orphans(progress)
                progress(f"starting the database on port {self.port}")
                self._launch(programs, account)
            return self.url()

    def stop(self) -> bool:
        """Stop the server, also one that is still starting; False when it did not run."""
        if _postmaster(self.data) is None:
            return False
        with self._lock():
            process = _postmaster(self.data)
            if process is None:
                return False
            # Fast shutdown: sessions are ended, everything is written.
            process.send_signal(2)
            try:
                process.wait(STOP_TIMEOUT_S)
            except psutil.TimeoutExpired:
                process.send_signal(3)
                process.wait(STOP_TIMEOUT_S)
            return True

    @contextmanager
    def _lock(self) -> Iterator[None]:
        lock = FileLock(self.home / "postgres.lock", timeout=LOCK_TIMEOUT_S)
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise ServerFailed(
                f"another process has been starting {self.home} for {LOCK_TIMEOUT_S} s",
                hint="Look for it with `ps`, end it, and try again.",
            ) from None
        except OSError as error:
            raise ServerFailed(
                f"cannot write to {self.home}: {error.strerror}",
                hint="Choose another folder with BATUTA_HOME.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _account(self) -> Account | None:
        owner = self.data.stat() if self.data.is_dir() else None
        if os.geteuid() != 0:
            if owner is not None and owner.st_uid != os.geteuid():
                raise ServerFailed(
                    f"the database in {self.data} belongs to user {_user_name(owner.st_uid)}",
                    hint="Run as that user or as root, or choose another folder with BATUTA_HOME.",
                )
            return None
        if owner is not None:
            return Account(owner.st_uid, owner.st_gid)
        return _system_account()

    def _make_place(self, account: Account | None) -> None:
        link = self.home / "postgres"
        if not link.is_dir():
            link.mkdir(parents=True, exist_ok=True)
        if account is None or _reachable(self.place, account):
            return
        if not link.is_symlink() and not any(link.iterdir()):
            outside = PLACE_OUTSIDE_HOME / hashlib.sha256(str(self.home).encode()).hexdigest()[:16]
            outside.mkdir(parents=True, exist_ok=True)
            link.rmdir()
            link.symlink_to(outside)
            if _reachable(outside, account):
                return
        raise ServerFailed(
            f"the database runs as user {_user_name(account.uid)}, who cannot reach {self.place}",
            hint="Open the folders above it (chmod o+x), or choose another folder with BATUTA_HOME.",
        )

    def _initialise(self, programs: Path, account: Account | None) -> None:
        password = self.place / "password"
        password.unlink(missing_ok=True)
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(24))
        making = self.place / "data.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        handed = making.with_suffix(".password")
        shutil.copyfile(password, handed)
        handed.chmod(0o600)
        if account is not None:
            os.chown(making, account.uid, account.gid)
            os.chown(handed, account.uid, account.gid)
        try:
            _run(
                [
                    *(programs / "bin" / "initdb", "-D", making, "-U", ROLE, "--auth=scram-sha-256"),
                    *(f"--pwfile={handed}", "--encoding=UTF8", "--locale=C.UTF-8"),
                ],
                account,
                self.place / "initdb.log",
            )
        finally:
            handed.unlink(missing_ok=True)
        making.rename(self.data)

    def _check_version(self, programs: Path) -> None:
        made_with = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        control = programs / "bin" / "postgres"
        answer = subprocess.run([control, "--version"], check=True, capture_output=True, text=True).stdout
        major = answer.split()[-1].split(".")[0]
        if made_with != major:
            raise ServerFailed(
                f"{self.data} was made by PostgreSQL {made_with}; {major} is here",
                hint="Restore a backup into a new BATUTA_HOME, or go back to the earlier release.",
            )

    def _wait_for_orphans(self, progress: Progress) -> None:
        """Let the sessions of a killed server end: starting beside them would endanger the data."""
        deadline = time.monotonic() + ORPHAN_TIMEOUT_S
        waiting = False
        while orphans := _processes_in(self.data):
            if not waiting:
                progress("waiting for the sessions of the killed server to end")
                waiting = True
            if time.monotonic() > deadline:
                raise ServerFailed(
                    f"an earlier server still uses {self.data}: pid {', '.join(map(str, orphans))}",
                    hint="End them with `kill` and try again.",
                )
            time.sleep(0.2)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _launch(self, programs: Path, account: Account | None) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        begun = self.log.stat().st_size if self.log.exists() else 0
        self.log.touch(mode=0o640)
        if account is not None:
            os.chown(self.log, account.uid, account.gid)
        parameters = {**PARAMETERS, "listen_addresses": HOST, "port": str(self.port), **self.parameters}
        options = " ".join(f"-c {name}='{value}'" for name, value in parameters.items())
        control = programs / "bin" / "pg_ctl"
        command = [
            control,
            "start",
            "-D",
            self.data,
            "-w",
            "-t",
            str(START_TIMEOUT_S),
            "-l",
            self.log,
            "-o",
            options,
        ]
        try:
            _run(command, account, self.place / "start.log")
        except ServerFailed:
            with self.log.open(encoding="utf-8", errors="replace") as log:
                log.seek(begun)
                said = [
                    line
                    for line in log.read().splitlines()
                    if "FATAL" in line or "PANIC" in line or "ERROR" in line
                ]
            reason = said[-1].split("] ", 1)[-1] if said else f"no answer in {START_TIMEOUT_S} s"
            raise ServerFailed(
                f"the embedded database did not start: {reason}", hint=f"See {self.log}."
            ) from None

    def _password(self) -> str:
        path = self.place / "password"
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise ServerFailed(
                f"the password of the embedded database is gone: {path}",
                hint="Put the file back from a backup.",
            ) from None
        except PermissionError:
            raise ServerFailed(
                f"the embedded database belongs to user {_user_name(path.stat().st_uid)}",
                hint="Run as that user or as root, or choose another folder with BATUTA_HOME.",
            ) from None


def _read_running(data: Path) -> Running | None:
    lines = _pid_file(data)
    if len(lines) < 8 or not lines[7].strip().startswith("ready"):
        return None
    process = _postmaster(data)
    return None if process is None else Running(process.pid, int(lines[3]))


def _postmaster(data: Path) -> psutil.Process | None:
    """The server's first process, whether it takes connections already or not."""
    lines = _pid_file(data)
    process = _process(int(lines[0])) if lines and lines[0].isdigit() else None
    return process if process is not None and _belongs(process, data) else None


def _pid_file(data: Path) -> list[str]:
    """Lines of postmaster.pid: pid, data folder, start, port, socket folder, address, shared memory, status."""
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except PermissionError:
        raise ServerFailed(
            f"the embedded database belongs to user {_user_name(data.stat().st_uid)}",
            hint="Run as that user or as root, or choose another folder with BATUTA_HOME.",
        ) from None
    except OSError:
        return []


def _process(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def _belongs(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()) == data
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _processes_in(data: Path) -> list[int]:
    return [process.pid for process in psutil.process_iter() if _belongs(process, data)]


def _system_account() -> Account:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = [
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            SYSTEM_USER,
        ]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoEmbeddedDatabase(
                f"PostgreSQL does not run as root, and the user {SYSTEM_USER} could not be made",
                hint=f"Make the user {SYSTEM_USER}, or run as an ordinary user.",
            ) from error
        entry = pwd.getpwnam(SYSTEM_USER)
    return Account(entry.pw_uid, entry.pw_gid)


def _reachable(folder: Path, account: Account) -> bool:
    command = ["/bin/sh", "-c", 'test -r "$1" && test -x "$1"', "sh", str(folder)]
    return (
        subprocess.run(
            command, check=False, cwd="/", user=account.uid, group=account.gid, extra_groups=[]
        ).returncode
        == 0
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _run(command: Sequence[str | Path], account: Account | None, log: Path) -> None:
    """Run a program of PostgreSQL as `account`. Output goes to a file: the server would keep a pipe open."""
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    if done.returncode:
        said = " | ".join(log.read_text(encoding="utf-8", errors="replace").split("\n")[-4:])
        raise ServerFailed(f"{Path(command[0]).name} failed: {said.strip(' |')}", hint=f"See {log}.")
