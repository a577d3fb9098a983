"""Hashes, tokens and masks."""

from dataclasses import replace
from pathlib import Path

import pytest

from batuta.keys import KeyRing, create_keys
from batuta.privacy.masking import Masker, Tally, VaultBroken, open_vault_row


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    return create_keys(tmp_path)


def hashed(masker: Masker, kind: str, value: str | int) -> str | None:
    return masker.rule(kind, "hash")(value, Tally())


@pytest.mark.parametrize(
    ("kind", "one", "same"),
    [
        ("email", "Ana@Exemplo.com", " ana@exemplo.COM "),
        ("phone", "(11) 98765-4321", "+55 11 98765 4321"),
        ("phone", "011987654321", "5511987654321"),
        ("cpf", "529.982.247-25", "52998224725"),
        ("cnpj", "12.abc.345/01de-35", "12ABC34501DE35"),
        ("name", "Ana  Souza", "ana souza"),
        ("person_id", 207119551, "207119551"),
    ],
)
def test_one_person_has_one_hash_however_written(keys: KeyRing, kind: str, one: str | int, same: str) -> None:
    assert hashed(Masker("arcsat", keys), kind, one) == hashed(Masker("arcsat", keys), kind, same)


def test_hashes_differ_by_product_kind_and_installation(keys: KeyRing, tmp_path: Path) -> None:
    hashes = {
        hashed(Masker("arcsat", keys), "person_id", "x@y.io"),
        hashed(Masker("lojablock", keys), "person_id", "x@y.io"),
        hashed(Masker("arcsat", keys), "email", "x@y.io"),
        hashed(Masker("arcsat", create_keys(tmp_path / "other")), "person_id", "x@y.io"),
    }
    assert len(hashes) == 4


def test_a_hash_has_its_version_and_sixteen_bytes(keys: KeyRing) -> None:
    value = hashed(Masker("arcsat", keys), "email", "x@y.io")
    assert value is not None
    assert value.startswith("h1:")
    assert len(value) == 3 + 22


def test_a_token_opens_again_for_its_product_and_kind_only(keys: KeyRing) -> None:
    tally = Tally()
    token = Masker("arcsat", keys).rule("cpf", "token")("529.982.247-25", tally)
    assert token is not None
    row = tally.tokens[token]
    assert b"529" not in row.ciphertext
    assert open_vault_row(row, keys) == "529.982.247-25"
    for changed in (
        replace(row, product="lojablock"),
        replace(row, kind="phone"),
        replace(row, ciphertext=row.ciphertext[:-1] + b"x"),
    ):
        with pytest.raises(VaultBroken):
            open_vault_row(changed, keys)


def test_the_same_value_gets_the_same_token(keys: KeyRing) -> None:
    rule = Masker("arcsat", keys).rule("email", "token")
    assert rule("A@b.io", Tally()) == rule("a@b.io", Tally())


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("hash", "fone [[PHONE:h1:"), ("token", "fone [[PHONE:k1:"), ("mask", "fone [[PHONE]], ok")],
)
def test_free_text_keeps_its_words_and_loses_the_rest(keys: KeyRing, rule: str, expected: str) -> None:
    masked = Masker("arcsat", keys).rule("text", rule)("fone (11) 98765-4321, ok", Tally())
    assert masked is not None
    assert masked.startswith(expected)
    assert "98765" not in masked


def test_a_hash_in_text_is_the_hash_of_the_field(keys: KeyRing) -> None:
    masker = Masker("arcsat", keys)
    assert str(hashed(masker, "email", "ANA@b.io")) in str(
        masker.rule("text", "hash")("mail: ana@b.io", Tally())
    )
