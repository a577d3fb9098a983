"""The rules of a contract, from what its document says of columns and quality.

Every rule comes down to a condition on one row, rows that share columns, or a number of rows, so that the rows that
break it can be shown. What cannot be brought to that is a problem of the document, never a rule that nobody checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from batuta.manifests.problems import FieldPath
from batuta.quality.contract import NO_ROW, OPERATORS, PRODUCT, Limit, Rule, Severity

Complaint = tuple[FieldPath, str]

OBJECT: Final = re.compile(r"\$\{(?:object|table)\}")
"""The standard's words for the relation that a rule is about."""
_COUNT: Final = re.compile(
    rf"\s*select\s+count\(\*\)\s+from\s+{OBJECT.pattern}\s+where\s+(?P<condition>.+)",
    re.IGNORECASE | re.DOTALL,
)
_DIMENSIONS: Final = {
    "nullValues": "completeness",
    "missingValues": "completeness",
    "invalidValues": "conformity",
    "duplicateValues": "uniqueness",
    "rowCount": "coverage",
}
_BOUNDS: Final = {
    "minimum": (">=", "min_value", False),
    "maximum": ("<=", "max_value", False),
    "exclusiveMinimum": (">", "min_value", True),
    "exclusiveMaximum": ("<", "max_value", True),
}


def rules_of(schema: Mapping[str, Any], path: FieldPath) -> tuple[list[Rule], list[Complaint]]:
    """The rules of a schema object of a document, and what cannot be made a rule, with its place."""
    columns = [p for p in schema.get("properties", ()) if isinstance(p, Mapping) and "name" in p]
    rules, wrong = list[Rule](), list[Complaint]()
    key = sorted((p.get("primaryKeyPosition", 0), p["name"]) for p in columns if p.get("primaryKey"))
    if key:
        rules.append(_no_duplicates("key", [name for _, name in key], "No two rows share the key."))
    for place, column in enumerate(columns):
        where = (*path, "properties", place)
        rules += _of_column(column)
        for number, check in enumerate(column.get("quality", ())):
            _quality(check, (*where, "quality", number), column["name"], rules, wrong)
    for number, check in enumerate(schema.get("quality", ())):
        _quality(check, (*path, "quality", number), None, rules, wrong)
    names = [rule.name for rule in rules]
    wrong += [
        ((*path,), f'two rules are called "{name}"; give one another name')
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    return rules, wrong


def identifier(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A value in SQL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def _of_column(column: Mapping[str, Any]) -> Iterator[Rule]:
    """What follows from the column's own words: required, unique, and the options of its type."""
    name = column["name"]
    if column.get("required") or column.get("primaryKey"):
        yield Rule(
            f"{name}_required",
            "condition",
            (name,),
            f"{identifier(name)} is null",
            NO_ROW,
            "error",
            "completeness",
            f"{name} is never NULL.",
            ("expect_column_values_to_not_be_null", {"column": name}),
        )
    if column.get("unique"):
        yield _no_duplicates(f"{name}_unique", [name], f"{name} is unique within a product.")
    options = column.get("logicalTypeOptions") or {}
    for option, (operator, bound, strict) in _BOUNDS.items():
        if option in options:
            value = options[option]
            arguments: dict[str, Any] = {"column": name, bound: value}
            if strict:
                arguments[f"strict_{bound.removesuffix('_value')}"] = True
            yield Rule(
                f"{name}_{_snake(option)}",
                "condition",
                (name,),
                f"not {identifier(name)} {operator} {literal(value)}",
                NO_ROW,
                "error",
                "accuracy",
                f"{name} {operator} {value}.",
                ("expect_column_values_to_be_between", arguments),
            )
    if "pattern" in options:
        yield _pattern(f"{name}_pattern", name, str(options["pattern"]), NO_ROW, "error")
    lengths = {k: options[k] for k in ("minLength", "maxLength") if k in options}
    if lengths:
        low, high = lengths.get("minLength", 0), lengths.get("maxLength")
        upper = "" if high is None else f" and length({identifier(name)}) <= {int(high)}"
        yield Rule(
            f"{name}_length",
            "condition",
            (name,),
            f"not (length({identifier(name)}) >= {int(low)}{upper})",
            NO_ROW,
            "error",
            "conformity",
            f"{name} has {low} to {high if high is not None else 'any number of'} letters.",
            (
                "expect_column_value_lengths_to_be_between",
                {"column": name, "min_value": low} | ({} if high is None else {"max_value": high}),
            ),
        )


def _quality(
    check: Mapping[str, Any], path: FieldPath, column: str | None, rules: list[Rule], wrong: list[Complaint]
) -> None:
    """Add the rule of one entry under `quality`, or what is wrong with it."""
    kind = check.get("type", "library")
    if kind == "text":
        return
    if kind == "custom":
        wrong.append(((*path, "type"), "custom rules are not run here; say it as `library` or as `sql`"))
        return
    severity: Severity = "warning" if check.get("severity") in {"warning", "warn", "info"} else "error"
    limit = _limit(check)
    metric = check.get("metric") or check.get("rule")
    described = str(check.get("description") or check.get("name") or metric or "").strip()
    name = check.get("name") or (f"{column}_{_snake(str(metric))}" if column else _snake(str(metric)))
    if limit is None:
        wrong.append((path, f"say what it must be: one of {', '.join(OPERATORS)} with numbers"))
        return
    dimension = check.get("dimension") or _DIMENSIONS.get(str(metric), "accuracy")
    if kind == "sql":
        found = _COUNT.fullmatch(str(check.get("query", "")).strip().rstrip(";"))
        if found is None:
            wrong.append(
                (
                    (*path, "query"),
                    (
                        "write it as `select count(*) from ${object} where <condition on a row>`, so that the rows "
                        "that break it can be shown"
                    ),
                )
            )
            return
        condition = re.sub(r"\$\{(?:property|column)\}", identifier(column or ""), found["condition"]).strip()
        rules.append(
            Rule(
                name,
                "condition",
                (column,) if column else (),
                condition,
                limit,
                severity,
                dimension,
                described,
            )
        )
        return
    made = _of_metric(
        str(metric), check.get("arguments") or {}, column, name, limit, severity, dimension, described
    )
    if isinstance(made, str):
        wrong.append((path, made))
    else:
        rules.append(made)


def _of_metric(
    metric: str,
    arguments: Mapping[str, Any],
    column: str | None,
    name: str,
    limit: Limit,
    severity: Severity,
    dimension: str,
    described: str,
) -> Rule | str:
    """The rule of a metric of the standard's library, or what is wrong with it."""
    if metric == "rowCount":
        return Rule(name, "rows", (), "", limit, severity, dimension, described)
    if metric == "duplicateValues":
        shared = [column] if column else list(arguments.get("properties") or ())
        if not shared:
            return "name the columns under arguments.properties"
        return _no_duplicates(name, shared, described, limit, severity)
    if column is None:
        return f"{metric} belongs to a column"
    subject = identifier(column)
    standard: tuple[str, Mapping[str, Any]] | None = None
    if metric == "nullValues":
        condition = f"{subject} is null"
        standard = ("expect_column_values_to_not_be_null", {"column": column})
    elif metric == "missingValues":
        values = [v for v in arguments.get("missingValues") or () if v is not None]
        listed = f" or {subject}::text in ({', '.join(map(literal, map(str, values)))})" if values else ""
        condition = f"{subject} is null{listed}"
    elif metric == "invalidValues" and arguments.get("validValues"):
        values = list(arguments["validValues"])
        condition = f"{subject} not in ({', '.join(map(literal, values))})"
        standard = ("expect_column_values_to_be_in_set", {"column": column, "value_set": values})
    elif metric == "invalidValues" and arguments.get("pattern"):
        return _pattern(name, column, str(arguments["pattern"]), limit, severity)
    else:
        return (
            f"{metric} needs arguments that are known here: validValues or pattern, missingValues, properties"
        )
    return Rule(
        name, "condition", (column,), condition, limit, severity, dimension, described,
        standard if limit.is_none else None,
    )  # fmt: skip


def _pattern(name: str, column: str, pattern: str, limit: Limit, severity: Severity) -> Rule:
    return Rule(
        name,
        "condition",
        (column,),
        f"{identifier(column)} !~ {literal(pattern)}",
        limit,
        severity,
        "conformity",
        f"{column} is written as `{pattern}`.",
        ("expect_column_values_to_match_regex", {"column": column, "regex": pattern})
        if limit.is_none
        else None,
    )


def _no_duplicates(
    name: str, columns: Sequence[str], described: str, limit: Limit = NO_ROW, severity: Severity = "error"
) -> Rule:
    shared = tuple(dict.fromkeys(columns))
    return Rule(name, "duplicates", shared, "", limit, severity, "uniqueness", described)


def _limit(check: Mapping[str, Any]) -> Limit | None:
    for operator in OPERATORS:
        if operator in check:
            value = check[operator]
            bounds = value if isinstance(value, list) else [value]
            if all(isinstance(b, int | float) and not isinstance(b, bool) for b in bounds):
                return Limit(operator, tuple(map(float, bounds)), check.get("unit") == "percent")
    return None


def _snake(camel: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", camel).lower()


def key_with_product(columns: Sequence[str], *, by_product: bool) -> tuple[str, ...]:
    """Columns that must differ, the product among them: what two products have alike is no duplicate."""
    return tuple(dict.fromkeys((PRODUCT, *columns) if by_product else columns))
