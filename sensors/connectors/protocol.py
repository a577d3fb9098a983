"""What every connector offers, and the two ways a delivery can fail to prove where it comes from.

A connector is a module: it keeps no state, reads no clock, and raises nothing but the errors named here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from batuta.errors import BatutaError
from batuta.landing.model import Delivery, Parsed


class Unverified(BatutaError):
    """A delivery whose sender is not proven."""


class Unsigned(Unverified):
    """No signature came with the delivery."""


class BadSignature(Unverified):
    """None of the configured secrets signed this body."""


class NoSecret(Unverified):
    """The connector has no usable secret, so nothing can be verified."""


class Connector(Protocol):
    """A vendor's protocol."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constant
        """The connector's name, as in manifests and addresses."""
        ...

    @property
    def MEDIA_TYPES(self) -> frozenset[str]:  # noqa: N802 - a module's constant
        """Content types a delivery may have."""
        ...

    @property
    def REQUIRED_HEADERS(self) -> tuple[str, ...]:  # noqa: N802 - a module's constant
        """Headers (lower case) without which a signed delivery is not the vendor's."""
        ...

    def verify(self, delivery: Delivery, secrets: Sequence[bytes]) -> None:
        """Check the signature over the raw body; any of the secrets will do.

        Raises:
            Unsigned: no signature came.
            BadSignature: none of the secrets signed this body.
            NoSecret: there is no secret to check with.
        """
        ...

    def parse(self, delivery: Delivery) -> Parsed:
        """Read the events out of a delivery; tolerant of what the vendor adds.

        Raises:
            Rejected: the delivery cannot be read.
        """
        ...

    def same_account(self, configured: str, named: str) -> bool:
        """Whether two spellings name one account of this vendor."""
        ...
