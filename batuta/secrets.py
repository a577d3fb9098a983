"""Secrets by reference: manifests say where a secret is kept, this module fetches it. In memory it keeps nothing."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from batuta.errors import BatutaError
from batuta.manifests.models import SecretRef


class SecretMissing(BatutaError):
    """A referenced secret is not where the manifest says."""


class SecretsFolder(Protocol):
    """The part of the settings that says where secret files are."""

    @property
    def secrets_dir(self) -> Path:
        """Folder of secret files."""
        ...


@dataclass(frozen=True, slots=True)
class FoundSecrets:
    """What references lead to: the secrets that are there, in their order, and those that are missing."""

    values: tuple[bytes, ...] = field(repr=False)
    missing: tuple[SecretMissing, ...]


def resolve_secret(
    ref: SecretRef,
    settings: SecretsFolder,
    *,
    where: str = "secretRef",
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """Fetch the secret that `ref` names.

    Args:
        ref: Reference of a manifest.
        settings: Says where secret files are.
        where: Manifest field of the reference, for messages, as in `arcsat: spec.connectors[0].secretRefs[0]`.
        environment: Environment variables; the process's own when left out.

    Raises:
        SecretMissing: the reference leads to nothing.
    """
    if ref.env is not None:
        return _from_environment(ref.env, os.environ if environment is None else environment, where)
    return _from_file(str(ref.file), settings.secrets_dir, where)


def find_secrets(
    refs: Sequence[SecretRef],
    settings: SecretsFolder,
    *,
    where: str = "secretRefs",
    environment: Mapping[str, str] | None = None,
) -> FoundSecrets:
    """Fetch those of the secrets of a list that are there: while one is exchanged, the other has to do.

    Args: see `resolve_secret`; `where` is the field of the list.
    """
    values: list[bytes] = []
    missing: list[SecretMissing] = []
    for index, ref in enumerate(refs):
        try:
            values.append(resolve_secret(ref, settings, where=f"{where}[{index}]", environment=environment))
        except SecretMissing as error:
            missing.append(error)
    return FoundSecrets(tuple(values), tuple(missing))


def store_secret(ref: SecretRef, value: bytes, settings: SecretsFolder, *, where: str) -> None:
    """Put a renewed secret (a refresh token the vendor has exchanged) where its reference leads.

    The file is replaced as a whole and readable by its owner alone.

    Raises:
        SecretMissing: the reference leads to an environment variable, or the folder does not take the file.
    """
    if ref.file is None:
        raise SecretMissing(
            f"{where}: the vendor has renewed this credential, and the environment variable {ref.env} "
            "cannot be written",
            hint="Refer to it by file: NAME, so that the renewed one can be kept.",
        )
    path = settings.secrets_dir / ref.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SecretMissing(
            f"{where}: the renewed credential cannot be written to {path}: {error.strerror}",
            hint="Let this process write into the secrets folder.",
        ) from None


def _from_environment(name: str, variables: Mapping[str, str], where: str) -> bytes:
    value = variables.get(name, "").strip()
    if not value:
        raise SecretMissing(
            f"{where}: environment variable {name} is not set", hint=f"Set {name} to the secret."
        )
    return value.encode()


def _from_file(name: str, folder: Path, where: str) -> bytes:
    path = folder / name
    try:
        value = path.read_bytes().strip()
    except OSError as error:
        raise SecretMissing(
            f"{where}: secret file {path} cannot be read: {error.strerror}",
            hint=f"Write the secret into {path}.",
        ) from None
    if not value:
        raise SecretMissing(f"{where}: secret file {path} is empty", hint=f"Write the secret into {path}.")
    return value
