"""Kinds of personal data and their normal forms, so that one person's one address has one hash."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["email", "phone", "cpf", "cnpj", "name", "address", "person_id", "ip", "text"]
Rule: TypeAlias = Literal["keep", "hash", "token", "mask", "drop"]

KINDS: Final[frozenset[str]] = frozenset(get_args(Kind))
RULES: Final[frozenset[str]] = frozenset({"hash", "token", "mask", "drop"})

_NOT_DIGIT: Final = re.compile(r"[^0-9]")
_NOT_ALPHANUMERIC: Final = re.compile(r"[^0-9A-Z]")
_BRAZIL: Final = "55"


def email(value: str) -> str:
    """Without surrounding space, in lower case."""
    return value.strip().lower()


def phone(value: str) -> str:
    """The digits of E.164; a number without country code is taken as Brazilian. Other text is only trimmed."""
    text = value.strip()
    digits = _NOT_DIGIT.sub("", text)
    if len(digits) < 8:
        return text.lower()
    if text.startswith("+"):
        return digits
    if digits.startswith("00"):
        return digits[2:]
    national = digits.lstrip("0")
    return _BRAZIL + national if len(national) in (10, 11) else national


def cpf(value: str) -> str:
    """The eleven digits."""
    return _NOT_DIGIT.sub("", value)


def cnpj(value: str) -> str:
    """The fourteen digits and letters, in upper case."""
    return _NOT_ALPHANUMERIC.sub("", value.upper())


def words(value: str) -> str:
    """One space between words, case folded: names and addresses."""
    return " ".join(value.split()).casefold()


def plain(value: str) -> str:
    """Without surrounding space: ids and IP addresses."""
    return value.strip()


NORMAL_FORM: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "email": email,
        "phone": phone,
        "cpf": cpf,
        "cnpj": cnpj,
        "name": words,
        "address": words,
        "person_id": plain,
        "ip": plain,
        "text": words,
    }
)


def is_cpf(digits: str) -> bool:
    """Whether eleven digits carry the right check digits; eleven equal ones do and are still none."""
    if len(digits) != 11 or digits == digits[0] * 11:
        return False
    values = [ord(c) - 48 for c in digits]
    for length in (9, 10):
        total = sum(value * weight for value, weight in zip(values, range(length + 1, 1, -1), strict=False))
        if values[length] != total * 10 % 11 % 10:
            return False
    return True


def is_cnpj(characters: str) -> bool:
    """Whether fourteen characters carry the right check digits; the first twelve may be letters (IN RFB 2.229/2024)."""
    if len(characters) != 14 or not characters[12:].isdigit() or characters == characters[0] * 14:
        return False
    values = [ord(c) - 48 for c in characters]
    for length in (12, 13):
        weights = [(length - 1 - position) % 8 + 2 for position in range(length)]
        remainder = sum(value * weight for value, weight in zip(values, weights, strict=False)) % 11
        if values[length] != (0 if remainder < 2 else 11 - remainder):
            return False
    return True
