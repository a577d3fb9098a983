"""The bundle: the compiled graph on disk, under its digest, for Dagster and the gateway to read at start.

`current.json` is replaced atomically, so a reader sees the old graph or the new one and never half of either.
"""

import gc
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from batuta.errors import BatutaError
from batuta.manifests.fields import VERIFIED
from batuta.manifests.graph import CompiledGraph, CompiledStep

_TAIL = b"}\n"
_STEPS = TypeAdapter(tuple[CompiledStep, ...])


class BundleError(BatutaError):
    """There is no bundle, or it is not what `batuta apply` wrote."""


def bundle_path(home: Path) -> Path:
    """Where the bundle in force is."""
    return home / "bundle" / "current.json"


def write_bundle(home: Path, graph: CompiledGraph) -> Path:
    """Write the graph under its digest, make it the one in force, and give its path."""
    current = bundle_path(home)
    content = _head(graph.digest) + graph.canonical() + _TAIL
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
        BundleError: there is none, or it is not what was written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BundleError(
            f"no manifests are applied yet: {path} is not there", hint="run batuta apply PATH"
        ) from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}", hint="check who may read it") from error
    canonical = content[len(_head("0" * 64)) : -len(_TAIL)]
    if content != _head(hashlib.sha256(canonical).hexdigest()) + canonical + _TAIL:
        raise BundleError(f"{path} is not what batuta apply wrote", hint="run batuta apply PATH again")
    try:
        with without_collection():
            return _graph(orjson.loads(canonical))
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"{path} was written by another version of BATUTA", hint="run batuta apply PATH again"
        ) from error


def _graph(document: Any) -> CompiledGraph:
    """The graph of a bundle, whose content is known to be what was written.

    Steps are the most of it, and pipelines of many products have the same ones: each list of them is made once.
    """
    made: dict[bytes, tuple[CompiledStep, ...]] = {}
    for pipeline in document["pipelines"]:
        key = orjson.dumps(pipeline["steps"])
        if key not in made:
            made[key] = _STEPS.validate_python(pipeline["steps"])
        pipeline["steps"] = made[key]
    return CompiledGraph.model_validate(document, context=VERIFIED)


@contextmanager
def without_collection() -> Iterator[None]:
    """Spare the collector thousands of objects of which none is garbage."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _head(digest: str) -> bytes:
    return b'{"digest":"%s","graph":' % digest.encode()


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
