"""A real IMAP server for tests and for trying: Debian's dovecot, in a folder of its own, on this machine only.

`python -m examples.vendors imap --port 1143` starts one with a user and a few mails, and prints the settings for the
manifest. It speaks plain IMAP, with QRESYNC or without; `DroppingLine` is a way to it that breaks off.
"""

from __future__ import annotations

import argparse
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from imaplib import IMAP4
from pathlib import Path
from typing import Final

from examples.vendors.serving import StandInFailed, unusable

HOST: Final = "127.0.0.1"
USER: Final = "vendas@example.com"
PASSWORD: Final = "segredo-de-teste"  # noqa: S105 - made up
_START_S: Final = 20.0
_CONFIG: Final = """
protocols = imap
listen = {host}
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:{folder}/mail/%u:LAYOUT=fs
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 0
first_valid_gid = 0
mail_max_userip_connections = 100
mail_fsync = never
auth_failure_delay = 0
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
imap_capability = {capability}
imap_idle_notify_interval = 2 mins
mailbox_idle_check_interval = 1 secs
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
  }}
  mailbox Junk {{
    special_use = \\Junk
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = {host}
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap {{
  process_limit = 50
}}
"""
# What a server without CONDSTORE and QRESYNC says it can do.
_PLAIN: Final = "IMAP4rev1 LITERAL+ IDLE UIDPLUS MOVE SPECIAL-USE NAMESPACE UNSELECT"


def program() -> str | None:
    """Where dovecot is; it lies in /usr/sbin, which is on no ordinary user's path."""
    return shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")


class Dovecot:
    """A dovecot of its own; use it as a context manager."""

    def __init__(self, *, port: int = 0, qresync: bool = True) -> None:
        """`port` 0: any that is free. Without `qresync` the server offers neither QRESYNC nor CONDSTORE."""
        self.host = HOST
        self.port = port or _free_port()
        self._qresync = qresync
        self._folder = Path(tempfile.mkdtemp(prefix="batuta-imap-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Dovecot:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        found = program()
        if found is None:
            raise StandInFailed("dovecot is not installed: apt-get install dovecot-imapd")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                self.stop()
                raise unusable(self.port, error) from error
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        group = grp.getgrgid(account.pw_gid).gr_name
        self._folder.chmod(0o755)
        for name in ("run", "state", "mail"):
            (self._folder / name).mkdir(exist_ok=True)
            if os.geteuid() == 0:
                os.chown(self._folder / name, account.pw_uid, account.pw_gid)
        (self._folder / "users").write_text(
            f"{USER}:{PASSWORD}\nvazia@example.com:{PASSWORD}\n", encoding="utf-8"
        )
        config = self._folder / "dovecot.conf"
        config.write_text(
            _CONFIG.format(
                folder=self._folder,
                host=self.host,
                port=self.port,
                user=account.pw_name,
                group=group,
                capability="" if self._qresync else _PLAIN,
            ),
            encoding="utf-8",
        )
        self._process = subprocess.Popen(
            [found, "-F", "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait()

    def stop(self) -> None:
        """Stop it and remove all it has."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def client(self, user: str = USER) -> IMAP4:
        """A connection that is signed in and may write: what a person's mail program does."""
        client = IMAP4(self.host, self.port, timeout=20)
        client.login(user, PASSWORD)
        return client

    def log(self) -> str:
        """What it has written down."""
        path = self._folder / "dovecot.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _wait(self) -> None:
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            try:
                with socket.create_connection((self.host, self.port), timeout=5) as line:
                    if line.recv(64).startswith(b"* OK"):
                        return
            except OSError:
                pass
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(0.05)
        log = self.log()[-2000:]
        self.stop()
        raise StandInFailed(f"dovecot does not answer:\n{log}")


class DroppingLine:
    """A way to a server that breaks off after so many bytes from it; later connections get through.

    Attributes:
        port: Where to connect instead of the server.
        drops: How many connections have been broken off.
    """

    def __init__(self, port: int, after: Sequence[int]) -> None:
        """`after` has the bytes after which the first, the second, ... connection breaks off."""
        self.drops = 0
        self._to = port
        self._after = list(after)
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection((HOST, self._to))
            left = self._after.pop(0) if self._after else None
            threading.Thread(target=_pump, args=(near, far, None), daemon=True).start()
            threading.Thread(target=self._down, args=(far, near, left), daemon=True).start()

    def _down(self, far: socket.socket, near: socket.socket, left: int | None) -> None:
        if _pump(far, near, left):
            self.drops += 1


def _pump(source: socket.socket, target: socket.socket, left: int | None) -> bool:
    """Carry bytes over until one side ends, or so many have been carried; whether the latter."""
    dropped = False
    with suppress(OSError):
        while data := source.recv(4096 if left is None else max(1, min(4096, left))):
            target.sendall(data)
            if left is not None:
                left -= len(data)
                if left <= 0:
                    dropped = True
                    break
    for line in (source, target):
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        line.close()
    return dropped


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def mail(number: int, text: str = "Bom dia, segue o pedido.") -> bytes:
    """A plain mail; its number tells it from others."""
    return (
        f"From: Cliente {number} <cliente{number}@example.com>\r\nTo: {USER}\r\nSubject: Pedido {number}\r\n"
        f"Message-ID: <{number}@example.com>\r\nDate: Mon, 02 Mar 2026 09:00:00 -0300\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    ).encode()


def _leave(*_: object) -> None:
    """End, and take the server along; a second signal does not disturb that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def serve(arguments: Sequence[str]) -> None:
    """Run it until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.vendors imap", description=__doc__)
    parser.add_argument("--port", type=int, default=1143)
    parser.add_argument("--mails", type=int, default=5, help="how many mails lie in INBOX")
    parser.add_argument("--plain", action="store_true", help="offer neither QRESYNC nor CONDSTORE")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    server = Dovecot(port=chosen.port, qresync=not chosen.plain)
    try:
        server.start()
        client = server.client()
        for number in range(1, chosen.mails + 1):
            client.append("INBOX", "", "", mail(number))
        client.logout()
        print(f"IMAP at {server.host}:{server.port}, {chosen.mails} mails. In the manifest:")
        print(f"  settings: {{host: {server.host}, port: {server.port}, tls: none, user: {USER}}}")
        print(f"  the credential password is {PASSWORD}", flush=True)
        threading.Event().wait()
    finally:
        server.stop()
