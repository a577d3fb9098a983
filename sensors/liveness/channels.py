"""Whether every push channel stands: vendors remove, disable and let expire what nobody looks after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from batuta.counting import counted
from sensors.liveness.verdict import Bound, Cell, Verdict, keys, moment, nothing_to_check

AUDIT_EVERY: Final = timedelta(hours=1)
EXPIRES_SOON: Final = 2 * AUDIT_EVERY
"""Two audits have had their chance to renew it."""
UNSEEN: Final = 3 * AUDIT_EVERY
STANDING: Final = frozenset({"active", "created", "renewed"})

METHOD: Final = (
    "The secrets that deliveries are signed with are there. "
    "Every push channel of every account (webhook, subscription) is active at the vendor, as an hourly audit finds "
    f"it and mends it where it can; none expires within {EXPIRES_SOON.seconds // 3600} hours, and none was last seen "
    f"more than {UNSEEN.seconds // 3600} hours ago."
)


@dataclass(frozen=True, slots=True)
class Channel:
    """A push channel, as the last audit found it."""

    product: str
    account: str
    name: str
    state: str
    detail: str | None
    expires_at: datetime | None
    checked_at: datetime


def read_channels(
    conn: psycopg.Connection[Any], connector: str, bound: Sequence[Bound]
) -> tuple[Channel, ...]:
    """The push channels of these accounts."""
    return tuple(Channel(*row) for row in conn.execute(_CHANNELS, (*keys(bound), connector)))


def subscriptions(
    bound: Sequence[Bound],
    channels: Sequence[Channel],
    audited: Mapping[tuple[str, str], datetime],
    now: datetime,
) -> Verdict:
    """Whether every push channel stands.

    Args:
        bound: The accounts.
        channels: Their push channels.
        audited: When each (product, account) was audited, by those that ever were.
        now: The present.
    """
    audits = [b for b in bound if b.fetches]
    refused = [f"{b.name}: {b.refuses.rstrip('.')}." for b in bound if b.refuses is not None]
    if not audits and not refused:
        return nothing_to_check(
            "no product has an account whose push channels the connector can ask the vendor for"
        )
    names = {(b.product, b.account): b.name for b in bound}
    findings = refused + [
        f"{names[c.product, c.account]}: {c.name} {wrong}."
        for c in channels
        if (wrong := _wrong(c, now)) is not None
    ]
    for account in audits:
        seen = audited.get((account.product, account.account))
        if seen is None:
            findings.append(f"{account.name}: its push channels have never been looked at.")
        elif seen < now - UNSEEN:
            findings.append(f"{account.name}: its push channels were last looked at {moment(seen)}.")
    accounts = counted(len(audits), "account")
    good = f"All is well with {counted(len(channels), 'push channel')} of {accounts}."
    if not channels:
        good = f"The vendor knows no push channel of ours for {accounts}, polled instead."
    return Verdict(tuple(findings), good, tuple(_row(names[c.product, c.account], c) for c in channels))


def _wrong(channel: Channel, now: datetime) -> str | None:
    if channel.state not in STANDING:
        return f"is {channel.state}: {(channel.detail or 'look at it at the vendor').rstrip('.')}"
    if channel.expires_at is not None and channel.expires_at < now + EXPIRES_SOON:
        return f"expires at {moment(channel.expires_at)} and has not been renewed"
    return None


def _row(name: str, channel: Channel) -> Mapping[str, Cell]:
    return {
        "account": name,
        "channel": channel.name,
        "state": channel.state,
        "detail": channel.detail,
        "expires": None if channel.expires_at is None else moment(channel.expires_at),
        "seen": moment(channel.checked_at),
    }


_CHANNELS = """
select s.product, s.account, s.name, s.state, s.detail, s.expires_at, s.checked_at
from unnest(%s::text[], %s::text[]) as b (product, account)
join batuta.subscriptions as s on s.product = b.product and s.account = b.account and s.connector = %s
order by s.product, s.account, s.name
"""
