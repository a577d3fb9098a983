"""Signals of fraud: what is pointed out, and what is left in peace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta.fraud.lookalikes import imitated
from batuta.fraud.signals import signals


def pix_code(key: str, *, city: str = "SAO PAULO") -> str:
    """A BR Code made as Banco Central's manual says."""
    account = f"0014br.gov.bcb.pix01{len(key):02}{key}"
    shop = f"5905MARIA60{len(city):02}{city}62070503***"
    body = f"00020126{len(account):02}{account}52040000530398654041.005802BR{shop}6304"
    crc = 0xFFFF
    for byte in body.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return f"{body}{crc:04X}"


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        ("Mãe, troquei de número, salva esse aqui", {"new_number"}),
        ("URGENTE: sua conta será bloqueada hoje", {"urgency", "threat"}),
        ("Aqui é do banco, central de segurança", {"impersonation"}),
        ("me passa o código que chegou por SMS", {"credentials"}),
        ("Parabéns, você foi sorteada! Resgate o prêmio", {"prize"}),
        ("faz um pix de R$ 350 pra mim?", {"money"}),
        ("Bom dia, meu pedido chegou hoje, obrigada", set[str]()),
        ("A caneca azul tem em estoque?", set[str]()),
    ],
)
def test_wording(text: str, wording: set[str]):
    assert set(signals(text)["wording"]) == wording


@pytest.mark.parametrize(
    ("host", "brand"),
    [
        ("itau-seguranca.com", "itau"),
        ("app.nubank.com.br.seguro.site", "nubank"),
        ("rnercadolivre.com.br", "mercadolivre"),
        ("br4desco.com", "bradesco"),
        ("mercadolivro.com.br", "mercadolivre"),
        ("nubаnk.com.br", "nubank"),
        ("correios-taxa.online", "correios"),
    ],
)
def test_a_host_that_dresses_up_as_a_brand_is_pointed_out(host: str, brand: str):
    assert imitated(host) == brand


@pytest.mark.parametrize(
    "host",
    [
        "www.nubank.com.br",
        "mercadolivre.com.br",
        "rastreamento.correios.com.br",
        "wa.me",
        "arcsat.com.br",
        "github.com",
    ],
)
def test_the_brands_themselves_and_strangers_are_left_in_peace(host: str):
    assert imitated(host) is None


def test_a_brand_of_ones_own_is_protected_too():
    assert imitated("arcsat-promocao.com") is None
    assert imitated("arcsat-promocao.com", ["arcsat.com.br"]) == "arcsat"
    assert imitated("loja.arcsat.com.br", ["arcsat.com.br"]) is None


def links(text: str) -> list[dict[str, Any]]:
    return signals(text)["links"]


def test_links_are_taken_by_what_they_lead_to():
    [link] = links("veja https://nubank.com.br@200.1.2.3/login")
    assert (link["host"], link["address"]) == ("200.1.2.3", True)
    [link] = links("https://bit.ly/3xYz")
    assert link["shortener"] is True
    [link] = links(f"http://{'nubаnk'.encode('idna').decode()}.com.br/x")
    assert (link["punycode"], link["imitates"]) == (True, "nubank")
    assert links("arquivo.pdf às 10.30, v1.2, ana@example.com") == []


def test_pix_keys_are_found_where_pix_is_spoken_of():
    text = "pix: 529.982.247-25 ou +55 11 98765-4321, maria@example.com, 123e4567-e89b-12d3-a456-426614174000"
    assert sorted(key["kind"] for key in signals(text)["pix"]) == ["cpf", "email", "phone", "random"]
    assert signals("meu cpf é 529.982.247-25")["pix"] == []


def test_a_code_to_paste_counts_only_with_its_checksum():
    code = pix_code("maria@example.com")
    [key] = signals(f"copia e cola: {code}")["pix"]
    assert (key["kind"], key["random"]) == ("code", "maria@example.com")
    last = "0" if code[-1] != "0" else "1"
    assert [k["kind"] for k in signals(code[:-1] + last)["pix"]] != ["code"]


def test_programs_in_disguise_are_pointed_out():
    assert signals(None, filename="Comprovante.pdf.apk")["executable"] is True
    assert signals(None, mime="application/vnd.android.package-archive")["executable"] is True
    assert signals(None, filename="nota.pdf", mime="application/pdf")["executable"] is False


@given(st.text())
def test_any_text_has_signals(text: str):
    found = signals(text)
    assert found["length"] == len(text)
    assert len(found["links"]) <= 20
    assert len(found["pix"]) <= 10


@pytest.mark.parametrize("part", ["a.", "1 ", "00020", "@a", "x-"])
def test_long_texts_made_to_be_slow_are_read_up_to_a_bound(part: str):
    assert signals(part * 50_000)["length"] == len(part) * 50_000
