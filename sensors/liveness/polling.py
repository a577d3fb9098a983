"""Whether the accounts that are to be polled are polled: none failing, none paused for long, none forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from batuta.counting import counted
from sensors.liveness.verdict import Bound, Cell, Verdict, keys, moment, nothing_to_check

FAILURES: Final = 3
"""A vendor may be away for a moment; what fails three times in a row is not a moment."""
LONGEST_PAUSE: Final = timedelta(hours=6)
OVERDUE: Final = timedelta(minutes=30)

METHOD: Final = (
    f"No account has failed {FAILURES} times in a row, is paused for more than {LONGEST_PAUSE.seconds // 3600} hours, "
    f"has been due for more than {OVERDUE.seconds // 60} minutes, was never polled, or is stopped without a reason. "
    "An account that the vendor has ended is stopped with a reason: that is a note, not a failure."
)


@dataclass(frozen=True, slots=True)
class Polled:
    """How polling an account stands."""

    product: str
    account: str
    last_attempt_at: datetime | None
    last_success_at: datetime | None
    next_due_at: datetime | None
    failures: int
    problem: str | None
    paused_until: datetime | None
    stopped_at: datetime | None
    stopped_reason: str | None


def read_polled(conn: psycopg.Connection[Any], connector: str, bound: Sequence[Bound]) -> tuple[Polled, ...]:
    """How the accounts stand; those that were never polled are missing."""
    return tuple(Polled(*row) for row in conn.execute(_POLLED, (*keys(bound), connector)))


def polling(bound: Sequence[Bound], polled: Sequence[Polled], now: datetime) -> Verdict:
    """Whether every account that is to be polled is."""
    fetching = [b for b in bound if b.fetches or b.unready]
    if not fetching:
        return nothing_to_check("no product has an account that is polled")
    states = {(p.product, p.account): p for p in polled}
    findings: list[str] = []
    notes: list[str] = []
    for account in fetching:
        state = states.get((account.product, account.account))
        if account.unready is not None:
            findings.append(f"{account.name} cannot be polled: {account.unready}.")
        elif state is None or state.last_attempt_at is None:
            findings.append(f"{account.name} has never been polled.")
        elif state.stopped_at is not None and state.stopped_reason:
            notes.append(
                f"{account.name} is stopped since {moment(state.stopped_at)}: {state.stopped_reason}."
            )
        elif (wrong := _wrong(state, now)) is not None:
            findings.append(f"{account.name} {wrong}.")
    good = f"Nothing keeps {counted(len(fetching), 'account')} from being polled."
    evidence = tuple(_row(account, states.get((account.product, account.account))) for account in fetching)
    return Verdict(tuple(findings), good, evidence, tuple(notes))


def _wrong(state: Polled, now: datetime) -> str | None:
    """What is wrong with an account, in a sentence that stays the same as long as the matter does."""
    if state.stopped_at is not None:
        return f"is stopped since {moment(state.stopped_at)}, without a reason; apply it anew"
    if state.failures >= FAILURES:
        return f"{_fails_since(state)}: {(state.problem or 'no reason is known').rstrip('.')}"
    if state.paused_until is not None and state.paused_until > now + LONGEST_PAUSE:
        return f"is paused by the vendor until {moment(state.paused_until)}"
    waits_until = max((at for at in (state.next_due_at, state.paused_until) if at is not None), default=None)
    if waits_until is not None and waits_until < now - OVERDUE:
        return f"was due at {moment(waits_until)} and is not polled; look at the connector's sensor"
    return None


def _fails_since(state: Polled) -> str:
    if state.last_success_at is None:
        return "fails and has never been polled well"
    return f"fails since it was last polled well, at {moment(state.last_success_at)}"


def _row(account: Bound, state: Polled | None) -> Mapping[str, Cell]:
    def said(at: datetime | None) -> str | None:
        return None if at is None else moment(at)

    return {
        "account": account.name,
        "last success": said(state.last_success_at) if state else None,
        "next": said(state.next_due_at) if state else None,
        "failures": state.failures if state else None,
        "paused until": said(state.paused_until) if state else None,
        "problem": account.unready or ((state.stopped_reason or state.problem) if state else None),
    }


_POLLED = """
select
    a.product, a.account, a.last_attempt_at, a.last_success_at, a.next_due_at, a.failures, a.problem,
    a.paused_until, a.stopped_at, a.stopped_reason
from unnest(%s::text[], %s::text[]) as b (product, account)
join batuta.accounts as a on a.product = b.product and a.account = b.account and a.connector = %s
order by a.product, a.account
"""
