"""Names on the internet that look like somebody else's: a digit for a letter in a bank's, a word added to a shop's."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

SHORTENERS: Final = frozenset(
    {
        "abre.ai", "acesse.one", "bit.ly", "cutt.ly", "encurtador.com.br", "goo.gl", "is.gd", "l1nk.dev", "linktr.ee",
        "ow.ly", "rb.gy", "rebrand.ly", "shorturl.at", "t.co", "t.ly", "tiny.cc", "tinyurl.com",
    }
)  # fmt: skip
# Digits and signs, then Cyrillic letters, that the eye takes for Latin ones.
_LOOKALIKES: Final = str.maketrans("0134578@$!9авсеорхуіјѕԁӏ", "oleastbasigabceopxyijsdl")


def imitated(host: str, brands: Sequence[str] = ()) -> str | None:
    """The brand whose name a host bears without being its own, or nearly bears; None for an honest one.

    Args:
        host: A host name in letters, not in punycode.
        brands: Domains of one's own that others may imitate, beside those that are shipped.
    """
    known = _brands(tuple(brands))
    if any(host == domain or host.endswith(f".{domain}") for own in known.values() for domain in own):
        return None
    from rapidfuzz.distance import OSA

    words = [part for label in host.split(".")[:-1] for part in re.split(r"[-_]", label) if part]
    folded = [_fold(word) for word in (*words, "".join(words))]
    for brand in known:
        for word, raw in zip(folded, (*words, "".join(words)), strict=True):
            if brand in word and (len(brand) >= 5 or word == brand):
                return brand
            near = 1 if len(brand) < 8 else 2
            if len(brand) >= 5 and raw != brand and OSA.distance(word, brand, score_cutoff=near) <= near:
                return brand
    return None


def plain(text: str) -> str:
    """Lower case, without accents, one space between words."""
    letters = unicodedata.normalize("NFKD", text)
    return " ".join("".join(c for c in letters if not unicodedata.combining(c)).lower().split())


def _fold(word: str) -> str:
    """A word as the eye takes it: look-alike letters and digits are one."""
    return plain(word).translate(_LOOKALIKES).replace("rn", "m").replace("vv", "w")


def decoded(host: str) -> str:
    """A host name in letters: punycode is what machines read."""
    try:
        return host.encode("ascii").decode("idna") if "xn--" in host else host
    except (UnicodeError, ValueError):
        return host


@cache
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def registrable(host: str) -> str | None:
    """The domain somebody has registered; None for what is no name on the internet (a file name, an abbreviation)."""
    listed = _suffixes()
    suffix = listed.publicsuffix(host, accept_unknown=False)
    return listed.privatesuffix(host, accept_unknown=False) if suffix else None


@cache
def _brands(own: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    document = tomllib.loads((files("batuta.fraud") / "brands.toml").read_text(encoding="utf-8"))
    known = {name: frozenset(domains) for name, domains in document.items()}
    for domain in own:
        name = _fold(domain.partition(".")[0])
        known[name] = known.get(name, frozenset()) | {domain.lower()}
    return known
