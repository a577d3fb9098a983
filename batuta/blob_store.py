"""Attachments and media, kept by content: a folder by default, any S3 or Azure address by setting.

A content is encrypted with AES-GCM under its product's key before it leaves the process. Its object is named by a keyed
hash, so that whoever sees the store can neither read a content nor find out whether a known one is there.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from batuta.errors import BatutaError, UsageError
from batuta.keys import KeyRing
from batuta.settings import Settings

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PURPOSE: Final = "blobs"
_MAGIC: Final = b"BATUTA-BLOB-1\x00"
_NONCE_BYTES: Final = 12
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_MEDIA_TYPE: Final = re.compile(r"[\x21-\x7e ]{0,200}")
_OPTIONS: Final = frozenset({"endpoint", "region", "account"})
RETRY: Final = timedelta(seconds=20)
_HINT: Final = (
    "Write it as s3://bucket/prefix?endpoint=https://s3.example.com&region=sa-east-1, as az://container/prefix, "
    "or leave it unset for a folder."
)


class BlobMissing(BatutaError):
    """There is no such content."""


class BlobUnreadable(BatutaError):
    """A content does not open: it was changed, or sealed with other keys."""


class BlobStoreFailed(BatutaError):
    """The store did not do what it was asked for."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A content and what it is."""

    content: bytes
    media_type: str


class BlobStore:
    """Contents by product and digest; several threads may use it."""

    def __init__(self, store: ObjectStore, keys: KeyRing, *, place: str) -> None:
        """`place` names the store in messages, without anything secret."""
        self._store = store
        self._keys = keys
        self._place = place

    def put(self, product: str, content: bytes, media_type: str) -> str:
        """Keep a content; `sha256:<hex>` of it. Keeping it again changes nothing.

        Raises:
            BlobStoreFailed: the store did not take it.
        """
        import obstore
        from obstore.exceptions import BaseError

        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        name = self._name(product, digest)
        try:
            if not self._exists(name):
                obstore.put(self._store, name, self._seal(product, digest, content, media_type))
        except (BaseError, OSError) as error:
            raise self._failed(error) from None
        return digest

    def get(self, product: str, digest: str) -> StoredBlob:
        """The content behind a digest. Who may read it is the caller's to decide.

        Raises:
            BlobMissing: it is not kept.
            BlobUnreadable: it does not open.
            BlobStoreFailed: the store does not answer.
        """
        import obstore
        from obstore.exceptions import BaseError

        name = self._name(product, digest)
        try:
            sealed = bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError:
            raise BlobMissing(f"{product} keeps no content {digest}") from None
        except (BaseError, OSError) as error:
            raise self._failed(error) from None
        return self._open(product, digest, sealed)

    def delete(self, product: str, digest: str) -> None:
        """Keep a content no longer; nothing happens where it is not kept.

        Raises:
            BlobStoreFailed: the store does not answer.
        """
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.delete(self._store, self._name(product, digest))
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise self._failed(error) from None

    def _exists(self, name: str) -> bool:
        import obstore

        try:
            obstore.head(self._store, name)
        except FileNotFoundError:
            return False
        return True

    def _name(self, product: str, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise BlobMissing("a content is named by sha256: and 64 hexadecimal digits")
        key = self._keys.hmac(product, _PURPOSE)
        name = hmac.digest(key, digest.encode(), "sha256").hex()
        return f"{product}/{name[:2]}/{name}"

    def _seal(self, product: str, digest: str, content: bytes, media_type: str) -> bytes:
        key_id, key = self._keys.aead(product, _PURPOSE)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        kind = media_type if _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream"
        sealed = AESGCM(key).encrypt(
            nonce, kind.encode() + b"\x00" + content, f"{product}\x00{digest}".encode()
        )
        return b"".join((_MAGIC, key_id.encode(), b"\x00", nonce, sealed))

    def _open(self, product: str, digest: str, sealed: bytes) -> StoredBlob:
        key_id, separator, rest = sealed.removeprefix(_MAGIC).partition(b"\x00")
        try:
            if not sealed.startswith(_MAGIC) or not separator:
                raise ValueError
            key = self._keys.aead_by_id(key_id.decode("ascii"), product, _PURPOSE)
            plain = AESGCM(key).decrypt(
                rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], f"{product}\x00{digest}".encode()
            )
        except (InvalidTag, ValueError):
            raise BlobUnreadable(
                f"the content {digest} of {product} does not open: it was changed, or sealed with other keys",
                hint="Restore it, or the master keys it was sealed with, from a backup.",
            ) from None
        media_type, _, content = plain.partition(b"\x00")
        return StoredBlob(content, media_type.decode())

    def _failed(self, error: Exception) -> BlobStoreFailed:
        """A sentence; the library's own words may hold addresses, keys and more lines than a person reads."""
        return BlobStoreFailed(
            f"{self._place} does not keep or give contents ({type(error).__name__})",
            hint="Is BATUTA_BLOB_URL right, may this process write there, is there room?",
        )


def open_blobs(settings: Settings, keys: KeyRing) -> BlobStore:
    """The store of an installation; nothing is read or written yet.

    Raises:
        UsageError: `BATUTA_BLOB_URL` does not fit.
    """
    if settings.blob_url is None:
        from obstore.store import LocalStore

        folder = settings.home / "blobs"
        try:
            return BlobStore(LocalStore(folder, mkdir=True), keys, place=str(folder))
        except Exception as error:  # noqa: BLE001 - the library raises its own, by what the system said
            raise BlobStoreFailed(
                f"the folder {folder} cannot be made ({type(error).__name__})",
                hint="Let this process write there, or set BATUTA_BLOB_URL.",
            ) from None
    return _remote(settings.blob_url.get_secret_value(), keys)


def _remote(url: str, keys: KeyRing) -> BlobStore:
    from obstore.store import AzureStore, S3Store

    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        bucket, user, password = parts.hostname, parts.username, parts.password
    except ValueError:
        raise UsageError("BATUTA_BLOB_URL is no address", hint=_HINT) from None
    unknown = sorted(options.keys() - _OPTIONS)
    if parts.scheme not in {"s3", "az"} or not bucket or unknown:
        what = (
            f"has an unknown option {unknown[0]}"
            if unknown
            else "must begin with s3://bucket or az://container"
        )
        raise UsageError(f"BATUTA_BLOB_URL {what}", hint=_HINT)
    prefix = parts.path.strip("/") or None
    place = f"{parts.scheme}://{bucket}"
    endpoint = options.get("endpoint")
    common: dict[str, Any] = {
        "client_options": {"allow_http": (endpoint or "").startswith("http://"), "timeout": "30s"},
        "retry_config": {"max_retries": 4, "retry_timeout": RETRY},
    }
    if endpoint is not None:
        common["endpoint"] = endpoint
    if parts.scheme == "az":
        if "account" in options:
            common["account_name"] = options["account"]
        return BlobStore(AzureStore(bucket, prefix=prefix, **common), keys, place=place)
    if user and password:
        common |= {"access_key_id": unquote(user), "secret_access_key": unquote(password)}
    if "region" in options:
        common["region"] = options["region"]
    return BlobStore(S3Store(bucket, prefix=prefix, **common), keys, place=place)
