"""Refuse skipped tests whose reason nobody has allowed: `skips.py JUNIT ALLOWED`.

ALLOWED holds one regular expression a line; a reason must match one of them from its beginning.
"""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def unexpected(junit: Path, allowed: Path) -> list[str]:
    """Skipped tests with a reason that is not allowed, as `test: reason`."""
    lines = allowed.read_text(encoding="utf-8").splitlines()
    patterns = [re.compile(line) for line in lines if line.strip() and not line.startswith("#")]
    found: list[str] = []
    for case in ET.parse(junit).iter("testcase"):
        for skipped in case.findall("skipped"):
            reason = skipped.get("message", "")
            if not any(pattern.match(reason) for pattern in patterns):
                found.append(f"{case.get('classname')}.{case.get('name')}: {reason}")
    return found


def main() -> int:
    """Print what is not allowed; 1 when there is any."""
    found = unexpected(Path(sys.argv[1]), Path(sys.argv[2]))
    for line in found:
        print(f"unexpected skip: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
