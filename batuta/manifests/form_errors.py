"""Turns what the models say of a document into sentences with a place: unknown field, missing, wrong type."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from batuta.manifests import fields
from batuta.manifests.models import API_VERSION, FORMS, Manifest
from batuta.manifests.problems import FieldPath, Problem, closest, dotted, unknown
from batuta.manifests.schemas import inlined_schema
from batuta.manifests.yaml_source import Source, YamlDocument

_PATTERN_MESSAGES: Mapping[str, str] = {
    fields.NAME_PATTERN: "a name has lower case letters, digits and hyphens, no hyphen at its ends",
    fields.SKILL_PATTERN: "write it in lower case with dots, as in sigma.finance.reconcile",
    fields.SOURCE_PATTERN: "write it as connector/dataset, as in shopify/orders",
    fields.EVENT_PATTERN: "write it as in com.shopify.orders.created, or a prefix as in com.shopify.*",
    fields.ENVIRONMENT_PATTERN: "the name of an environment variable (A-Z, 0-9, _), never the secret itself",
    fields.FILE_NAME_PATTERN: "the name of a file in the secrets folder, never the secret itself",
}
_TYPE_MESSAGES: Mapping[str, str] = {
    "string_type": "must be a text; write it in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "date_type": "must be a day such as 2025-11-12",
    "date_parsing": "must be a day such as 2025-11-12",
    "date_from_datetime_parsing": "must be a day such as 2025-11-12",
    "date_from_datetime_inexact": "must be a day such as 2025-11-12",
    "time_delta_type": "must be a duration such as P1D or PT6H",
    "time_delta_parsing": "must be a duration such as P1D or PT6H",
    "int_parsing_size": "is too large a number",
    "finite_number": "must be a finite number",
}
_COMPARISONS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def read_form(document: YamlDocument) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """The manifest a document holds, or everything that is wrong with its form."""
    value, source = document.value, document.source
    if not isinstance(value, dict):
        return None, (_at_value(source, (), "a manifest has the fields apiVersion, kind, metadata and spec"),)
    problems = _heading_problems(value, source)
    form = FORMS.get(value["kind"]) if isinstance(value.get("kind"), str) else None
    if form is None or problems:
        return None, tuple(problems)
    try:
        return form.model_validate(value), ()
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, _form_problems(str(value["kind"]), value, source, details)


def settings_problems(
    settings: Mapping[str, Any], form: type[BaseModel], source: Source, path: FieldPath
) -> tuple[BaseModel | None, tuple[Problem, ...]]:
    """Settings read by their form, or everything that is wrong with them; `path` is where they stand."""
    try:
        return form.model_validate(settings), ()
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    problems: list[Problem] = []
    properties = form.model_json_schema(by_alias=True).get("properties", {})
    known = tuple(properties)
    for detail in details:
        found = _existing(settings, detail["loc"])
        place: FieldPath = (*path, *found)
        if detail["type"] == "extra_forbidden":
            suggestion = closest(str(found[-1]), known) if len(found) == 1 else None
            names = f"; there are: {', '.join(known)}" if known and len(found) == 1 else ""
            message = (
                f'unknown setting; did you mean "{suggestion}"?' if suggestion else f"unknown setting{names}"
            )
            problems.append(_at_key(source, place, message))
        elif detail["type"] == "missing":
            field = (*place, str(detail["loc"][-1]))
            problems.append(_at_key(source, place, "missing", field=dotted(field)))
        else:
            value = _value_at(settings, found)
            message = _sentence(detail, value).removeprefix("Value error, ")
            if detail["type"] == "string_pattern_mismatch" and len(found) == 1:
                message += _meaning(properties.get(found[0], {}))
            problems.append((_at_key if value is None else _at_value)(source, place, message))
    return None, tuple(dict.fromkeys(problems))


def _meaning(schema: Mapping[str, Any]) -> str:
    description = schema.get("description")
    return f" ({description.rstrip('.')})" if description else ""


def _heading_problems(value: Mapping[str, Any], source: Source) -> list[Problem]:
    known = ("apiVersion", "kind", "metadata", "spec")
    problems: list[Problem] = []
    misspelt = {closest(key, known): key for key in value if key not in known}
    for name, expected in (("apiVersion", (API_VERSION,)), ("kind", tuple(FORMS))):
        if name not in value:
            wrong = misspelt.get(name)
            if wrong is not None:
                problems.append(_at_key(source, (wrong,), f'unknown field; did you mean "{name}"?'))
            else:
                problems.append(
                    _at_value(source, (), f"missing; write {name}: {' or '.join(expected)}", field=name)
                )
        elif not isinstance(value[name], str):
            problems.append(_at_value(source, (name,), "must be a text"))
        elif name == "kind" and value[name] not in expected:
            problems.append(_at_value(source, (name,), unknown("kind", value[name], expected)))
        elif name == "apiVersion" and value[name] not in expected:
            message = f'"{value[name][:100]}" is not {API_VERSION}; other YAML stays out of this folder'
            return [_at_value(source, (name,), message)]
    return problems


def _form_problems(
    kind: str, value: Mapping[str, Any], source: Source, details: Sequence[ErrorDetails]
) -> tuple[Problem, ...]:
    problems: list[Problem] = []
    meant: set[FieldPath] = set()
    for detail in details:
        if detail["type"] == "extra_forbidden":
            path = _existing(value, detail["loc"])
            suggestion = closest(str(path[-1]), _field_names(kind, path[:-1]))
            if suggestion is not None:
                meant.add((*path[:-1], suggestion))
            problems.append(_at_key(source, path, _unknown_field(path, suggestion)))
    for detail in details:
        path = _existing(value, detail["loc"])
        if detail["type"] == "missing":
            field = (*path, str(detail["loc"][-1]))
            if field not in meant:
                problems.append(_at_key(source, path, "missing", field=dotted(field)))
        elif detail["type"] == "too_short" and _value_at(value, path):
            continue  # its entries are wrong, and reported, but there are some
        elif detail["type"] != "extra_forbidden":
            found = _value_at(value, path)
            place = _at_key if found is None else _at_value
            problems.append(place(source, path, _sentence(detail, found)))
    return tuple(dict.fromkeys(problems))


def _unknown_field(path: FieldPath, suggestion: str | None) -> str:
    if "connectors" in path and fields.reads_like_a_secret(str(path[-1])) and suggestion != "secretRefs":
        return "unknown field; secrets are given by reference: secretRefs: [{env: NAME}] or [{file: NAME}]"
    return f'unknown field; did you mean "{suggestion}"?' if suggestion else "unknown field"


def _sentence(detail: ErrorDetails, value: Any) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if value is None and kind in _TYPE_MESSAGES:
        return "has no value"
    if kind in _TYPE_MESSAGES:
        return _TYPE_MESSAGES[kind]
    if kind in _COMPARISONS:
        limit, words = _COMPARISONS[kind]
        return f"must be {words} {context.get(limit)}"
    if kind == "string_pattern_mismatch":
        pattern = context.get("pattern", "")
        return _PATTERN_MESSAGES.get(pattern, f"does not have the form {pattern}")
    if kind == "literal_error":
        allowed = [
            part.strip("'") for part in str(context.get("expected", "")).replace(" or ", ", ").split(", ")
        ]
        suggestion = closest(value, allowed) if isinstance(value, str) else None
        return f"must be {' or '.join(allowed)}" + (f'; did you mean "{suggestion}"?' if suggestion else "")
    if kind == "too_short":
        return "must not be empty"
    if kind == "too_long":
        return f"has more than {context.get('max_length')} entries"
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "string_too_long":
        return f"is longer than {context.get('max_length')} characters"
    return detail["msg"]


def _existing(value: Any, loc: Sequence[str | int]) -> FieldPath:
    """The parts of an error's location that are in the document; others name types or what is missing."""
    path: list[str | int] = []
    for part in loc:
        keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
        if part not in keys:
            continue
        value = _value_at(value, (part,))
        path.append(part)
    return tuple(path)


def _value_at(value: Any, path: FieldPath) -> Any:
    for part in path:
        value = value[part]
    return value


@cache
def _schema(kind: str) -> Mapping[str, Any]:
    return inlined_schema(FORMS[kind])


def _field_names(kind: str, path: FieldPath) -> tuple[str, ...]:
    schema: Mapping[str, Any] = _schema(kind)
    for part in path:
        schema = (
            schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
        )
    return tuple(schema.get("properties", {}))


def _at_value(source: Source, path: FieldPath, message: str, *, field: str | None = None) -> Problem:
    return Problem(source.value_position(path), dotted(path) if field is None else field, message)


def _at_key(source: Source, path: FieldPath, message: str, *, field: str | None = None) -> Problem:
    return Problem(source.key_position(path), dotted(path) if field is None else field, message)
