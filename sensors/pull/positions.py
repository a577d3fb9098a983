"""Positions of polls and backfills, sealed: a vendor's cursor may name folders and people, or open a door by itself.

`batuta.cursors` holds `{"sealed": ...}`, bound to consumer and product; `{"done": true}` and what a person has set with
`batuta cursors rewind` stand there in clear and are read as they are.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from batuta.errors import BatutaError
from batuta.keys import KeyRing
from sensors.connectors.pulling import Window

DONE: Final = {"done": True}
_PURPOSE: Final = "positions"
_NONCE_BYTES: Final = 12


class PositionUnreadable(BatutaError):
    """A position does not open."""


def poll_consumer(connector: str, account: str) -> str:
    """The name of a poll's position; `account` is the account's key, "" without a name."""
    return f"poll:{connector}:{account}"


def backfill_consumer(connector: str, account: str, window: Window) -> str:
    """The name of a backfill's position; times are in UTC, to the second."""
    start, end = (f"{moment:%Y%m%dT%H%M%SZ}" for moment in (window.start, window.end))
    return f"backfill:{connector}:{account}:{start}:{end}"


def seal_position(position: Any, keys: KeyRing, consumer: str, product: str) -> dict[str, Any]:
    """The position as it may lie in the database."""
    key_id, key = keys.aead(product, _PURPOSE)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, orjson.dumps(position), _bound_to(consumer, product))
    return {"sealed": base64.b64encode(nonce + sealed).decode("ascii"), "key": key_id}


def open_position(stored: Any, keys: KeyRing, consumer: str, product: str) -> Any:
    """The position behind what lies in the database; None stays None.

    Raises:
        PositionUnreadable: it was changed, or sealed for another account or with other keys.
    """
    if not isinstance(stored, dict) or set(stored) != {"sealed", "key"}:
        return stored
    try:
        raw = base64.b64decode(stored["sealed"], validate=True)
        cipher = AESGCM(keys.aead_by_id(str(stored["key"]), product, _PURPOSE))
        return orjson.loads(
            cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(consumer, product))
        )
    except (InvalidTag, binascii.Error, ValueError, TypeError):
        raise PositionUnreadable(
            f"the position {consumer} of product {product} does not open",
            hint=f"Begin anew with: batuta cursors rewind '{consumer}' --product {product} --to null",
        ) from None


def _bound_to(consumer: str, product: str) -> bytes:
    return f"{product}\x00{consumer}".encode()
