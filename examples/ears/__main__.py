"""`python -m examples.ears`: every vendor's stand-in on loopback, made-up secrets, a vault; for the product `ouvidos`.

Runs until interrupted. Secrets are written into the secrets folder of the installation in this folder (`BATUTA_HOME`,
else `.batuta`), under names that begin with `ears-`. Stand-ins begin anew each time, and so do their secrets.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from batuta.ports import holder, is_free
from examples.vendors import github, graph, imap, shopify

STAND_INS: Final[Mapping[str, int]] = {
    "shopify": 8801,
    "github": 8802,
    "imap": 8803,
    "graph": 8804,
    "whatsapp": 8805,
    "notion": 8806,
}
SECRETS: Final[Mapping[str, str]] = {
    "ears-shopify": shopify.SECRET.decode(),
    "ears-shopify-token": shopify.TOKEN,
    "ears-github": "made-up-hook-secret",
    "ears-token": github.TOKEN,
    "ears-imap": imap.PASSWORD,
    "ears-graph-state": "made-up-client-state",
    "ears-graph-refresh": graph.REFRESH_TOKEN.decode(),
    "ears-whatsapp": "made-up-app-secret",
    "ears-notion": "made-up-verification-token",
    "ears-events": "made-up-token-for-events",
}
NOTE: Final = """---
tags: [reunião, loja]
aliases: [Pauta]
---
# Pauta da semana

Ver [[Ideias]] e #canecas. Falar com ana@example.com.
"""


def prepare(home: Path) -> None:
    """Write secrets and a small vault."""
    folder = home / "secrets"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, value in SECRETS.items():
        file = folder / name
        file.touch(mode=0o600)
        file.write_text(value)
    vault = home / "ears" / "Cofre"
    (vault / ".obsidian").mkdir(parents=True, exist_ok=True)
    for name, text in {"Pauta.md": NOTE, "Ideias.md": "# Ideias\n\nCaneca azul.\n"}.items():
        if not (vault / name).exists():
            (vault / name).write_text(text)


def launch(ports: Mapping[str, int]) -> list[subprocess.Popen[bytes]]:
    """Start these stand-ins, each at its port on loopback, in processes of their own."""
    return [
        subprocess.Popen(
            [sys.executable, "-m", "examples.vendors", name, "--port", str(port)], stdin=subprocess.DEVNULL
        )
        for name, port in ports.items()
    ]


def taken(ports: Iterable[int]) -> list[str]:
    """Which of these ports are not free, and who holds them."""
    return [f"port {port} is taken by {holder(port)}" for port in ports if not is_free("127.0.0.1", port)]


def main() -> int:
    """Start everything, and wait for SIGINT or SIGTERM."""
    stand_ins = dict(STAND_INS)
    if shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        print(
            "dovecot is not installed (apt-get install dovecot-imapd): the mailbox over IMAP will not answer"
        )
        del stand_ins["imap"]
    held = taken(stand_ins.values())
    if held:
        print(
            f"{'; '.join(held)}; stop what is there (another examples.ears?) and start again", file=sys.stderr
        )
        return 1
    prepare(Path(os.environ.get("BATUTA_HOME") or ".batuta"))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    running = launch(stand_ins)
    print("Now, in another terminal: batuta apply examples/ears; batuta connectors")
    try:
        while all(process.poll() is None for process in running):
            if stop.wait(1):
                return 0
        print("a stand-in has ended; the others are stopped", file=sys.stderr)
        return 1
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
