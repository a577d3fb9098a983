"""What is known of broken contracts: since when, for whom, on which rows. Kept in the warehouse, read by the gates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from batuta.quality.check import COMPANY, Broken, Outcome

FoundBy: TypeAlias = Literal["rules", "suite"]


@dataclass(frozen=True, slots=True)
class Break:
    """A rule that a product's data break, or broke until `mended_at`."""

    contract: str
    version: str
    rule: str
    product: str
    severity: str
    found_by: FoundBy
    since: datetime
    since_batch: int
    seen_at: datetime
    broken_rows: int
    detail: str
    evidence: list[dict[str, Any]]
    run_id: str | None
    mended_at: datetime | None

    @property
    def events(self) -> list[tuple[str, str]]:
        """Source and id of the events behind the first broken rows, each once."""
        found = ((source, id) for row in self.evidence for source, id in row["events"])
        return list(dict.fromkeys(found))

    @property
    def text(self) -> str:
        """Where it is broken and since when, in one sentence."""
        for_whom = f"for {self.product}" if self.product != COMPANY else "for the whole company"
        since = f"since {self.since:%Y-%m-%d %H:%M UTC} (batch {self.since_batch})"
        return f"{self.contract} {self.version} is broken {for_whom} {since}: {self.detail}"


@dataclass(frozen=True, slots=True)
class LastCheck:
    """When a contract was last checked, on what, and why it could not be, if so.

    Attributes:
        models: Digest of the models that made what was checked.
        seen_before: The oldest transaction whose rows the check may not have seen.
        all_counted_at: When all products were counted last, not only those whose data had changed.
        product_rows: Rows by product.
    """

    contract: str
    version: str
    digest: str
    checked_at: datetime
    batch: int
    run_id: str | None
    rules: int
    products: int
    sources: list[str] | None
    problem: str | None
    models: str
    seen_before: int | None
    all_counted_at: datetime | None
    product_rows: dict[str, int]


def record(
    conn: psycopg.Connection[Any],
    outcome: Outcome,
    *,
    batch: int,
    now: datetime,
    run_id: str | None,
    found_by: FoundBy = "rules",
    sources: Sequence[str] | None = None,
    models: str = "",
    seen_before: int | None = None,
) -> None:
    """Keep what a check found, in the caller's transaction: breaks are opened, kept or closed.

    What is open and not among what was found is closed: an outcome speaks of all products, also where only some were
    counted. Where the contract could not be checked, what was broken stays so. A suite closes only what a suite has
    opened: the rules see every product, and the gates hang on them.
    """
    contract = outcome.contract
    by_rules = found_by == "rules"
    if by_rules:
        conn.execute(
            _CHECKED,
            (
                *(contract.name, contract.version, contract.digest, now, batch, run_id),
                *(len(contract.rules), len(outcome.rows), None if sources is None else list(sources)),
                *(outcome.problem, models, None if outcome.problem else seen_before),
                now if outcome.counted is None and outcome.problem is None else None,
                Jsonb(dict(outcome.rows)),
            ),
        )
    if outcome.problem is not None:
        return
    for broken in outcome.broken:
        conn.execute(_OPEN if by_rules else _SEEN, _row(outcome, broken, batch, now, run_id, found_by))
    still = [(b.rule.name, b.product) for b in outcome.broken]
    conn.execute(_MEND, (now, contract.name, by_rules, [r for r, _ in still], [p for _, p in still]))


def withdraw(conn: psycopg.Connection[Any], in_force: Collection[str], now: datetime) -> None:
    """Forget the last checks of contracts that are no longer in force, and close what they had open."""
    names = list(in_force)
    conn.execute("delete from batuta.contract_checks where not contract = any(%s)", (names,))
    conn.execute(
        "update batuta.contract_breaks set mended_at = %s where mended_at is null and not contract = any(%s)",
        (now, names),
    )


def breaks(
    conn: psycopg.Connection[Any],
    *,
    product: str | None = None,
    contracts: Sequence[str] | None = None,
    mended: bool = False,
    limit: int = 1000,
) -> list[Break]:
    """What is broken, of all products or of one and the whole company; with `mended` also what was, newest first."""
    with conn.cursor(row_factory=class_row(Break)) as cursor:
        return cursor.execute(
            _BREAKS, {"product": product, "contracts": contracts, "mended": mended, "limit": limit}
        ).fetchall()


@dataclass(frozen=True, slots=True)
class Blocked:
    """A product (or the whole company) on whose data of these sources nothing may run at present."""

    product: str
    sources: list[str] | None
    reason: str

    def concerns(self, product: str, sources: Collection[str]) -> bool:
        """Whether it holds back what is made of these sources of a product; without sources it holds back nothing."""
        same = self.product in {COMPANY, product}
        made_of = self.sources is None or (bool(self.sources) and not sources)
        return same and (made_of or bool(set(self.sources or ()) & set(sources)))


def blocked(conn: psycopg.Connection[Any]) -> list[Blocked]:
    """What the gates would refuse at present; one query, empty when all is well."""
    with conn.cursor(row_factory=class_row(Blocked)) as cursor:
        return cursor.execute(_BLOCKED).fetchall()


def last_checks(conn: psycopg.Connection[Any]) -> list[LastCheck]:
    """The last check of every contract, by name."""
    with conn.cursor(row_factory=class_row(LastCheck)) as cursor:
        return cursor.execute("select * from batuta.contract_checks order by contract").fetchall()


def _row(
    outcome: Outcome, broken: Broken, batch: int, now: datetime, run_id: str | None, found_by: FoundBy
) -> dict[str, Any]:
    return {
        "contract": outcome.contract.name,
        "version": outcome.contract.version,
        "rule": broken.rule.name,
        "product": broken.product,
        "severity": broken.rule.severity,
        "found_by": found_by,
        "now": now,
        "batch": batch,
        "rows": broken.count,
        "detail": broken.text,
        "evidence": Jsonb([item.document() for item in broken.evidence]),
        "run_id": run_id,
    }


_CHECKED: Final = """
insert into batuta.contract_checks (
    contract, version, digest, checked_at, batch, run_id, rules, products, sources, problem, models, seen_before,
    all_counted_at, product_rows
)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (contract) do update set
    version = excluded.version, digest = excluded.digest, checked_at = excluded.checked_at,
    batch = excluded.batch, run_id = excluded.run_id, rules = excluded.rules, products = excluded.products,
    sources = excluded.sources, problem = excluded.problem, models = excluded.models,
    seen_before = excluded.seen_before,
    all_counted_at = coalesce(excluded.all_counted_at, contract_checks.all_counted_at),
    product_rows = excluded.product_rows
"""

_INSERT: Final = """
insert into batuta.contract_breaks as known (
    contract, version, rule, product, severity, found_by, since, since_batch, seen_at, broken_rows, detail, evidence,
    run_id
)
values (
    %(contract)s, %(version)s, %(rule)s, %(product)s, %(severity)s, %(found_by)s, %(now)s, %(batch)s, %(now)s, %(rows)s,
    %(detail)s, %(evidence)s, %(run_id)s
)
on conflict (contract, rule, product) where mended_at is null do update set
"""

_OPEN: Final = f"""{_INSERT}
    version = excluded.version, severity = excluded.severity, found_by = excluded.found_by, seen_at = excluded.seen_at,
    broken_rows = excluded.broken_rows, detail = excluded.detail, evidence = excluded.evidence, run_id = excluded.run_id
"""

_SEEN: Final = f"""{_INSERT}
    seen_at = excluded.seen_at
"""

_MEND: Final = """
update batuta.contract_breaks as known set mended_at = %s
where known.contract = %s and known.mended_at is null and (%s or known.found_by = 'suite') and not exists (
    select from unnest(%s::text[], %s::text[]) as still (rule, product)
    where still.rule = known.rule and still.product = known.product
)
"""

_BLOCKED: Final = """
select open.product, checks.sources, open.contract || ' is broken: ' || open.rule as reason
from batuta.contract_breaks as open
left join batuta.contract_checks as checks on checks.contract = open.contract
where open.mended_at is null and open.severity = 'error'
union all
select '', checks.sources, checks.contract || ' could not be checked' from batuta.contract_checks as checks
where checks.problem is not null
order by 1, 3
"""

_BREAKS: Final = """
select * from batuta.contract_breaks
where (%(product)s::text is null or product in (%(product)s, ''))
    and (%(contracts)s::text[] is null or contract = any(%(contracts)s))
    and (%(mended)s or mended_at is null)
order by mended_at is not null, since desc, contract, product, rule
limit %(limit)s
"""
