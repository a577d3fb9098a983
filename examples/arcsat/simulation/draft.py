"""An order while it is being lived: every method is one thing that happens to it, in order of time.

What would happen after the period has not happened: from the first such step on, the draft ignores the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Literal

from simulation.model import (
    END,
    Adjustment,
    Line,
    Order,
    OrderVersion,
    Person,
    Refund,
    RefundLine,
    Shop,
    Transaction,
)

Status = Literal["success", "failure", "error", "pending"]
RefundOutcome = Literal["success", "failure", "retried", "none"]
_REFUND_ATTEMPTS: Mapping[RefundOutcome, tuple[Status, ...]] = {
    "success": ("success",),
    "failure": ("failure",),
    "retried": ("error", "success"),
    "none": (),
}


@dataclass(slots=True)
class Ids:
    """Rising identifiers with gaps, as shops see them, because the vendor numbers across all shops."""

    rng: Random
    shop: Shop
    positions: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, name: str, start: int) -> int:
        """The next identifier of one kind."""
        position = (
            self.positions.get(name, start + self.shop.number * 10_000_000_000)
            + self.rng.randrange(1, 900) * 32
        )
        self.positions[name] = position
        return position


@dataclass(slots=True)
class Draft:
    """One order in the making."""

    ids: Ids
    id: int
    number: int
    person: Person
    created_at: datetime
    lines: list[Line]
    shipping_cents: int
    now: datetime
    processed_at: datetime
    test: bool = False
    named: bool = True
    email: str | None = None
    note: str | None = None
    discount_code: str | None = None
    channel: str = "web"
    presentment: bool = False
    status: str = "pending"
    fulfilled: bool = False
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None
    refunds: list[Refund] = field(default_factory=list[Refund])
    transactions: list[Transaction] = field(default_factory=list[Transaction])
    versions: list[OrderVersion] = field(default_factory=list[OrderVersion])
    deleted_at: datetime | None = None
    over: bool = False

    @property
    def total_cents(self) -> int:
        """What the buyer owes, shipping included."""
        return sum(line.total_cents for line in self.lines) + self.shipping_cents

    @property
    def captured_cents(self) -> int:
        """Money that has arrived."""
        return sum(
            t.amount_cents
            for t in self.transactions
            if t.kind in ("sale", "capture") and t.status == "success"
        )

    def wait(self, rng: Random, low: timedelta, high: timedelta) -> bool:
        """Let time pass; False where that leads beyond the period."""
        seconds = rng.randrange(int(low.total_seconds()), int(high.total_seconds()) + 1)
        later = self.now + timedelta(seconds=max(seconds, 1))
        if later > END:
            self.over = True
        if not self.over:
            self.now = later
        return not self.over

    def record(self, topic: str) -> None:
        """Keep the order as it stands, as the vendor does at every change."""
        if self.over:
            return
        if self.versions and self.now <= self.versions[-1].at:
            self.now = self.versions[-1].at + timedelta(seconds=1)
        self.versions.append(
            OrderVersion(
                at=self.now,
                topic=topic,
                lines=tuple(self.lines),
                financial_status=self.status,
                fulfilled=self.fulfilled,
                cancelled_at=self.cancelled_at,
                cancel_reason=self.cancel_reason,
                refunds=tuple(self.refunds),
                total_cents=self.total_cents,
            )
        )

    def transact(
        self,
        kind: Literal["sale", "authorization", "capture", "void", "refund"],
        gateway: str,
        amount_cents: int,
        status: Status = "success",
        parent: Transaction | None = None,
    ) -> Transaction | None:
        """Move money, or try to."""
        if self.over:
            return None
        parent_id = parent.id if parent else None
        transaction = Transaction(
            self.ids.take("transaction", 7_702_000_000_000),
            self.id,
            parent_id,
            kind,
            status,
            gateway,
            amount_cents,
            self.now,
            self.test,
        )
        self.transactions.append(transaction)
        return transaction

    def fulfil(self, rng: Random) -> None:
        """Send the goods, one to four days later."""
        if self.wait(rng, timedelta(hours=14), timedelta(days=4)):
            self.fulfilled = True
            self.record("orders/updated")

    def cancel(self, reason: str) -> None:
        """Cancel now."""
        if not self.over:
            self.cancelled_at, self.cancel_reason = self.now, reason
            self.record("orders/cancelled")

    def refund(
        self,
        parts: list[tuple[Line, int]],
        *,
        adjustments: list[tuple[Literal["refund_discrepancy", "shipping_refund"], int]] | None = None,
        outcome: RefundOutcome = "success",
        announced: bool = True,
        note: str | None = None,
        record: bool = True,
    ) -> None:
        """Take goods back and return their money, as far as the outcome lets it."""
        if self.over:
            return
        lines = tuple(
            RefundLine(
                self.ids.take("refund_line", 690_000_000_000), line, quantity, _share_cents(line, quantity)
            )
            for line, quantity in parts
        )
        corrections = tuple(
            Adjustment(self.ids.take("adjustment", 350_000_000_000), kind, amount)
            for kind, amount in adjustments or []
        )
        amount = sum(line.subtotal_cents for line in lines) - sum(a.amount_cents for a in corrections)
        made = self._refund_transactions(outcome, amount)
        self.refunds.append(
            Refund(
                id=self.ids.take("refund", 930_000_000_000),
                order_id=self.id,
                created_at=self.now,
                processed_at=None if note == "importado" else self.now,
                note=note,
                lines=lines,
                adjustments=corrections,
                transactions=made,
                announced=announced,
            )
        )
        self._settle()
        if record:
            self.record("orders/updated")

    def _refund_transactions(self, outcome: RefundOutcome, amount_cents: int) -> tuple[Transaction, ...]:
        parent = next(
            (t for t in self.transactions if t.kind in ("sale", "capture") and t.status == "success"), None
        )
        statuses = _REFUND_ATTEMPTS[outcome]
        made: list[Transaction] = []
        for status in statuses:
            transaction = self.transact(
                "refund", parent.gateway if parent else "manual", amount_cents, status, parent
            )
            if transaction:
                made.append(transaction)
        return tuple(made)

    def _settle(self) -> None:
        returned = sum(
            t.amount_cents for t in self.transactions if t.kind == "refund" and t.status == "success"
        )
        if returned and self.status in ("paid", "partially_refunded"):
            self.status = "refunded" if returned >= self.captured_cents else "partially_refunded"

    def finish(self) -> Order:
        """The order with everything that happened to it."""
        gateways = tuple(dict.fromkeys(t.gateway for t in self.transactions)) or ("manual",)
        return Order(
            id=self.id,
            number=self.number,
            person=self.person,
            named=self.named,
            email=self.email,
            created_at=self.created_at,
            processed_at=self.processed_at,
            test=self.test,
            shipping_cents=self.shipping_cents,
            discount_code=self.discount_code,
            channel=self.channel,
            gateways=gateways,
            note=self.note,
            presentment=self.presentment,
            versions=tuple(self.versions),
            transactions=tuple(replace(t, test=self.test) for t in self.transactions),
            deleted_at=self.deleted_at,
        )


def _share_cents(line: Line, quantity: int) -> int:
    """The price of some pieces of a line, its discount shared evenly, rounded half up to the cent."""
    return (2 * line.total_cents * quantity + line.quantity) // (2 * line.quantity)
