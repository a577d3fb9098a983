"""Contracts compiled to Python: one function for each object of a contract, written out field by field.

Writing the code out spares the hot path the interpretation of a schema for every field of every event: what remains is
one look-up, one type check and one assignment a field. The functions are plain enough to read: `python -m
batuta.contracts.plan FILE` prints them. Names, limits and messages enter the code through `repr`, masks and patterns
through the namespace it runs in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import CodeType
from typing import Any, Final

from batuta.contracts.profile import Node, Personal
from batuta.events.event import InvalidEvent, parse_time
from batuta.privacy.masking import Masker, Tally

_EXACT: Final = 2**53
_WORDS: Final = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


class ContractViolation(Exception):
    """Data that its contract does not allow. Names the field; never holds the value."""

    def __init__(self, field_path: str, message: str) -> None:
        super().__init__(f"{field_path or 'data'} {message}")
        self.field_path = field_path
        self.message = message


@dataclass(frozen=True, slots=True)
class Plan:
    """A contract made ready for one product: checks, keeps, masks and drops in one pass."""

    _run: Callable[[dict[str, Any], Tally], dict[str, Any]]

    def apply(self, data: dict[str, Any]) -> tuple[dict[str, Any], Tally]:
        """The data as it may be stored, and what that left behind.

        Raises:
            ContractViolation: the contract does not allow this data.
        """
        tally = Tally()
        return self._run(data, tally), tally


@dataclass(frozen=True, slots=True)
class Program:
    """A contract's code, not yet bound to a product's keys."""

    source: str
    _code: CodeType = field(repr=False)
    _constants: Mapping[str, Any] = field(repr=False)
    _masks: Mapping[str, Personal] = field(repr=False)
    _hashes: Mapping[str, Personal] = field(repr=False)
    _entry: str

    def bind(self, masker: Masker) -> Plan:
        """The plan for the product whose keys `masker` holds."""
        namespace: dict[str, Any] = dict(self._constants)
        namespace |= {
            name: masker.rule(personal.kind, personal.rule, personal.scope)
            for name, personal in self._masks.items()
        }
        namespace |= {
            name: masker.hashes(personal.kind, personal.scope) for name, personal in self._hashes.items()
        }
        # The code was written by `write_program` from a contract that was checked on loading.
        exec(self._code, namespace)  # noqa: S102
        return Plan(namespace[self._entry])


def write_program(root: Node, name: str, rules: Mapping[str, str]) -> Program:
    """Write the code of a contract.

    Args:
        root: The contract's tree.
        name: What tracebacks call the code.
        rules: Rules that a policy sets in place of the contract's, by field path: any rule on personal data,
            `keep` to lift one, `drop` on any field.
    """
    writer = _Writer(rules)
    entry = writer.function(root)
    source = "\n\n".join(writer.functions)
    code = compile(source, f"<contract {name}>", "exec")
    constants = writer.constants | {
        "_Violation": ContractViolation,
        "_integer": _integer,
        "_common_date_time": _COMMON_DATE_TIME,
        "_is_date_time": is_date_time,
        "_is_date": is_date,
    }
    return Program(source, code, constants, writer.masks, writer.hashes, entry)


class _Writer:
    def __init__(self, rules: Mapping[str, str]) -> None:
        self._rules = rules
        self._count = 0
        self.functions: list[str] = []
        self.constants: dict[str, Any] = {}
        self.masks: dict[str, Personal] = {}
        self.hashes: dict[str, Personal] = {}

    def function(self, node: Node) -> str:
        """Write the function that checks and rewrites a value at `node`; its name."""
        name = f"_at_{self._count}"
        self._count += 1
        body = self._object(node) if node.types == {"object"} else [*self._value(node), "return x"]
        lines = [f"def {name}(x, tally):  # {node.path!r}", " checked = None", *_indent(body)]
        self.functions.append("\n".join(lines))
        return name

    def _object(self, node: Node) -> list[str]:
        lines = [f"if type(x) is not dict: {_violation(node, self._expected(node))}", "v = x", "o = {}"]
        for name, inner in node.properties.items():
            lines += self._property(name, inner, required=name in node.required)
        if isinstance(node.others, Node):
            lines += self._other_properties(node, node.others)
        elif node.others is False:
            known = self._constant("known", frozenset(node.properties))
            message = "has a field that the contract does not allow"
            lines.append(f"if not v.keys() <= {known}: {_violation(node, message)}")
        lines += ["if len(o) != len(v): tally.dropped += len(v) - len(o)", "return o"]
        return lines

    def _property(self, name: str, node: Node, *, required: bool) -> list[str]:
        personal = self._personal(node)
        dropped = personal is not None and personal.rule == "drop"
        if dropped and not node.types:
            return [f"if {name!r} not in v: {_violation(node, 'is missing')}"] if required else []
        lines = self._value(node, personal)
        if not dropped:
            lines.append(f"o[{name!r}] = x")
        present = [f"if {name!r} in v:", *_indent([f"x = v[{name!r}]", *lines])]
        return [*present, f"else: {_violation(node, 'is missing')}"] if required else present

    def _other_properties(self, node: Node, others: Node) -> list[str]:
        known = self._constant("known", frozenset(node.properties))
        personal = self._personal(others)
        if personal is not None and personal.rule == "drop" and not others.types:
            return []
        function = self.function(others)
        keep = [] if personal is not None and personal.rule == "drop" else ["o[k] = x"]
        loop = [f"if k in {known}: continue", f"x = {function}(x, tally)", *keep]
        return ["for k, x in v.items():", *_indent(loop)]

    def _value(self, node: Node, personal: Personal | None = None) -> list[str]:
        """Statements that check `x` and rewrite it in place."""
        personal = personal or self._personal(node)
        branches: list[tuple[str, list[str]]] = []
        if "string" in node.types:
            branches.append(("type(x) is str", self._text(node)))
        if "integer" in node.types or "number" in node.types:
            branches += self._numbers(node)
        if "boolean" in node.types:
            branches.append(("type(x) is bool", self._allowed(node, bool)))
        if "array" in node.types and node.items is not None:
            function = self.function(node.items)
            length = self._length(node, "minItems", "maxItems", "entries")
            branches.append(("type(x) is list", [*length, f"x = [{function}(i, tally) for i in x]"]))
        if "object" in node.types:
            function = self.function(_only_object(node))
            branches.append(("type(x) is dict", [f"x = {function}(x, tally)"]))
        if "null" in node.types:
            branches.append(("x is None", self._allowed(node, type(None))))
        lines = _chain(branches, _violation(node, self._expected(node)))
        if personal is not None and personal.rule == "hash" and personal.kind != "text":
            lines.append(f"x = {self._hashes_of(personal)}[x]")
        elif personal is not None and personal.rule != "drop":
            mask = f"_mask_{len(self.masks)}"
            self.masks[mask] = personal
            lines.append(f"x = {mask}(x, tally)")
        return lines

    def _text(self, node: Node) -> list[str]:
        lines = self._allowed(node, str) + self._length(node, "minLength", "maxLength", "characters")
        if "pattern" in node.limits:
            pattern = self._constant("pattern", re.compile(_ecma(node.limits["pattern"])).search)
            meaning = f" ({node.described})" if node.described else ""
            message = f"does not have the form {node.limits['pattern']}{meaning}"
            lines.append(f"if not {pattern}(x): {_violation(node, message)}")
        form = node.limits.get("format")
        if form == "date-time":
            message = "must be an RFC 3339 date and time with an offset"
            # An object's times are often one and the same; that one is checked once.
            check = f"if not _common_date_time(x) and not _is_date_time(x): {_violation(node, message)}"
            lines += ["if x != checked:", *_indent([check, "checked = x"])]
        elif form == "date":
            lines.append(f"if not _is_date(x): {_violation(node, 'must be a date, as 2025-11-12')}")
        return lines

    def _numbers(self, node: Node) -> list[tuple[str, list[str]]]:
        checks = self._allowed(node, int)
        for keyword, sign, words in (
            ("minimum", "<", "at least"),
            ("maximum", ">", "at most"),
            ("exclusiveMinimum", "<=", "more than"),
            ("exclusiveMaximum", ">=", "less than"),
        ):
            if keyword in node.limits:
                limit = node.limits[keyword]
                checks.append(f"if x {sign} {limit!r}: {_violation(node, f'must be {words} {limit}')}")
        whole = [f"x = _integer(x, {node.path!r})"] if "number" not in node.types else []
        return [("type(x) is int", checks), ("type(x) is float", [*whole, *checks])]

    def _allowed(self, node: Node, kind: type) -> list[str]:
        if node.values is None:
            return []
        values = [value for value in node.values if type(value) is kind]
        listed = ", ".join("null" if value is None else str(value) for value in node.values)
        return [f"if x not in {tuple(values)!r}: {_violation(node, f'must be one of: {listed}')}"]

    def _length(self, node: Node, least: str, most: str, what: str) -> list[str]:
        lines: list[str] = []
        if node.limits.get(least):
            message = f"must have at least {node.limits[least]} {what}"
            lines.append(f"if len(x) < {node.limits[least]}: {_violation(node, message)}")
        if most in node.limits:
            message = f"must have at most {node.limits[most]} {what}"
            lines.append(f"if len(x) > {node.limits[most]}: {_violation(node, message)}")
        return lines

    def _personal(self, node: Node) -> Personal | None:
        rule = self._rules.get(node.path)
        if rule is None or not node.types:
            return node.personal
        if node.personal is None:
            return Personal("text", "drop") if rule == "drop" else None
        return None if rule == "keep" else Personal(node.personal.kind, rule, node.personal.scope)

    def _hashes_of(self, personal: Personal) -> str:
        for name, known in self.hashes.items():
            if (known.kind, known.scope) == (personal.kind, personal.scope):
                return name
        name = f"_hashes_{len(self.hashes)}"
        self.hashes[name] = personal
        return name

    def _expected(self, node: Node) -> str:
        ordered = [word for name, word in _WORDS.items() if name in node.types]
        return "must be " + " or ".join(ordered)

    def _constant(self, stem: str, value: Any) -> str:
        name = f"_{stem}_{len(self.constants)}"
        self.constants[name] = value
        return name


def is_date_time(text: str) -> bool:
    """Whether a text is RFC 3339 with an offset, and a moment that exists."""
    if _COMMON_DATE_TIME(text):
        return True
    try:
        parse_time(text)
    except InvalidEvent:
        return False
    return True


# Every such text is a moment that exists: no month is shorter than 28 days.
_COMMON_DATE_TIME: Final = re.compile(
    r"(?!0000)[0-9][0-9][0-9][0-9]-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"
).fullmatch


def is_date(text: str) -> bool:
    """Whether a text is a date that exists, as 2025-11-12."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-" or not text.isascii():
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _integer(number: float, path: str) -> int:
    if not number.is_integer():
        raise ContractViolation(path, "must be an integer")
    if abs(number) > _EXACT:
        raise ContractViolation(path, "is too large to be kept exactly")
    return int(number)


def _only_object(node: Node) -> Node:
    return Node(
        node.path,
        frozenset({"object"}),
        properties=node.properties,
        required=node.required,
        others=node.others,
    )


def _chain(branches: list[tuple[str, list[str]]], otherwise: str) -> list[str]:
    lines: list[str] = []
    for position, (condition, body) in enumerate(branches):
        lines += [f"{'elif' if position else 'if'} {condition}:", *_indent(body or ["pass"])]
    return [*lines, f"else: {otherwise}"]


def _violation(node: Node, message: str) -> str:
    return f"raise _Violation({node.path!r}, {message!r})"


def _indent(lines: list[str]) -> list[str]:
    return [f" {line}" for line in lines]


def _ecma(pattern: str) -> str:
    """A final `$` means the very end, as in ECMAScript; Python's would let a line feed follow."""
    return f"{pattern[:-1]}\\Z" if pattern.endswith("$") and not pattern.endswith("\\$") else pattern


def _print_program(path: str) -> None:
    import json
    from pathlib import Path

    from batuta.contracts.profile import read_profile

    node, problems = read_profile(json.loads(Path(path).read_text(encoding="utf-8")))
    print(write_program(node, path, {}).source if node is not None else "\n".join(problems))  # noqa: T201


if __name__ == "__main__":
    import sys

    _print_program(sys.argv[1])
