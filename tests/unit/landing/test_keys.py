"""Master keys: made once, never replaced in silence, told apart by their fingerprint."""

from pathlib import Path

import pytest

from batuta.keys import KeyRing, KeysMismatch, KeysMissing, create_keys


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first = create_keys(tmp_path)
    assert create_keys(tmp_path).fingerprint() == first.fingerprint()
    assert (tmp_path / "keys" / "master.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_missing_keys_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(KeysMissing, match="there are no master keys at"):
        KeyRing.load(tmp_path)


def test_lost_keys_are_not_made_anew(tmp_path: Path) -> None:
    create_keys(tmp_path)
    (tmp_path / "keys" / "master.json").unlink()
    with pytest.raises(KeysMissing, match="are gone"):
        create_keys(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"hmac": "x", "aead": {}}', "\x00"])
def test_a_damaged_key_file_is_a_clear_error(tmp_path: Path, content: str) -> None:
    create_keys(tmp_path)
    (tmp_path / "keys" / "master.json").write_text(content)
    with pytest.raises(KeysMismatch, match="is damaged"):
        KeyRing.load(tmp_path)


def test_keys_never_show_in_a_repr(tmp_path: Path) -> None:
    ring = create_keys(tmp_path)
    assert repr(ring) == "KeyRing(_current='k1')"


def test_derived_keys_differ_by_product_and_purpose(tmp_path: Path) -> None:
    ring = create_keys(tmp_path)
    derived = {ring.hmac("a", "x"), ring.hmac("a", "y"), ring.hmac("b", "x"), ring.aead("a", "x")[1]}
    assert len(derived) == 4
    key_id, key = ring.aead("a", "vault")
    assert ring.aead_by_id(key_id, "a", "vault") == key
    with pytest.raises(KeysMissing):
        ring.aead_by_id("k9", "a", "vault")
