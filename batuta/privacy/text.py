"""Finding e-mail addresses, phone numbers, CPF and CNPJ in free text, by pattern and check digit.

Names and street addresses are not found: that needs a recogniser of language, which this is not. Where a number can be
two things the more telling one is taken; where it can be personal or not, it is taken as personal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from batuta.privacy.kinds import is_cnpj, is_cpf


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text that is personal data of a kind."""

    start: int
    end: int
    kind: str


# Area codes in use in Brazil.
_AREA: Final = r"(?:1[1-9]|2[12478]|3[1-578]|4[1-9]|5[1345]|6[1-9]|7[134579]|8[1-9]|9[1-9])"

_PATTERN: Final = re.compile(
    r"""
    (?P<email>[\w.%+'\-]{1,64}@(?:\w[\w\-]{0,62}\.){1,8}[^\W\d_]{2,24}(?![\w@]))
    | (?<![A-Za-z0-9])(?P<cnpj>[0-9A-Z]{2}\.?[0-9A-Z]{3}\.?[0-9A-Z]{3}/?[0-9A-Z]{4}-?[0-9]{2})(?![A-Za-z0-9])
    | (?<![0-9A-Za-z.\-])(?P<cpf>[0-9]{3}[.\ ]?[0-9]{3}[.\ ]?[0-9]{3}[-\ ]?[0-9]{2})(?![0-9A-Za-z])
    | (?<![0-9A-Za-z+])(?P<phone>
          \+[1-9][0-9]{0,2}[\ .\-]?(?:\([0-9]{1,4}\)[\ .\-]?)?[0-9]{2,5}(?:[\ .\-]?[0-9]{2,5}){1,3}
        | (?:55[\ .\-]?)?\(?0?AREA\)?[\ .\-]{0,2}9[\ .]?[0-9]{4}[\ .\-]?[0-9]{4}
        | (?:\(0?AREA\)[\ .\-]?|0?AREA[\ .\-])[2-5][0-9]{3}[\ .\-]?[0-9]{4}
      )(?![0-9A-Za-z])
    """.replace("AREA", _AREA),
    re.VERBOSE,
)
_WORTH_A_LOOK: Final = re.compile(r"@|[0-9][^A-Za-z@]{6}|[0-9A-Z]{2}\.[0-9A-Z]{3}\.|[0-9A-Z]{12}[0-9]{2}")
_NOT_ALPHANUMERIC: Final = re.compile(r"[^0-9A-Za-z]")


def find(text: str) -> Iterator[Span]:
    """The spans of personal data in a text, from left to right, never overlapping."""
    if not _WORTH_A_LOOK.search(text):
        return
    position = 0
    while (match := _PATTERN.search(text, position)) is not None:
        kind = _kind(match)
        if kind is None:
            position = match.start() + 1
            continue
        yield Span(match.start(), match.end(), kind)
        position = match.end()


def _kind(match: re.Match[str]) -> str | None:
    """What a match is, its check digits looked at; a number that fails them may still be a phone number."""
    kind = match.lastgroup
    if kind == "cnpj" and not is_cnpj(_NOT_ALPHANUMERIC.sub("", match[0]).upper()):
        return None
    if kind == "cpf":
        digits = _NOT_ALPHANUMERIC.sub("", match[0])
        if is_cpf(digits):
            return "cpf"
        return "phone" if _MOBILE.fullmatch(match[0]) else None
    return kind


_MOBILE: Final = re.compile(rf"{_AREA}[ .]?9[0-9 .\-]{{8,10}}")
