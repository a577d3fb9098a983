"""What every connector offers, and the two ways a delivery can fail to prove where it comes from.

A connector is a module: it keeps no state, reads no clock, and raises nothing but the errors named here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from batuta.errors import BatutaError
from batuta.landing.model import Delivery, Parsed
from sensors.connectors.pulling import ConnectorSettings


class Unverified(BatutaError):
    """A delivery whose sender is not proven."""


class Unsigned(Unverified):
    """No signature came with the delivery."""


class BadSignature(Unverified):
    """None of the configured secrets signed this body."""


class NoSecret(Unverified):
    """The connector has no usable secret, so nothing can be verified."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be a vendor's handshake: before it sends deliveries, it asks whether we are we."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handshake is answered with. `learned` is a secret the vendor has chosen, to be kept as the account's."""

    status: int
    body: bytes
    media_type: str = "text/plain"
    learned: bytes | None = field(default=None, repr=False)


class Handshake(Protocol):
    """A connector whose vendor makes sure of an address before it uses it; offered beside `Connector`."""

    def handshake(self, asked: Asked, credentials: Mapping[str, bytes]) -> Reply | None:
        """The answer to a handshake, None if the request is none. A `learned` secret counts in a set-up window only.

        A connector that learns says so: `LEARNS = True`.
        """
        ...


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
    def PUSH(self) -> bool:  # noqa: N802 - a module's constant
        """Whether the vendor sends deliveries; without it there is no webhook address."""
        ...

    @property
    def SETTINGS(self) -> type[ConnectorSettings]:  # noqa: N802 - a module's constant
        """The form of an account's settings."""
        ...

    @property
    def CREDENTIALS(self) -> Mapping[str, str]:  # noqa: N802 - a module's constant
        """Credentials an account may name in the manifest, each with what it is for."""
        ...

    @property
    def REQUIRED_HEADERS(self) -> tuple[str, ...]:  # noqa: N802 - a module's constant
        """Headers (lower case) without which a signed delivery is not the vendor's; `a|b` is either of two."""
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
