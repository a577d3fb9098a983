"""Whether something was not heard: a poll that brings what a webhook should have brought, and silence.

Both are told from the log alone, per product and dataset, whatever the vendor says of its push channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from sensors.liveness import silence
from sensors.liveness.verdict import Bound, Cell, Verdict, moment, nothing_to_check

LOOKED_BACK: Final = timedelta(hours=24)
GRACE: Final = timedelta(minutes=30)
PUSHED_WITHIN: Final = timedelta(days=7)
QUIET: Final = timedelta(hours=6)
"""What has brought something in so short a time is not silent."""

METHOD: Final = (
    f"Missed: a poll of the last {LOOKED_BACK.days * 24} hours brought a change of a type that webhooks brought before "
    f"it, within {PUSHED_WITHIN.days} days, and {GRACE.seconds // 60} minutes later no webhook has told of that change "
    "or a later one. What the poll brought is not lost; the push channel is to be mended. "
    f"Silent: {silence.METHOD}"
)


@dataclass(frozen=True, slots=True)
class Missed:
    """Events of one type that polls had to bring because webhooks did not."""

    product: str
    type: str
    events: int
    first_at: datetime
    last_at: datetime
    example: str


@dataclass(frozen=True, slots=True)
class Heard:
    """When something came, for a dataset that is quiet at present."""

    product: str
    last_at: datetime
    active_hours: tuple[datetime, ...]


def read_missed(
    conn: psycopg.Connection[Any], connector: str, dataset: str, products: Sequence[str], now: datetime
) -> tuple[Missed, ...]:
    """What polls brought although webhooks bring the type, and no webhook has told of since."""
    given = {
        "connector": connector,
        "dataset": dataset,
        "products": list(products),
        "since": now - LOOKED_BACK,
        "before": now - GRACE,
        "pushed_since": now - PUSHED_WITHIN,
    }
    return tuple(Missed(*row) for row in conn.execute(_MISSED, given))


def read_quiet(
    conn: psycopg.Connection[Any], connector: str, dataset: str, products: Sequence[str], now: datetime
) -> tuple[Heard, ...]:
    """The history of what has brought nothing for a while; products that never brought anything are missing."""
    given = {
        "connector": connector,
        "dataset": dataset,
        "products": list(products),
        "before": now - QUIET,
        "history": silence.HISTORY,
    }
    return tuple(Heard(product, last, tuple(hours)) for product, last, hours in conn.execute(_QUIET, given))


def gaps(bound: Sequence[Bound], missed: Sequence[Missed], quiet: Sequence[Heard], now: datetime) -> Verdict:
    """Whether a dataset has gaps; they are for looking at, for what a poll brought is there."""
    if not bound:
        return nothing_to_check("no product has an account of this connector")
    findings = [
        f"{m.product}: polls had to bring `{m.type}` since {moment(m.first_at)}; its webhook does not come."
        for m in missed
    ]
    for heard in quiet:
        due = silence.expected_by(heard.active_hours)
        if due is not None and due < now:
            findings.append(
                f"{heard.product}: silent since {moment(heard.last_at)}; by its own history something was to come "
                f"by {moment(due)}."
            )
    good = f"No gap for {len({b.product for b in bound})} products."
    return Verdict(tuple(findings), good, tuple(map(_row, missed)), warns=True)


def _row(missed: Missed) -> Mapping[str, Cell]:
    return {
        "product": missed.product,
        "type": missed.type,
        "events": missed.events,
        "first": moment(missed.first_at),
        "last": moment(missed.last_at),
        "example": missed.example,
    }


# A webhook lands whatever a poll has brought before it, so one that is late shows up here all the same. The log is
# read once, and not at all where no poll has brought anything.
_MISSED = """
with recent as materialized (
    select e.product, e.type, e.subject, e.time, e.received_at, e.id, b.way
    from batuta.events as e
    join batuta.batches as b on b.batch = e.batch
    where
        e.connector = %(connector)s and e.dataset = %(dataset)s and e.product = any(%(products)s)
        and e.received_at > %(pushed_since)s and e.subject is not null and b.way in ('poll', 'webhook')
        and exists (select from batuta.batches as p where p.way = 'poll' and p.committed_at > %(since)s)
),
polled as (
    select product, type, subject, time, id from recent
    where way = 'poll' and received_at > %(since)s and received_at < %(before)s
),
pushed as (select product, type, min(received_at) as at from recent where way = 'webhook' group by product, type),
told as (select product, subject, max(received_at) as at from recent where way = 'webhook' group by product, subject)
select e.product, e.type, count(*), min(e.time), max(e.time), min(e.id)
from polled as e
join pushed on pushed.product = e.product and pushed.type = e.type and pushed.at < e.time
left join told on told.product = e.product and told.subject = e.subject
where told.at is null or told.at < e.time - interval '1 minute'
group by e.product, e.type
order by e.product, e.type
"""

_QUIET = """
select p.product, last.hour, hours.active
from unnest(%(products)s::text[]) as p (product)
cross join lateral (
    select c.hour from batuta.intake_counts as c
    where c.product = p.product and c.connector = %(connector)s and c.dataset = %(dataset)s and c.landed > 0
    order by c.hour desc limit 1
) as last
cross join lateral (
    select array_agg(c.hour order by c.hour) as active from batuta.intake_counts as c
    where
        c.product = p.product and c.connector = %(connector)s and c.dataset = %(dataset)s and c.landed > 0
        and c.hour >= last.hour - %(history)s
) as hours
where last.hour < %(before)s
order by p.product
"""
