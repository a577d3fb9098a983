"""Policies that say how long a product's events stay in the log: `retention-180d` keeps them 180 days."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

RETENTION: Final = re.compile(r"retention-([1-9][0-9]{0,4})d")


def is_retention(policy: str) -> bool:
    """Whether a policy's name is one of these."""
    return RETENTION.fullmatch(policy) is not None


def retention_policy(policies: Iterable[str]) -> str | None:
    """The policy that says how long; None where events are kept for good. Of several, the shortest."""
    return min(filter(is_retention, policies), key=days_kept, default=None)


def days_kept(policy: str) -> int:
    """How many days a retention policy keeps an event after it was received.

    Raises:
        ValueError: it is another policy.
    """
    found = RETENTION.fullmatch(policy)
    if found is None:
        raise ValueError(f"{policy} does not say how long events are kept")
    return int(found[1])
