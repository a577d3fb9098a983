"""The part of JSON Schema 2020-12 that event contracts are written in, read into a tree.

A keyword outside it is an error where the contract is loaded, never silently without effect. Two things differ from
plain JSON Schema on purpose: a field that the contract does not name is dropped (or refused, where
`additionalProperties` is false), and every place says its type, so that nothing unnamed slips through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from batuta.privacy.kinds import KINDS, RULES

TYPES: Final = ("object", "array", "string", "integer", "number", "boolean", "null")
FORMATS: Final = frozenset({"date-time", "date"})
_ANNOTATIONS: Final = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "examples", "deprecated", "default", "x-batuta"}
)
_BY_TYPE: Final = {
    "minLength": "string",
    "maxLength": "string",
    "pattern": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "items": "array",
    "minItems": "array",
    "maxItems": "array",
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
}
_KEYWORDS: Final = _ANNOTATIONS | frozenset(_BY_TYPE) | {"type", "enum", "const", "$ref", "$defs"}
_DEEPEST: Final = 32


@dataclass(frozen=True, slots=True)
class Personal:
    """What an annotation says of a field: its kind of personal data and what is done with it."""

    kind: str
    rule: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One place of a contract."""

    path: str
    types: frozenset[str]
    limits: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    values: tuple[Any, ...] | None = None
    properties: Mapping[str, Node] = field(default_factory=lambda: MappingProxyType({}))
    required: frozenset[str] = frozenset()
    others: Node | bool = True
    items: Node | None = None
    personal: Personal | None = None
    described: str | None = None
    """What the contract says of the place, or an example it gives; for messages."""


class _Problems(list[str]):
    def at(self, path: str, message: str) -> None:
        self.append(f"{path or 'the contract'}: {message}")


def read_profile(schema: Any) -> tuple[Node | None, tuple[str, ...]]:
    """Read a schema into its tree, or say everything that is wrong with it.

    Returns:
        The root node, None if there is any problem; and the problems, each naming its place.
    """
    problems = _Problems()
    definitions = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    root = _Reader(definitions if isinstance(definitions, dict) else {}, problems).node(schema, "", 0)
    if root is not None and root.types != {"object"}:
        problems.at("", 'must be of "type": "object"')
    return (None if problems else root), tuple(problems)


class _Reader:
    def __init__(self, definitions: Mapping[str, Any], problems: _Problems) -> None:
        self._definitions = definitions
        self._problems = problems

    def node(self, schema: Any, path: str, depth: int) -> Node | None:
        """The node of one sub-schema; None where it is wrong, with the problem noted."""
        if not isinstance(schema, dict):
            return self._wrong(path, "must be a schema object")
        if depth > _DEEPEST:
            return self._wrong(path, f"is nested deeper than {_DEEPEST} levels, or refers to itself")
        if "$ref" in schema:
            return self._referred(schema, path, depth)
        for keyword in sorted(schema.keys() - _KEYWORDS):
            self._wrong(path, f"keyword {keyword!r} is not in the profile of event contracts")
        if "$defs" in schema and path:
            self._wrong(path, "$defs may only stand at the root")
        personal = self._personal(schema.get("x-batuta"), path) if path else None
        if personal is not None and personal.rule == "drop" and "type" not in schema:
            return Node(path, frozenset(), personal=personal)
        values = self._values(schema, path)
        types = self._types(schema, path, values)
        if types is None:
            return None
        if personal is not None and personal.rule != "drop" and types & {"object", "array"}:
            return self._wrong(path, "an object or array that is personal data can only be dropped")
        self._check_applicable(schema, path, types)
        return Node(
            path=path,
            types=types,
            limits=MappingProxyType(self._limits(schema, path)),
            values=values,
            properties=MappingProxyType(self._properties(schema, path, depth, types)),
            required=self._required(schema, path),
            others=self._others(schema, path, depth),
            items=self._items(schema, path, depth, types),
            personal=personal,
            described=_described(schema),
        )

    def _wrong(self, path: str, message: str) -> None:
        self._problems.at(path, message)

    def _referred(self, schema: Mapping[str, Any], path: str, depth: int) -> Node | None:
        target = schema["$ref"]
        name = target.removeprefix("#/$defs/") if isinstance(target, str) else ""
        if name == target or name not in self._definitions:
            return self._wrong(path, "$ref must name one of the contract's own $defs, as #/$defs/name")
        beside = schema.keys() - {"$ref"} - _ANNOTATIONS
        if beside:
            return self._wrong(path, f"{', '.join(sorted(beside))} cannot stand beside $ref")
        return self.node(self._definitions[name], path, depth + 1)

    def _personal(self, annotation: Any, path: str) -> Personal | None:
        if annotation is None:
            return None
        if not isinstance(annotation, dict) or annotation.keys() - {"personal", "rule", "scope"}:
            return self._wrong(
                path, 'x-batuta must be {"personal": kind, "rule": rule}, with "scope" if need be'
            )
        kind, rule, scope = annotation.get("personal"), annotation.get("rule"), annotation.get("scope", "")
        if kind not in KINDS:
            return self._wrong(path, f"x-batuta.personal must be one of {', '.join(sorted(KINDS))}")
        if rule not in RULES:
            return self._wrong(path, f"x-batuta.rule must be one of {', '.join(sorted(RULES))}")
        if not isinstance(scope, str) or (scope and rule != "hash"):
            return self._wrong(path, "x-batuta.scope must be a text, and goes with the rule hash")
        return Personal(str(kind), str(rule), scope)

    def _values(self, schema: Mapping[str, Any], path: str) -> tuple[Any, ...] | None:
        if "enum" not in schema and "const" not in schema:
            return None
        given = [schema["const"]] if "const" in schema else schema["enum"]
        if "enum" in schema and "const" in schema:
            return self._wrong(path, "enum and const cannot stand together")
        if not isinstance(given, list) or not given or any(isinstance(v, dict | list | float) for v in given):
            return self._wrong(path, "enum and const take texts, integers, booleans and null")
        return tuple(given)

    def _types(
        self, schema: Mapping[str, Any], path: str, values: tuple[Any, ...] | None
    ) -> frozenset[str] | None:
        if "type" not in schema and values is not None:
            return frozenset(_type_of(value) for value in values)
        given = schema.get("type")
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, list) or not names or any(name not in TYPES for name in names):
            return self._wrong(path, f'needs a "type" out of {", ".join(TYPES)}')
        return frozenset(names)

    def _check_applicable(self, schema: Mapping[str, Any], path: str, types: frozenset[str]) -> None:
        for keyword, wanted in _BY_TYPE.items():
            applies = {"number", "integer"} & types if wanted == "number" else {wanted} & types
            if keyword in schema and not applies:
                self._wrong(path, f"{keyword} has no effect: the type is not {wanted}")

    def _limits(self, schema: Mapping[str, Any], path: str) -> dict[str, Any]:
        limits: dict[str, Any] = {}
        for keyword in ("minLength", "maxLength", "minItems", "maxItems"):
            if keyword in schema:
                if type(schema[keyword]) is not int or schema[keyword] < 0:
                    self._wrong(path, f"{keyword} must be a whole number, 0 or more")
                limits[keyword] = schema[keyword]
        for keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if keyword in schema:
                if type(schema[keyword]) not in (int, float):
                    self._wrong(path, f"{keyword} must be a number")
                limits[keyword] = schema[keyword]
        if "pattern" in schema:
            limits["pattern"] = schema["pattern"]
            try:
                re.compile(schema["pattern"])
            except (re.error, TypeError):
                self._wrong(path, "pattern must be a regular expression")
        if "format" in schema:
            limits["format"] = schema["format"]
            if schema["format"] not in FORMATS:
                self._wrong(path, f"format must be one of {', '.join(sorted(FORMATS))}")
        return limits

    def _properties(
        self, schema: Mapping[str, Any], path: str, depth: int, types: frozenset[str]
    ) -> dict[str, Node]:
        if "object" not in types:
            return {}
        given = schema.get("properties", {})
        if not isinstance(given, dict) or not (given or isinstance(schema.get("additionalProperties"), dict)):
            self._wrong(path, "an object needs properties, or additionalProperties with a schema")
            return {}
        nodes = {name: self.node(inner, _join(path, name), depth + 1) for name, inner in given.items()}
        return {name: node for name, node in nodes.items() if node is not None}

    def _required(self, schema: Mapping[str, Any], path: str) -> frozenset[str]:
        given = schema.get("required", [])
        if not isinstance(given, list) or any(not isinstance(name, str) for name in given):
            self._wrong(path, "required must be a list of names")
            return frozenset()
        unknown = sorted(set(given) - set(schema.get("properties", {})))
        if unknown:
            self._wrong(path, f"required names what properties does not have: {', '.join(unknown)}")
        return frozenset(given)

    def _others(self, schema: Mapping[str, Any], path: str, depth: int) -> Node | bool:
        given = schema.get("additionalProperties", True)
        if isinstance(given, bool):
            return given
        return self.node(given, _join(path, "*"), depth + 1) or True

    def _items(self, schema: Mapping[str, Any], path: str, depth: int, types: frozenset[str]) -> Node | None:
        if "array" not in types:
            return None
        if "items" not in schema:
            return self._wrong(path, "an array needs items")
        return self.node(schema["items"], f"{path}[]", depth + 1)


def personal_fields(node: Node) -> dict[str, Personal]:
    """Every place of personal data below a node, by path."""
    found = {node.path: node.personal} if node.personal is not None else {}
    inner: Sequence[Node | None] = (
        *node.properties.values(),
        node.items,
        node.others if isinstance(node.others, Node) else None,
    )
    for child in inner:
        if child is not None:
            found |= personal_fields(child)
    return found


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _described(schema: Mapping[str, Any]) -> str | None:
    description, examples = schema.get("description"), schema.get("examples")
    if isinstance(description, str) and description:
        return description.rstrip(".")
    return f"as {examples[0]}" if isinstance(examples, list) and examples else None


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "string"
