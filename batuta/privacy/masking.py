"""Making personal data unreadable: keyed hash, reversible token, plain mask.

A `Masker` belongs to one product, whose keys it holds; the same value gives the same hash or token in every field,
contract and way in, and another one for every other product. Hashes are keyed BLAKE2b, as sound as HMAC-SHA256 and
several times faster on short values. Values it has seen lately stay in its memory, so that a customer's hundredth
order costs no hash; nothing of that is written anywhere.
"""

from __future__ import annotations

import secrets
from binascii import b2a_base64
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from batuta.errors import BatutaError
from batuta.keys import KeyRing
from batuta.privacy.kinds import NORMAL_FORM
from batuta.privacy.text import find

HASH_VERSION: Final = "h1"
_REMEMBERED: Final = 65_536
_NONCE_BYTES: Final = 12
_DIGEST_BYTES: Final = 16
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

Personal: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class VaultRow:
    """What a token stands for, encrypted under a key outside the database and bound to product and kind."""

    token: str
    product: str
    kind: str
    key_id: str
    nonce: bytes
    ciphertext: bytes


class Tally:
    """What applying a plan to one event left behind: the count of dropped fields, the vault rows of its tokens."""

    __slots__ = ("dropped", "tokens")

    def __init__(self) -> None:
        self.dropped = 0
        self.tokens: dict[str, VaultRow] = {}


Mask: TypeAlias = Callable[[Personal, Tally], str | None]


class VaultBroken(BatutaError):
    """A vault row does not open: it was changed, or belongs to another product or kind."""


class Hashes(dict[Personal, str | None]):
    """Keyed hashes of one kind and scope, by value; None for a blank one. A look-up makes what is not there yet."""

    def __init__(self, kind: str, scope: str, key: bytes) -> None:
        super().__init__()
        self._normal_form = NORMAL_FORM[kind]
        space = f"{kind}:{scope}" if scope else kind
        self._begun = blake2b(f"{space}\x00".encode(), key=key, digest_size=_DIGEST_BYTES)

    def __missing__(self, value: Personal) -> str | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        made = self[value] = self._make(value)
        return made

    def _make(self, value: Personal) -> str | None:
        normal = self._normal_form(str(value)) if value is not None else ""
        if not normal:
            return None
        digest = self._begun.copy()
        digest.update(normal.encode())
        return f"{HASH_VERSION}:{_base64(digest.digest())}"


class Masker:
    """Hashes, tokens and masks of one product."""

    def __init__(self, product: str, keys: KeyRing) -> None:
        self.product = product
        self._hash_key = keys.hmac(product, "personal-hash")
        self._token_key = keys.hmac(product, "token")
        self._vault_key_id, vault_key = keys.aead(product, "vault")
        self._vault = AESGCM(vault_key)
        self._hashes: dict[tuple[str, str], Hashes] = {}

    def rule(self, kind: str, rule: str, scope: str = "") -> Mask:
        """The function that carries out `rule` on values of `kind`; it gives None for a blank value.

        Args:
            kind: One of `batuta.privacy.kinds.KINDS`; `text` is searched for the others.
            rule: hash, token or mask.
            scope: Keeps apart ids that different vendors number alike.
        """
        if kind == "text":
            return self._text_rule(rule)
        if rule == "hash":
            hashes = self.hashes(kind, scope)
            return lambda value, tally: hashes[value]
        if rule == "token":
            return lambda value, tally: self._token(kind, value, tally)
        if rule == "mask":
            label = f"[[{kind.upper()}]]"
            return lambda value, tally: None if _blank(value) else label
        raise ValueError(f"no masking rule {rule!r}")

    def hashes(self, kind: str, scope: str = "") -> Hashes:
        """The hashes of values of `kind`."""
        hashes = self._hashes.get((kind, scope))
        if hashes is None:
            hashes = self._hashes.setdefault((kind, scope), Hashes(kind, scope, self._hash_key))
        return hashes

    def hash_value(self, kind: str, scope: str, value: Personal) -> str | None:
        """The hash of one value; None for a blank one."""
        return self.hashes(kind, scope)[value]

    def _token(self, kind: str, value: Personal, tally: Tally) -> str | None:
        if _blank(value):
            return None
        text = str(value)
        normal = NORMAL_FORM[kind](text)
        identity = blake2b(f"{kind}\x00{normal}".encode(), key=self._token_key, digest_size=_DIGEST_BYTES)
        token = f"[[{kind.upper()}:{self._vault_key_id}:{_base64(identity.digest())}]]"
        if token not in tally.tokens:
            nonce = secrets.token_bytes(_NONCE_BYTES)
            ciphertext = self._vault.encrypt(nonce, text.encode(), _bound_to(self.product, kind))
            tally.tokens[token] = VaultRow(token, self.product, kind, self._vault_key_id, nonce, ciphertext)
        return token

    def _text_rule(self, rule: str) -> Mask:
        def replacement(kind: str, value: str, tally: Tally) -> str:
            if rule == "mask":
                return f"[[{kind.upper()}]]"
            if rule == "token":
                return self._token(kind, value, tally) or ""
            return f"[[{kind.upper()}:{self.hash_value(kind, '', value)}]]"

        def scan(value: Personal, tally: Tally) -> str | None:
            if value is None:
                return None
            text = str(value)
            pieces: list[str] = []
            end = 0
            for span in find(text):
                pieces += (text[end : span.start], replacement(span.kind, text[span.start : span.end], tally))
                end = span.end
            return "".join((*pieces, text[end:])) if end else text

        return scan


def open_vault_row(row: VaultRow, keys: KeyRing) -> str:
    """What a token stands for.

    Raises:
        VaultBroken: the row was changed or is bound to something else.
    """
    key = keys.aead_by_id(row.key_id, row.product, "vault")
    try:
        return AESGCM(key).decrypt(row.nonce, row.ciphertext, _bound_to(row.product, row.kind)).decode()
    except InvalidTag:
        raise VaultBroken(
            f"the vault row of {row.token} does not open",
            hint="It was changed, or copied from another product; restore it from a backup.",
        ) from None


def _bound_to(product: str, kind: str) -> bytes:
    return f"{product}\x00{kind}".encode()


def _blank(value: Personal) -> bool:
    return value is None or not str(value).strip()


def _base64(digest: bytes) -> str:
    return b2a_base64(digest).rstrip(b"=\n").translate(_URL_SAFE).decode("ascii")
