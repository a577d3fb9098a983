"""What a check of a connector concludes, and of which accounts it speaks."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

Cell: TypeAlias = str | int | None


@dataclass(frozen=True, slots=True, order=True)
class Bound:
    """An account that a product is bound to; `account` is its name in the manifest, "" without one.

    `fetches`: there is something to poll. `unready` says why it cannot be polled as it is configured, `refuses` why
    deliveries for it are refused.
    """

    product: str
    account: str
    fetches: bool
    unready: str | None = None
    refuses: str | None = None

    @property
    def name(self) -> str:
        """Product and account, as people read them."""
        return account_name((self.product, "", self.account))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a check.

    Attributes:
        findings: What is wrong, a sentence each; they hold no number that changes while the matter stays the same.
        notes: What a person should know although nothing is wrong.
        says: What was looked at, where nothing is wrong.
        evidence: The rows behind it, for people; columns are the same in all.
        warns: Whether the findings are to be looked at rather than mended at once.
    """

    findings: tuple[str, ...]
    says: str
    evidence: tuple[Mapping[str, Cell], ...] = ()
    notes: tuple[str, ...] = ()
    warns: bool = False

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def text(self) -> str:
        """The verdict in sentences."""
        return " ".join((*(self.findings or (self.says,)), *self.notes))

    @property
    def digest(self) -> str:
        """Changes when there is something else to say."""
        text = "\0".join((*self.findings, "", *self.notes))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def account_name(key: tuple[str, str, str]) -> str:
    """An account (product, connector, account's name) as people read it beside its connector."""
    product, _, account = key
    return f"{product}/{account}" if account else product


def nothing_to_check(what: str) -> Verdict:
    """The verdict where there is no account to speak of."""
    return Verdict((), f"There is nothing to check: {what}.")


def moment(at: datetime) -> str:
    """A time as people read it, to the minute."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def keys(bound: Sequence[Bound]) -> tuple[list[str], list[str]]:
    """Products and accounts in step, as two arrays for SQL."""
    return [b.product for b in bound], [b.account for b in bound]
