"""A warm process with next to nothing in it, to be started by tests: what it forks does as the request's words say.

`python -m tests.support.small_warm FOLDER`: its door is `FOLDER/door`. A worker whose arguments are `exit N` ends
with N, `wait` waits. When the file `FOLDER/changed` is there, the definitions count as changed.
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, cast

from batuta_assets.warm import Warm


class Small:
    """What is loaded: nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def changed(self) -> bool:
        return (self.folder / "changed").exists()

    def work(self, arguments: str) -> int:
        sys.stderr.write(f"{arguments} in session {os.getsid(0)}\n")
        if arguments == "wait":
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            time.sleep(60)
        return int(arguments.split()[1])

    def listen(self, ears: int) -> int:
        heard = self.folder / "heard"
        while data := os.read(ears, 100):
            with heard.open("ab") as file:
                file.write(data)
        (self.folder / "listener-left").touch()
        return 0


def main(folder: Path) -> None:
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(folder / "door"))
    door.listen()
    warm = Warm(cast("Any", Small(folder)), door, folder / "door")
    try:
        warm.serve()
    finally:
        warm.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
