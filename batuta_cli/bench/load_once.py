"""Loads the definitions of a module as a code server does, in this process, and says how long each part took.

`python -m batuta_cli.bench.load_once MODULE ATTRIBUTE` prints one JSON line, processor times in seconds: `import` of
the module, `load` of its definitions with all jobs, `snapshot` of the repository as the code server sends it; and how
many assets, jobs, sensors and schedules there are.
"""

import importlib
import json
import sys
from time import process_time
from typing import Any


def main(module: str, attribute: str) -> None:
    """Load once."""
    began = process_time()
    found: Any = getattr(importlib.import_module(module), attribute)
    imported = process_time()
    definitions: Any = found() if callable(found) else found
    repository = definitions.get_repository_def()
    loaded = process_time()
    from batuta_assets.compat import repository_snapshot

    ready = process_time()
    size = len(repository_snapshot(repository))
    ended = process_time()
    counts = {
        "assets": len(repository.asset_graph.get_all_asset_keys()),
        "jobs": len(repository.job_names),
        "sensors": len(repository.sensor_defs),
        "schedules": len(repository.schedule_defs),
    }
    times = {"import": imported - began, "load": loaded - imported, "snapshot": ended - ready}
    print(json.dumps({**times, **counts, "snapshot_bytes": size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
