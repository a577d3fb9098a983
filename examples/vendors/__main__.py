"""`python -m examples.vendors NAME [options]`: run one of the local vendors; without a name, list them."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from examples.vendors.serving import StandInFailed

_FOLDER: Final = Path(__file__).parent


def names() -> tuple[str, ...]:
    """The vendors there are: modules of this folder that can be served."""
    found = (module.name for module in pkgutil.iter_modules([str(_FOLDER)]))
    return tuple(
        name
        for name in sorted(found)
        if not name.startswith("_")
        and (_FOLDER / f"{name}.py").is_file()
        and "def serve(" in (_FOLDER / f"{name}.py").read_text(encoding="utf-8")
    )


def main(arguments: Sequence[str]) -> int:
    """Serve the vendor that is named first; the rest is for it."""
    known = names()
    if not arguments or arguments[0] not in known:
        asked = f'no vendor "{arguments[0]}"; ' if arguments and not arguments[0].startswith("-") else ""
        print(f"{asked}usage: python -m examples.vendors NAME [--port N ...]", file=sys.stderr)
        print(f"vendors: {', '.join(known) or 'none'}", file=sys.stderr)
        return 2
    try:
        importlib.import_module(f"examples.vendors.{arguments[0]}").serve(arguments[1:])
    except KeyboardInterrupt:
        return 130
    except StandInFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
