"""Set-up windows: for some minutes an account may be told a secret by whoever asks, because its vendor chooses it.

`<home>/setup-windows.json` holds `{"<product>/<connector>/<account>": "<RFC 3339 until>"}`, the account empty for the
one without a name. The command line opens, the gateway looks and closes. A file that cannot be read opens nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock

from batuta.errors import BatutaError

FILE: Final = "setup-windows.json"
LONGEST_MINUTES: Final = 120


def window_name(product: str, connector: str, account: str | None) -> str:
    """How an account is called in the file."""
    return f"{product}/{connector}/{account or ''}"


def open_window(
    home: Path, product: str, connector: str, account: str | None, *, now: datetime, until: datetime
) -> None:
    """Open a window up to `until` (aware); windows that are over are swept away.

    Raises:
        BatutaError: the home does not take the file.
    """
    with _changing(home) as windows:
        over = [name for name, end in windows.items() if end <= now]
        for name in over:
            del windows[name]
        windows[window_name(product, connector, account)] = until


def close_window(home: Path, product: str, connector: str, account: str | None) -> None:
    """Close a window, if it is open: the secret has been learned.

    Raises:
        BatutaError: the home does not take the file.
    """
    with _changing(home) as windows:
        windows.pop(window_name(product, connector, account), None)


def window_open(home: Path, product: str, connector: str, account: str | None, now: datetime) -> bool:
    """Whether an account's window is open; `now` is aware."""
    until = _read(home).get(window_name(product, connector, account))
    return until is not None and now < until


def _read(home: Path) -> dict[str, datetime]:
    try:
        document = json.loads((home / FILE).read_text(encoding="utf-8"))
        windows = {str(name): datetime.fromisoformat(until) for name, until in document.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {name: until for name, until in windows.items() if until.tzinfo is not None}


@contextmanager
def _changing(home: Path) -> Iterator[dict[str, datetime]]:
    path = home / FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / f"{FILE}.lock", timeout=10):
            windows = _read(home)
            yield windows
            content = {name: until.astimezone(UTC).isoformat() for name, until in sorted(windows.items())}
            handle, draft = tempfile.mkstemp(dir=home, prefix=f".{FILE}.")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file)
            Path(draft).replace(path)
    except (OSError, TimeoutError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is locked"
        raise BatutaError(
            f"{path} cannot be written: {reason}", hint="Let this process write into BATUTA_HOME."
        ) from None
