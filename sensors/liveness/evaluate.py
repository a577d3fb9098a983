"""All checks of a connector at once: what is read for them, and what they conclude."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import psycopg

from sensors.audits import read_audits
from sensors.liveness import channels, completeness, gaps, polling
from sensors.liveness.verdict import Bound, Verdict

ACCOUNTS: Final = "accounts"
"""What the checks hang on that concern all of a connector's accounts, whatever the dataset."""
GAPS: Final = "gaps"

CheckName: TypeAlias = tuple[str, str]
"""What is checked (a dataset, or `ACCOUNTS`), and the check."""

ACCOUNT_CHECKS: Final[Mapping[str, str]] = {
    "polling": polling.METHOD,
    "subscriptions": channels.METHOD,
    "completeness": completeness.METHOD,
}
"""Checks of the accounts, each with how it is done."""


def check_names(datasets: Iterable[str]) -> tuple[CheckName, ...]:
    """Every check of a connector with these datasets."""
    return (*((ACCOUNTS, name) for name in ACCOUNT_CHECKS), *((dataset, GAPS) for dataset in datasets))


def evaluate(
    conn: psycopg.Connection[Any],
    connector: str,
    wanted: Iterable[CheckName],
    bound: Sequence[Bound],
    now: datetime,
) -> dict[CheckName, Verdict]:
    """A verdict for every check that is wanted.

    An account that the vendor has ended is a note of `polling` and nobody else's concern.
    """
    polled = polling.read_polled(conn, connector, bound)
    ended = {(p.product, p.account) for p in polled if p.stopped_at is not None and p.stopped_reason}
    alive = [b for b in bound if (b.product, b.account) not in ended]
    products = sorted({b.product for b in alive})
    verdicts: dict[CheckName, Verdict] = {}
    for subject, name in wanted:
        match name:
            case "polling":
                verdict = polling.polling(bound, polled, now)
            case "subscriptions":
                audits = read_audits(conn, connector).items()
                audited = {(key[0], key[2]): audit.done_at for key, audit in audits if audit.done_at}
                standing = channels.read_channels(conn, connector, alive)
                verdict = channels.subscriptions(alive, standing, audited, now)
            case "completeness":
                succeeded = {(p.product, p.account) for p in polled if p.last_success_at is not None}
                books = completeness.read_books(conn, connector, alive, now)
                verdict = completeness.completeness(alive, books, succeeded)
            case _:
                missed = gaps.read_missed(conn, connector, subject, products, now)
                quiet = gaps.read_quiet(conn, connector, subject, products, now)
                verdict = gaps.gaps(alive, missed, quiet, now)
        verdicts[subject, name] = verdict
    return verdicts
