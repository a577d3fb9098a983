"""Where the services of one home listen for one another: Unix sockets."""

import hashlib
import tempfile
from pathlib import Path
from typing import Final

# Longest path of a Unix socket on Linux is 107 bytes.
SOCKET_PATH_LIMIT: Final = 100


def socket_path(home: Path, name: str) -> Path:
    """The socket of a service: in the home, or for a home with a long path in the temporary folder."""
    path = home / "run" / f"{name}.sock"
    if len(str(path)) <= SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    suffix = "" if name == "code" else f"-{name}"
    return Path(tempfile.gettempdir()) / f"batuta-{digest}{suffix}.sock"
