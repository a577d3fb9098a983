"""Whether everything the sources handed over is accounted for: counted = landed + duplicate + quarantined + filtered.

And, where a source gives its own count of a window or poll: whether that many were handed over.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from sensors.liveness.verdict import Bound, Cell, Verdict, keys, moment, nothing_to_check

SUMMED: Final = timedelta(hours=24)
KEPT: Final = timedelta(days=30)
"""A hole stays a finding for so long, unless its window is fetched again, whole."""
SHOWN: Final = 50

METHOD: Final = (
    "Of every page that was polled or backfilled: what the source handed over = landed + duplicate + quarantined + "
    "filtered. Of every window or poll for which the source gives a count of its own: at least as many were handed "
    f"over. A hole stays a finding for {KEPT.days} days, or until its window has been fetched again, whole. "
    f"Evidence: the sums of the last {SUMMED.days * 24} hours."
)


@dataclass(frozen=True, slots=True)
class Sums:
    """What became of what an account handed over in the last hours, by way."""

    product: str
    account: str
    way: str
    pages: int
    counted: int
    landed: int
    duplicate: int
    quarantined: int
    filtered: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page of which something is unaccounted for."""

    product: str
    account: str
    counted: int
    accounted: int
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class Stretch:
    """All pages of one window or poll, up to the one that brought the source's own count."""

    product: str
    account: str
    window_start: datetime | None
    window_end: datetime | None
    counted: int
    total: int
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class Books:
    """What is known of an interval of time, for some accounts."""

    sums: tuple[Sums, ...]
    broken: tuple[Page, ...]
    stretches: tuple[Stretch, ...]


def read_books(conn: psycopg.Connection[Any], connector: str, bound: Sequence[Bound], now: datetime) -> Books:
    """The sums of the last hours; pages that do not add up, and the last stretch of each window, of the last days."""
    who = (*keys(bound), connector)
    return Books(
        tuple(Sums(*row) for row in conn.execute(_SUMS, (*who, now - SUMMED))),
        tuple(Page(*row) for row in conn.execute(_BROKEN, (*who, now - KEPT, SHOWN))),
        tuple(Stretch(*row) for row in conn.execute(_STRETCHES, (*who, now - KEPT, SHOWN))),
    )


def completeness(bound: Sequence[Bound], books: Books, succeeded: Collection[tuple[str, str]]) -> Verdict:
    """Whether everything is accounted for.

    Args:
        bound: The accounts.
        books: What was counted of them.
        succeeded: The (product, account) that were ever polled well.
    """
    fetching = [b for b in bound if b.fetches]
    if not fetching:
        return nothing_to_check("no product has an account that is polled")
    names = {(b.product, b.account): b.name for b in bound}
    findings = [
        f"{names[p.product, p.account]}: of {p.counted} records that came at {moment(p.committed_at)}, "
        f"{p.accounted} are accounted for."
        for p in books.broken
    ]
    findings += [
        f"{names[s.product, s.account]}: {_window(s)}: the source counts {s.total}, {s.counted} came; "
        "fetch the window again (`batuta backfill`)."
        for s in books.stretches
        if s.counted < s.total
    ]
    pages = sum(s.pages for s in books.sums)
    counted = sum(s.counted for s in books.sums)
    never = sorted(b.name for b in fetching if (b.product, b.account) not in succeeded)
    notes = (f"Not yet fetched from: {', '.join(never)}.",) if never else ()
    good = f"{counted} records on {pages} pages in the last {SUMMED.days * 24} hours, all accounted for."
    evidence = tuple(_row(names[s.product, s.account], s) for s in books.sums)
    return Verdict(tuple(findings), good, evidence, notes)


def _window(stretch: Stretch) -> str:
    if stretch.window_start is None or stretch.window_end is None:
        return f"the poll that ended at {moment(stretch.committed_at)}"
    return f"{moment(stretch.window_start)} to {moment(stretch.window_end)}"


def _row(name: str, sums: Sums) -> Mapping[str, Cell]:
    return {
        "account": name,
        "way": sums.way,
        "pages": sums.pages,
        "counted": sums.counted,
        "landed": sums.landed,
        "duplicate": sums.duplicate,
        "quarantined": sums.quarantined,
        "filtered": sums.filtered,
    }


_OF = """
from unnest(%s::text[], %s::text[]) as b (product, account)
join batuta.completeness as c
    on c.product = b.product and c.account = b.account and c.connector = %s and c.committed_at > %s
"""

_SUMS = f"""
select
    c.product, c.account, c.way, count(*), sum(c.counted)::bigint, sum(c.landed)::bigint,
    sum(c.duplicate)::bigint, sum(c.quarantined)::bigint, sum(c.filtered)::bigint
{_OF}
group by c.product, c.account, c.way
order by c.product, c.account, c.way
"""

_ACCOUNTED = "c.landed + c.duplicate + c.quarantined + c.filtered"

_BROKEN = f"""
select c.product, c.account, c.counted, {_ACCOUNTED}, c.committed_at
{_OF}
where c.counted <> {_ACCOUNTED}
order by c.committed_at desc
limit %s
"""

# A stretch ends with the page that has a total; a window that was fetched again is told by its last stretch.
_STRETCHES = f"""
with ends as (
    select
        c.*,
        coalesce(
            lag(c.committed_at) over (
                partition by c.product, c.account, c.way, c.window_start, c.window_end order by c.id
            ),
            '-infinity'
        ) as ended_before
    {_OF} and c.total is not null
),
latest as (
    select distinct on (product, account, window_start, window_end, case when window_start is null then id end) *
    from ends
    order by product, account, window_start, window_end, case when window_start is null then id end, id desc
)
select e.product, e.account, e.window_start, e.window_end, sums.counted, e.total, e.committed_at
from latest as e
cross join lateral (
    select sum(c.counted)::bigint as counted from batuta.completeness as c
    where
        c.product = e.product and c.connector = e.connector and c.account = e.account and c.way = e.way
        and c.window_start is not distinct from e.window_start and c.window_end is not distinct from e.window_end
        and c.committed_at > e.ended_before and c.committed_at <= e.committed_at
) as sums
where sums.counted < e.total
order by e.committed_at desc
limit %s
"""
