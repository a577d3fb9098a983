"""HMAC-SHA256 over raw bytes, compared in constant time, against every configured secret.

Vendors differ only in what is signed and how the digest is written; this is the part they share.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence

from sensors.connectors.protocol import BadSignature, NoSecret, Unsigned

_DIGEST_BYTES = hashlib.sha256().digest_size


def digest(secret: bytes, message: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(secret, message, "sha256")


def equal(left: bytes, right: bytes) -> bool:
    """Whether two digests are equal, in constant time."""
    return hmac.compare_digest(left, right)


def check(presented: Iterable[bytes], secrets: Sequence[bytes], message: bytes) -> None:
    """Accept if any presented digest is that of `message` under any of the secrets.

    All pairs are compared, so that time tells nothing about which one matched.

    Raises:
        NoSecret: there is no secret, or an empty one, which anybody could sign with.
        BadSignature: nothing matched.
    """
    require_secrets(secrets)
    digests = tuple(presented)
    matched = False
    for secret in secrets:
        expected = digest(secret, message)
        for candidate in digests:
            matched |= equal(expected, candidate)
    if not matched:
        raise BadSignature(
            "the signature does not match the body",
            hint="check the secret on both sides; send the body unchanged",
        )


def check_sha256(presented: str | None, name: str, secrets: Sequence[bytes], message: bytes) -> None:
    """Accept a header written `sha256=` and hex, the form of GitHub, Meta and Notion.

    Args:
        presented: What the header says, None if it did not come.
        name: The header, as its vendor spells it, for messages.
        secrets: Any of them will do.
        message: The raw body.

    Raises:
        Unsigned, BadSignature, NoSecret: see `Connector.verify`.
    """
    require_secrets(secrets)
    method, separator, digest = require_header(presented, name).strip().partition("=")
    if not separator or method != "sha256":
        raise BadSignature("the signature must begin with sha256=")
    check((from_hex(digest),), secrets, message)


def require_secrets(secrets: Sequence[bytes]) -> None:
    """Raise `NoSecret` unless there is at least one secret and none is empty."""
    if not secrets or not all(secrets):
        raise NoSecret(
            "no secret is configured for this connector",
            hint="name one in the product's manifest (spec.connectors[].secretRefs) and run `batuta apply`",
        )


def require_header(value: str | None, name: str) -> str:
    """The header that carries the signature, or `Unsigned`."""
    if not value:
        raise Unsigned("the delivery is not signed", hint=f"send the header {name}")
    return value


def from_base64(text: str) -> bytes:
    """A digest written in base64, or `BadSignature`."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise BadSignature("the signature is not base64") from None
    if base64.b64encode(raw).decode("ascii") != text:
        raise BadSignature("the signature is not canonical base64")
    return _sized(raw)


def from_hex(text: str) -> bytes:
    """A digest written in hexadecimal, or `BadSignature`."""
    try:
        raw = binascii.unhexlify(text.encode("ascii"))
    except (UnicodeEncodeError, binascii.Error):
        raise BadSignature("the signature is not hexadecimal") from None
    return _sized(raw)


def _sized(raw: bytes) -> bytes:
    if len(raw) != _DIGEST_BYTES:
        raise BadSignature(f"the signature is {len(raw)} bytes, not {_DIGEST_BYTES}")
    return raw
