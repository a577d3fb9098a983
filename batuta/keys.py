"""Master keys: what every keyed hash, vault token and quarantined body of this installation rests on.

They lie in `<home>/keys/master.json`, outside the database, readable by their owner alone. The database keeps their
fingerprint, so that landing with other keys (whose hashes would join nothing) is refused instead of done.
Keys in use are derived per product and purpose (HKDF-SHA256); the masters themselves encrypt and hash nothing.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psycopg
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from batuta.errors import BatutaError

_KEY_BYTES: Final = 32
_RESTORE: Final = "Put back keys/ from your backup (backups name it, and keep it apart from the data)."


class KeysMissing(BatutaError):
    """There are no master keys where they should be."""


class KeysMismatch(BatutaError):
    """The master keys are not those this database was filled with, or cannot be read."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The master keys, and the keys derived from them."""

    _hmac: bytes = field(repr=False)
    _aead: Mapping[str, bytes] = field(repr=False)
    _current: str

    @classmethod
    def load(cls, home: Path) -> KeyRing:
        """Read the keys of this installation.

        Raises:
            KeysMissing: there are none.
            KeysMismatch: the file is not what `create_keys` wrote.
        """
        path = _master(home)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            made_before = _fingerprint_file(home).exists()
            hint = (
                _RESTORE
                if made_before
                else "Run `batuta doctor`; set-up (`batuta up` or `batuta demo`) makes them."
            )
            raise KeysMissing(f"there are no master keys at {path}", hint=hint) from None
        except OSError as error:
            raise KeysMissing(
                f"the master keys at {path} cannot be read: {error.strerror}", hint=_RESTORE
            ) from error
        try:
            return cls._from_document(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KeysMismatch(f"{path} is damaged: it is not a key file of BATUTA", hint=_RESTORE) from None

    @classmethod
    def _from_document(cls, document: Mapping[str, Any]) -> KeyRing:
        aead = {key_id: _decode(text) for key_id, text in document["aead"]["keys"].items()}
        current = document["aead"]["current"]
        if current not in aead:
            raise KeyError(current)
        return cls(_decode(document["hmac"]), MappingProxyType(aead), current)

    def hmac(self, product: str, purpose: str) -> bytes:
        """The 32-byte key for keyed hashes of one product and purpose."""
        return _derive(self._hmac, "hmac", product, purpose)

    def aead(self, product: str, purpose: str) -> tuple[str, bytes]:
        """The id and the AES-256 key that new ciphertexts of one product and purpose are made with."""
        return self._current, self.aead_by_id(self._current, product, purpose)

    def aead_by_id(self, key_id: str, product: str, purpose: str) -> bytes:
        """The AES-256 key an existing ciphertext names.

        Raises:
            KeysMissing: the ring does not hold that master key.
        """
        master = self._aead.get(key_id)
        if master is None:
            raise KeysMissing(f"the key ring has no key {key_id!r}", hint=_RESTORE)
        return _derive(master, "aead", product, purpose)

    def fingerprint(self) -> str:
        """What tells these keys from others without giving them away."""
        parts = [_derive(self._hmac, "fingerprint", "", "")]
        parts += [_derive(key, "fingerprint", key_id, "") for key_id, key in sorted(self._aead.items())[:1]]
        return b"".join(part[:8] for part in parts).hex()


def create_keys(home: Path) -> KeyRing:
    """Make the master keys if there are none yet, and load them.

    Raises:
        KeysMissing: they have been there before and are gone; making others would orphan all that rests on them.
    """
    path = _master(home)
    if path.exists():
        return KeyRing.load(home)
    if _fingerprint_file(home).exists():
        raise KeysMissing(
            f"the master keys at {path} are gone; they have been made here before", hint=_RESTORE
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    document = {
        "version": 1,
        "hmac": _encode(secrets.token_bytes(_KEY_BYTES)),
        "aead": {"current": "k1", "keys": {"k1": _encode(secrets.token_bytes(_KEY_BYTES))}},
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces the keys another process has just made.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    keys = KeyRing.load(home)
    _fingerprint_file(home).write_text(keys.fingerprint() + "\n", encoding="utf-8")
    return keys


def keys_for(conn: psycopg.Connection[Any], home: Path) -> KeyRing:
    """The keys of this installation and its database; made where the database was not filled yet.

    Raises:
        KeysMissing: the database was filled with keys that are gone.
        KeysMismatch: it was filled with others.
    """
    filled = conn.execute("select from batuta.key_fingerprint").fetchone() is not None
    if filled and not _master(home).exists():
        raise KeysMissing(
            f"there are no master keys at {_master(home)}, and this database was filled with some",
            hint=_RESTORE,
        )
    keys = create_keys(home)
    bind_keys(conn, keys)
    return keys


def bind_keys(conn: psycopg.Connection[Any], keys: KeyRing) -> None:
    """Make sure the database was filled with these keys; the first to land into an empty one signs it with its own.

    Raises:
        KeysMismatch: it was filled with others.
    """
    fingerprint = keys.fingerprint()
    conn.execute(
        "insert into batuta.key_fingerprint (fingerprint) values (%s) on conflict do nothing", (fingerprint,)
    )
    row = conn.execute("select fingerprint from batuta.key_fingerprint").fetchone()
    if row is None or row[0] != fingerprint:
        raise KeysMismatch(
            "these master keys are not the ones this database was filled with: its hashes and tokens need its own",
            hint=f"{_RESTORE} Or point BATUTA_HOME or BATUTA_DATABASE_URL at the pair that belongs together.",
        )


def _master(home: Path) -> Path:
    return home / "keys" / "master.json"


def _fingerprint_file(home: Path) -> Path:
    return home / "keys" / "fingerprint"


def _derive(master: bytes, use: str, product: str, purpose: str) -> bytes:
    info = "\x00".join(("batuta", use, product, purpose)).encode()
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(master)


def _encode(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode("ascii")


def _decode(text: str) -> bytes:
    key = base64.urlsafe_b64decode(text.encode("ascii"))
    if len(key) != _KEY_BYTES:
        raise ValueError("a master key has 32 bytes")
    return key
