"""Keeping a secret that a vendor has chosen in its handshake: only while somebody here is setting the account up.

Whoever sends the first handshake would otherwise choose the secret that proves every later delivery.
"""

from __future__ import annotations

import os
from pathlib import Path

from batuta.errors import BatutaError
from batuta.setup_windows import close_window, window_open
from batuta.telemetry import get_logger
from batuta_gateway.answers import Refusal, unavailable
from batuta_gateway.doors import Door
from batuta_gateway.gateway import Gateway

_log = get_logger(__name__)


def keep_learned(gateway: Gateway, door: Door, secret: bytes) -> None:
    """Write the secret into the file that the account's first secretRef names; the window is then closed.

    Raises:
        Refusal: 403, nobody is setting this account up, or its manifest names no file; 503, it cannot be written.
    """
    name = door.connector.NAME
    place = {"product": door.product, "connector": name, "account": door.account}
    if not window_open(gateway.settings.home, door.product, name, door.account, gateway.clock()):
        _log.warning("secret of a vendor not kept: no set-up window is open", **place)
        raise _closed()
    if door.secret_file is None or not secret.strip():
        _log.error("secret of a vendor not kept: the first of secretRefs names no file", **place)
        raise _closed()
    try:
        _write(gateway.settings.secrets_dir / door.secret_file, secret)
        close_window(gateway.settings.home, door.product, name, door.account)
    except (OSError, BatutaError) as error:
        _log.error("secret of a vendor not kept", reason=str(error), **place)
        raise unavailable("the secret cannot be kept") from None
    _log.info("secret of a vendor kept", file=door.secret_file, **place)


def _write(path: Path, secret: bytes) -> None:
    """All of it or nothing, also when two come at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _closed() -> Refusal:
    return Refusal(403, "setup_closed", "this account is not being set up now")
