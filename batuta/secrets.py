"""Secrets by reference: manifests say where a secret is kept, this module fetches it. In memory it keeps nothing."""

import os
import tempfile
from collections.abc import Mapping, Sequence
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


def resolve_secrets(
    refs: Sequence[SecretRef],
    settings: SecretsFolder,
    *,
    where: str = "secretRefs",
    environment: Mapping[str, str] | None = None,
) -> tuple[bytes, ...]:
    """Fetch the secrets that `refs` name, in their order.

    Args:
        refs: References of a manifest.
        settings: Says where secret files are.
        where: Manifest field of the references, for messages, as in `arcsat: spec.connectors[0].secretRefs`.
        environment: Environment variables; the process's own when left out.

    Raises:
        SecretMissing: a reference leads to nothing.
    """
    variables = os.environ if environment is None else environment
    return tuple(
        _from_environment(ref.env, variables, f"{where}[{index}]")
        if ref.env is not None
        else _from_file(str(ref.file), settings.secrets_dir, f"{where}[{index}]")
        for index, ref in enumerate(refs)
    )


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
            f"{where}: environment variable {name} is not set", hint=f"set {name} to the secret"
        )
    return value.encode()


def _from_file(name: str, folder: Path, where: str) -> bytes:
    path = folder / name
    try:
        value = path.read_bytes().strip()
    except OSError as error:
        raise SecretMissing(
            f"{where}: secret file {path} cannot be read: {error.strerror}",
            hint=f"write the secret into {path}",
        ) from None
    if not value:
        raise SecretMissing(f"{where}: secret file {path} is empty", hint=f"write the secret into {path}")
    return value
