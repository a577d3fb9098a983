"""How the marts stand with their contracts, told to Dagster by a refresh, and to the gates product by product.

The rules of all contracts are a handful of queries (`holding.py`), so they belong to the refresh itself; a break stops
no refresh and no other product, it closes the gates of its own (`ingest.py`) until a later check finds it mended.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import dagster as dg
import psycopg

from batuta.quality.breaks import Break, LastCheck, breaks, last_checks
from batuta.quality.check import Outcome, names_of
from batuta.quality.contract import DataContract
from batuta_assets.dbt_manifest import DbtManifest

CONTRACT: Final = "contract"
"""The check of a mart that its contract is kept."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a product's contracts: the last checks, and what is broken."""

    checks: Mapping[str, LastCheck]
    open: tuple[Break, ...]


def marts_digest(manifest: DbtManifest, contracts: Iterable[DataContract]) -> str:
    """Digest of all that a refresh makes and holds to: models, tests, macros, contracts."""
    parts = sorted(f"{c.name} {c.version} {c.digest}" for c in contracts)
    return (
        hashlib.sha256("\0".join((manifest.digest, *parts)).encode()).hexdigest()
        if parts
        else manifest.digest
    )


def contract_keys(contracts: Iterable[DataContract], manifest: DbtManifest) -> dict[str, dg.AssetKey]:
    """The asset each contract is about; contracts of relations that dbt does not build are missing."""
    keys = {model.relation: dg.AssetKey(model.key) for model in manifest.models.values()}
    return {c.name: keys[c.relation] for c in contracts if c.relation in keys}


def check_of(contract: DataContract, key: dg.AssetKey, kind: str) -> dg.AssetCheckKey:
    """A contract's check on its relation: `contract`, or `contract_<name>` where it is not the relation's own."""
    own = contract.name == key.path[-1]
    return dg.AssetCheckKey(key, kind if own else re.sub(r"[^A-Za-z0-9_]", "_", f"{kind}_{contract.name}"))


def contract_spec(contract: DataContract, key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check of a mart. It does not block the refresh, which serves all products; the gates of each product do."""
    breaking = contract.breaking
    listed = "\n".join(f"- `{rule.name}`: {rule.description}" for rule in contract.rules)
    return dg.AssetCheckSpec(
        check_of(contract, key, CONTRACT).name,
        asset=key,
        description=f"Data contract {contract.reference}, domain `{contract.domain}`, {contract.status}; "
        f"{contract.owner} answers for it. Used by {', '.join(breaking.used_by)}; a change is told "
        f"{breaking.notice_days} days before.\n\n{listed}",
        metadata={"contract": contract.reference, "domain": contract.domain, "file": contract.file},
    )


def due_contracts(
    contracts: Sequence[DataContract],
    keys: Mapping[str, dg.AssetKey],
    built: AbstractSet[dg.AssetKey],
    asked: AbstractSet[dg.AssetCheckKey],
    *,
    everything: bool,
) -> list[DataContract]:
    """What a refresh has to check: contracts of what it built, those asked for, and with everything all others."""
    return [
        contract
        for contract in contracts
        if (
            everything
            if (key := keys.get(contract.name)) is None
            else key in built or check_of(contract, key, CONTRACT) in asked
        )
    ]


def contract_result(outcome: Outcome, check_key: dg.AssetCheckKey) -> dg.AssetCheckResult:
    """What a check of a contract found, with the first rows that break it and their events."""
    return dg.AssetCheckResult(
        asset_key=check_key.asset_key,
        check_name=check_key.name,
        passed=outcome.passed and not outcome.broken,
        severity=dg.AssetCheckSeverity.ERROR if not outcome.passed else dg.AssetCheckSeverity.WARN,
        description=said(outcome),
        metadata=evidence(outcome),
    )


def said(outcome: Outcome) -> str:
    """The outcome in sentences."""
    if outcome.problem is not None:
        return outcome.problem
    if not outcome.broken:
        return f"{sum(outcome.rows.values())} rows keep {outcome.contract.reference}"
    first = outcome.broken[0]
    products = names_of({b.product for b in outcome.broken})
    return f"{outcome.contract.reference} is broken for {products}; first, {first.product or 'all'}: {first.text}"


def evidence(outcome: Outcome) -> dict[str, Any]:
    """The broken rules and the first of their rows, as tables of the UI."""
    found: dict[str, Any] = {
        "rules": len(outcome.contract.rules),
        "products": len(outcome.rows),
        "counted": len(outcome.rows if outcome.counted is None else outcome.counted),
        "broken": len(outcome.broken),
    }
    if not outcome.broken:
        return found
    rules = [
        dg.TableRecord({
            "product": b.product, "rule": b.rule.name, "severity": b.rule.severity, "rows": b.count, "says": b.text
        })
        for b in outcome.broken
    ]  # fmt: skip
    rows = [
        dg.TableRecord(
            {
                "product": b.product,
                "rule": b.rule.name,
                "row": ", ".join(f"{name} {value}" for name, value in row.key.items()),
                "value": row.value or "",
                "events": ", ".join(id for _, id in row.events),
            }
        )
        for b in outcome.broken
        for row in b.evidence
    ]
    found["broken_rules"] = dg.MetadataValue.table(rules)
    if rows:
        found["rows"] = dg.MetadataValue.table(rows)
    return found


def standing(conn: psycopg.Connection[Any], product: str) -> Standing:
    """How a product stands at present."""
    return Standing({last.contract: last for last in last_checks(conn)}, tuple(breaks(conn, product=product)))


def refusal(found: Standing, contracts: Iterable[str]) -> str | None:
    """Why nothing may run on a product's data, as far as these contracts go; None where it may."""
    names = sorted(contracts)
    unchecked = [name for name in names if name not in found.checks]
    if unchecked:
        return f"{', '.join(unchecked)} was never checked; run refresh_marts"
    unreadable = [found.checks[n] for n in names if found.checks[n].problem is not None]
    if unreadable:
        return f"{unreadable[0].contract} could not be checked: {unreadable[0].problem}"
    broken = [b for b in found.open if b.contract in names and b.severity == "error"]
    if not broken:
        return None
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    return f"{broken[0].text}{more}"


def breaks_metadata(found: Standing, contracts: Iterable[str]) -> dict[str, Any]:
    """The open breaks of these contracts: where, since when, on which events."""
    names = set(contracts)
    own = [b for b in found.open if b.contract in names]
    if not own:
        return {"broken": 0}
    records = [
        dg.TableRecord(
            {
                "contract": b.contract,
                "rule": b.rule,
                "severity": b.severity,
                "since": _moment(b.since),
                "since_batch": b.since_batch,
                "rows": b.broken_rows,
                "says": b.detail,
                "events": ", ".join(id for _, id in b.events[:20]),
            }
        )
        for b in own
    ]
    oldest = min(b.since for b in own)
    return {
        "broken": len(own),
        "since": dg.MetadataValue.timestamp(oldest),
        "breaks": dg.MetadataValue.table(records),
    }


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M UTC}"
