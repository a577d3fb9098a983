"""Secrets by reference: manifests say where a secret is kept, this module fetches it. It keeps nothing."""

import os
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
