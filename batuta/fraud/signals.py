"""Signals of fraud in one message: what it links to, what it asks for, how it is worded. A pure function of the text.

Signals are facts a person can check, never a verdict: a skill weighs them together with what is known of the sender and
of the medium. Read before masking; what they name of a person (a PIX key) is hashed by the contract.
PIX keys and the payload `br.gov.bcb.pix`: Banco Central do Brasil, Manual do BR Code.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeAlias

from batuta.fraud.lookalikes import SHORTENERS, decoded, imitated, plain, registrable
from batuta.privacy.kinds import is_cnpj, is_cpf

JsonObject: TypeAlias = dict[str, Any]

MOST_CHARACTERS: Final = 20_000
MOST_LINKS: Final = 20
MOST_KEYS: Final = 10
_EXECUTABLE: Final = re.compile(r"\.(apk|apkm|xapk|exe|msi|scr|bat|cmd|js|vbs|jar|lnk|dmg|hta|iso)$")
_EXECUTABLE_MIME: Final = frozenset(
    {"application/vnd.android.package-archive", "application/x-msdownload", "application/java-archive"}
)
_LINK: Final = re.compile(
    r"(?:https?://[^\s<>\"']{1,2000})|(?<![\w@.-])(?:[\w-]{1,63}\.){1,8}[a-z]{2,24}(?![\w@-])(?:/[^\s<>\"']{0,2000})?",
    re.IGNORECASE,
)
_RANDOM_KEY: Final = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE
)
_CODE: Final = re.compile(r"00020[01][0-9A-Za-z .*@+\-_/:$%&]{20,600}?6304[0-9A-Fa-f]{4}")
_EMAIL: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_NUMBER: Final = re.compile(r"(?<![\w.])\+?\d[\d().\s/-]{8,24}\d(?!\w)")


def signals(text: str | None, *, filename: str | None = None, mime: str | None = None) -> JsonObject:
    """The signals of a message.

    Args:
        text: What it says, unmasked; of a very long text the beginning.
        filename: Name of the document that came with it.
        mime: Media type of what came with it.
    """
    whole = (text or "")[:MOST_CHARACTERS]
    words = plain(whole)
    links = _links(whole)
    keys = _pix_keys(whole, words)
    return {
        "wording": [name for name, patterns in _wording().items() if any(p.search(words) for p in patterns)],
        "links": links,
        "pix": keys,
        "executable": bool(_EXECUTABLE.search((filename or "").strip().lower())) or mime in _EXECUTABLE_MIME,
        "length": len(text or ""),
    }


def _links(text: str) -> list[JsonObject]:
    found: dict[str, JsonObject] = {}
    for match in _LINK.finditer(text):
        host = _host(match[0])
        if host and host not in found and len(found) < MOST_LINKS:
            link = _link(host)
            if link is not None:
                found[host] = link
    return list(found.values())


def _host(link: str) -> str:
    """The host of a link; what stands before an @ is there to deceive."""
    rest = link.partition("://")[2] if "://" in link else link
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    return authority.partition(":")[0].strip(".").lower()


def _link(host: str) -> JsonObject | None:
    address = _is_address(host)
    domain = host if address else registrable(host)
    if domain is None:
        return None
    shown = decoded(host)
    return {
        "host": host[:253],
        "domain": domain[:253],
        "address": address,
        "shortener": domain in SHORTENERS,
        "punycode": shown != host or not host.isascii(),
        "imitates": None if address else imitated(shown),
    }


def _pix_keys(text: str, words: str) -> list[JsonObject]:
    """Keys a payment could go to: codes to be pasted, and what has the form of a key where PIX is spoken of."""
    codes = [m[0] for m in _CODE.finditer(text) if "br.gov.bcb.pix" in m[0].lower() and _checks(m[0])]
    found: list[JsonObject] = [{"kind": "code", "random": _inside(code)} for code in codes]
    if codes or re.search(r"\b(pix|chave)\b", words):
        rest = text
        for code in codes:
            rest = rest.replace(code, " ")
        found += [{"kind": "email", "email": m[0]} for m in _EMAIL.finditer(rest)]
        found += [{"kind": "random", "random": m[0].lower()} for m in _RANDOM_KEY.finditer(rest)]
        found += [key for m in _NUMBER.finditer(_RANDOM_KEY.sub(" ", rest)) if (key := _number_key(m[0]))]
    return found[:MOST_KEYS]


def _number_key(text: str) -> JsonObject | None:
    digits = re.sub(r"\D", "", text)
    if is_cpf(digits):
        return {"kind": "cpf", "cpf": digits}
    if is_cnpj(digits):
        return {"kind": "cnpj", "cnpj": digits}
    national = digits.removeprefix("55") if len(digits) in (12, 13) else digits
    return {"kind": "phone", "phone": digits} if len(national) in (10, 11) else None


def _checks(code: str) -> bool:
    """Whether a BR Code ends in its CRC-16 (CCITT, initial value FFFF)."""
    crc = 0xFFFF
    for byte in code[:-4].encode("latin-1", "replace"):
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return f"{crc:04X}" == code[-4:].upper()


def _inside(code: str) -> str | None:
    """The key within a BR Code (field 26, subfield 01), None where it only names an address (subfield 25)."""
    fields = _fields(code)
    return _fields(fields.get("26", "")).get("01")


def _fields(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at + 4 <= len(text) and text[at : at + 4].isdigit():
        size = int(text[at + 2 : at + 4])
        found[text[at : at + 2]] = text[at + 4 : at + 4 + size]
        at += 4 + size
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


@cache
def _wording() -> Mapping[str, tuple[re.Pattern[str], ...]]:
    document = tomllib.loads((files("batuta.fraud") / "words.toml").read_text(encoding="utf-8"))
    return {name: tuple(map(re.compile, patterns)) for name, patterns in document.items()}
