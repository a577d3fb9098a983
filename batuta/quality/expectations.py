"""The suite of Great Expectations that a contract comes down to, as plain JSON values. Imports nothing of it.

Each expectation carries the name of its rule in `meta`. What has a standard expectation is said with it; what speaks of
rows by product, or allows some to be broken, is said as the rows that must not be there.
"""

from __future__ import annotations

from typing import Any, Final

from batuta.quality.check import COMPANY, breaks
from batuta.quality.contract import PRODUCT, DataContract, Rule
from batuta.quality.rules import identifier, key_with_product, literal

ROWS: Final = "unexpected_rows_expectation"
SHAPE: Final = "shape"
"""The name of the expectation that the columns are there; the rules are those of the contract."""
BATCH: Final = "(select * from {batch})"
"""What the library puts for `{batch}` has a name already."""
_SEVERITY: Final = {"error": "critical", "warning": "warning"}


def suite(contract: DataContract) -> dict[str, Any]:
    """The expectations of a contract, as a suite in the library's own JSON."""
    columns = [field.name for field in contract.fields]
    shape = {
        "type": "expect_table_columns_to_match_set",
        "kwargs": {"column_set": columns, "exact_match": False},
        "meta": {"rule": SHAPE},
        "severity": "critical",
    }
    return {
        "name": f"{contract.name}-{contract.version}",
        "expectations": [shape, *(_expectation(contract, rule) for rule in contract.rules)],
        "meta": {"contract": contract.reference, "domain": contract.domain, "digest": contract.digest},
    }


def index_columns(contract: DataContract) -> list[str]:
    """The columns that name a row and its event in what is found."""
    names = {field.name for field in contract.fields}
    own = key_with_product(contract.key, by_product=contract.by_product)
    return list(dict.fromkeys((*own, *(n for n in ("event_source", "event_id") if n in names))))


def _expectation(contract: DataContract, rule: Rule) -> dict[str, Any]:
    around = {
        "meta": {"rule": rule.name, "dimension": rule.dimension},
        "severity": _SEVERITY[rule.severity],
        "description": rule.description,
    }
    if rule.limit.is_none and rule.standard is not None:
        kind, arguments = rule.standard
        return {"type": kind, "kwargs": dict(arguments), **around}
    return {"type": ROWS, "kwargs": {"unexpected_rows_query": _unexpected(contract, rule)}, **around}


def _unexpected(contract: DataContract, rule: Rule) -> str:
    """The rows, or the products with their counts, that must not be there."""
    if rule.limit.is_none and rule.kind != "rows":
        shown = ", ".join(f"checked.{identifier(column)}" for column in index_columns(contract))
        return f"select {shown} from {BATCH} as checked where ({breaks(contract, rule)})"
    product = f"checked.{identifier(PRODUCT)}" if contract.by_product else f"{literal(COMPANY)}::text"
    counted = "count(*)" if rule.kind == "rows" else f"count(*) filter (where ({breaks(contract, rule)}))"
    grouped = (
        f"select coalesce({product}, '') as product, {counted} as counted, count(*) as total "
        f"from {BATCH} as checked group by 1"
    )
    everyone = f"select distinct product from ({grouped}) as found"
    if contract.expected_products is not None:
        everyone = f"select * from ({contract.expected_products}) as expected (product) union {everyone}"
    elif not contract.by_product:
        everyone = f"select {literal(COMPANY)}::text as product"
    return (
        f"select listed.product, coalesce(found.counted, 0) as counted from ({everyone}) as listed "
        f"left join ({grouped}) as found on found.product = listed.product "
        f"where not ({_holds(rule)})"
    )


def _holds(rule: Rule) -> str:
    """The limit as SQL over `found`."""
    measured = "coalesce(found.counted, 0)"
    if rule.limit.percent:
        measured = "coalesce(100.0 * found.counted / nullif(found.total, 0), 0)"
    low, high = rule.limit.bounds[0], rule.limit.bounds[-1]
    return {
        "mustBe": f"{measured} = {low}",
        "mustNotBe": f"{measured} <> {low}",
        "mustBeGreaterThan": f"{measured} > {low}",
        "mustBeGreaterOrEqualTo": f"{measured} >= {low}",
        "mustBeLessThan": f"{measured} < {low}",
        "mustBeLessOrEqualTo": f"{measured} <= {low}",
        "mustBeBetween": f"{measured} between {low} and {high}",
        "mustNotBeBetween": f"{measured} not between {low} and {high}",
    }[rule.limit.operator]
