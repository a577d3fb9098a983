"""Secrets are fetched where the manifest says, and what is missing is named by its field."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from batuta.manifests.models import SecretRef
from batuta.secrets import SecretMissing, find_secrets, resolve_secret, store_secret


@dataclass(frozen=True)
class Folder:
    secrets_dir: Path


def test_secrets_come_from_files_and_variables_in_the_order_written(tmp_path: Path) -> None:
    (tmp_path / "shop").write_bytes(b"from the file\n")
    refs = (SecretRef(env="SHOP"), SecretRef(file="shop"))

    found = find_secrets(refs, Folder(tmp_path), environment={"SHOP": "from the variable"})

    assert found.values == (b"from the variable", b"from the file")
    assert found.missing == ()


def test_while_one_secret_is_missing_the_others_are_found(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"still good")

    found = find_secrets((SecretRef(file="new"), SecretRef(file="old")), Folder(tmp_path), where="secretRefs")

    assert found.values == (b"still good",)
    assert [error.message.partition(":")[0] for error in found.missing] == ["secretRefs[0]"]


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (SecretRef(env="SHOP"), r"^Product shop: spec.secret: environment variable SHOP is not set"),
        (SecretRef(file="none"), r"spec.secret: secret file .*none cannot be read: No such file"),
        (SecretRef(file="empty"), r"spec.secret: secret file .*empty is empty"),
    ],
)
def test_a_missing_secret_names_the_field_that_refers_to_it(
    tmp_path: Path, ref: SecretRef, message: str
) -> None:
    (tmp_path / "empty").touch()

    with pytest.raises(SecretMissing, match=message):
        resolve_secret(ref, Folder(tmp_path), where="Product shop: spec.secret", environment={})


@pytest.mark.parametrize("name", ["../key", "/etc/passwd", ".hidden", "a/../b", "a b"])
def test_a_secret_file_stays_inside_the_secrets_folder(name: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        SecretRef(file=name)


def test_a_renewed_secret_replaces_its_file_and_is_nobody_elses(tmp_path: Path) -> None:
    ref = SecretRef(file="mail/token")
    store_secret(ref, b"first", Folder(tmp_path), where="credentials.token")
    store_secret(ref, b"second", Folder(tmp_path), where="credentials.token")

    assert resolve_secret(ref, Folder(tmp_path)) == b"second"
    assert (tmp_path / "mail" / "token").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["token"]


def test_a_renewed_secret_in_a_variable_says_how_to_keep_it(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing, match="variable MAIL_TOKEN cannot be written") as caught:
        store_secret(SecretRef(env="MAIL_TOKEN"), b"new", Folder(tmp_path), where="credentials.token")

    assert "file: NAME" in str(caught.value.hint)
    assert "new" not in caught.value.message.split()
