"""The interface every policy stands behind, and the plain one that stands there by default.

A decision is about a kind of event, not about an event: it is made once, recorded with the digests of what it rests
on, and applied to every row as a plan. A policy that fails is a denial.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

from batuta.contracts.contract import Contract

DECISION_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy said of one product's events of one type under one contract.

    `rules` are set in place of the contract's own, by field path: hash, token, mask, drop, or keep.
    """

    product: str
    event_type: str
    policy: str
    policy_digest: str
    contract: str
    contract_digest: str
    allowed: bool
    rules: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    reasons: tuple[str, ...] = ()

    @property
    def id(self) -> bytes:
        """A digest over everything the decision rests on and says."""
        parts = [
            self.product,
            self.event_type,
            self.policy,
            self.policy_digest,
            self.contract,
            self.contract_digest,
            str(self.allowed),
            *(f"{path}={rule}" for path, rule in sorted(self.rules.items())),
        ]
        return hashlib.sha256("\x00".join(parts).encode()).digest()[:DECISION_BYTES]

    def plan(self, contract: Contract) -> dict[str, Any]:
        """What is done with personal data under this decision, for the record."""
        fields = {
            path: {"personal": personal.kind, "rule": self.rules.get(path, personal.rule)}
            for path, personal in contract.personal.items()
        }
        return {"personal": fields, "rules": dict(self.rules), "reasons": list(self.reasons)}


class Policy(Protocol):
    """Decides what may land and with which rules."""

    @property
    def name(self) -> str:
        """The policy's name."""
        ...

    @property
    def digest(self) -> str:
        """A digest over everything its decisions depend on."""
        ...

    def decide(self, product: str, event_type: str, contract: Contract) -> Decision:
        """Decide on one product's events of one type."""
        ...


@dataclass(frozen=True, slots=True)
class DefaultPolicy:
    """Lets in what a contract governs, with the contract's own rules for personal data."""

    name: str = "default"
    digest: str = field(default_factory=lambda: hashlib.sha256(b"batuta default policy 1").hexdigest())

    def decide(self, product: str, event_type: str, contract: Contract) -> Decision:
        """Allow, changing no rule."""
        return Decision(
            product=product,
            event_type=event_type,
            policy=self.name,
            policy_digest=self.digest,
            contract=contract.reference,
            contract_digest=contract.digest,
            allowed=True,
            reasons=("a contract governs this type",),
        )
