"""E-mail addresses, phone numbers, CPF and CNPJ in free text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta.privacy.kinds import is_cnpj, is_cpf
from batuta.privacy.text import find


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fale com Ana.B+x@loja.com.br.", [("email", "Ana.B+x@loja.com.br")]),
        ("João <joão@exemplo.com>", [("email", "joão@exemplo.com")]),
        ("CPF 529.982.247-25", [("cpf", "529.982.247-25")]),
        ("cpf:52998224725!", [("cpf", "52998224725")]),
        ("12.ABC.345/01DE-35 e 11222333000181", [("cnpj", "12.ABC.345/01DE-35"), ("cnpj", "11222333000181")]),
        ("(11) 98765-4321", [("phone", "(11) 98765-4321")]),
        ("liga 11987654321", [("phone", "11987654321")]),
        ("5511987654321", [("phone", "5511987654321")]),
        (
            "+55 11 3456-7890, +1 (415) 555-2671",
            [("phone", "+55 11 3456-7890"), ("phone", "+1 (415) 555-2671")],
        ),
        ("11 3456-7890", [("phone", "11 3456-7890")]),
    ],
)
def test_personal_data_is_found(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pedido #12345 de 2025-11-12T10:00:00Z, versão 1.2.3",
        "total R$ 1.234,56 às 10:30",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "gid://shopify/Order/820982911946154508",
        "b6f6a4b0-7a0b-4d0d-9a7b-2a3c1f2e1a90",
        "111.111.111-11",
        "unix 1731234567",
        "a@b",
    ],
)
def test_what_is_not_personal_is_left_alone(text: str) -> None:
    assert found(text) == []


@given(st.text())
def test_spans_are_in_order_and_never_overlap(text: str) -> None:
    end = 0
    for span in find(text):
        assert end <= span.start < span.end <= len(text)
        end = span.end


@given(st.integers(0, 10**9 - 1), st.sampled_from(["{}{}{}{}", "{}.{}.{}-{}", "{} {} {}-{}"]))
def test_every_valid_cpf_is_found_however_it_is_written(number: int, form: str) -> None:
    digits = with_check_digits(f"{number:09d}")
    if not is_cpf(digits):
        return
    text = form.format(digits[:3], digits[3:6], digits[6:9], digits[9:])
    assert found(f"meu documento é {text}, ok?") in ([("cpf", text)], [("phone", text)])


def with_check_digits(nine: str) -> str:
    digits = [int(c) for c in nine]
    for _ in range(2):
        weights = range(len(digits) + 1, 1, -1)
        digits.append(sum(d * w for d, w in zip(digits, weights, strict=True)) * 10 % 11 % 10)
    return "".join(map(str, digits))


@pytest.mark.parametrize(
    ("digits", "valid"), [("11144477735", True), ("11144477734", False), ("00000000000", False), ("1", False)]
)
def test_cpf_check_digits(digits: str, valid: bool) -> None:
    assert is_cpf(digits) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("12ABC34501DE35", True),
        ("11222333000181", True),
        ("12ABC34501DE36", False),
        ("12ABC34501DEAB", False),
    ],
)
def test_cnpj_check_digits_with_and_without_letters(text: str, valid: bool) -> None:
    assert is_cnpj(text) is valid


@pytest.mark.parametrize(
    "text",
    ["a" * 50_000, "1." * 25_000, "a." * 25_000 + "@", "a@" + "b." * 25_000, "+1 " * 20_000, "@" * 50_000],
)
def test_hostile_text_takes_time_in_proportion(text: str) -> None:
    started = time.process_time()
    list(find(text))
    assert time.process_time() - started < 5
