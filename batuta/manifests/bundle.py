"""The bundle: the compiled graph on disk, under its digest, for Dagster and the gateway to read at start.

`current.json` is replaced atomically, so a reader sees the old graph or the new one and never half of either.
"""

import json
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from batuta.errors import BatutaError
from batuta.manifests.graph import CompiledGraph

_FORMAT = 1


class BundleError(BatutaError):
    """There is no bundle, or it is not what `batuta apply` wrote."""


def bundle_path(home: Path) -> Path:
    """Where the bundle in force is."""
    return home / "bundle" / "current.json"


def write_bundle(home: Path, graph: CompiledGraph) -> Path:
    """Write the graph under its digest, make it the one in force, and give its path."""
    current = bundle_path(home)
    content = json.dumps(
        {"format": _FORMAT, "digest": graph.digest, "graph": graph.document()}, ensure_ascii=False, indent=1
    )
    try:
        current.parent.mkdir(parents=True, exist_ok=True)
        _replace(current.with_name(f"{graph.digest}.json"), content)
        _replace(current, content)
    except OSError as error:
        raise BundleError(
            f"cannot write the bundle to {current.parent}: {error.strerror}",
            hint="free space there, or set BATUTA_HOME",
        ) from error
    return current


def read_bundle(path: Path) -> CompiledGraph:
    """Read a bundle and check it against its digest.

    Raises:
        BundleError: there is none, or it has been changed.
    """
    try:
        envelope = json.loads(path.read_text("utf-8"))
        graph = CompiledGraph.model_validate(envelope["graph"])
        digest = envelope["digest"]
    except FileNotFoundError:
        raise BundleError(
            f"no manifests are applied yet: {path} is not there", hint="run batuta apply PATH"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise BundleError(f"{path} cannot be read as a bundle", hint="run batuta apply PATH again") from error
    if digest != graph.digest:
        raise BundleError(f"{path} is not what batuta apply wrote", hint="run batuta apply PATH again")
    return graph


def _replace(path: Path, content: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
