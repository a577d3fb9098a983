"""JSON Schemas of the manifests, for editors and, inlined, for Kubernetes."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from batuta.manifests.models import FORMS, Manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _NoTitles(GenerateJsonSchema):
    """Pydantic's schemas without the titles it makes of field names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def editor_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind of manifest, as an editor reads it."""
    schema = FORMS[kind].model_json_schema(schema_generator=_NoTitles, mode=_MODE)
    return {"$schema": DIALECT, **schema}


def editor_schema_of_all() -> dict[str, Any]:
    """The JSON Schema of any manifest: an editor that maps a whole folder needs only this one."""
    definitions: dict[str, Any] = {}
    for kind in FORMS:
        schema = FORMS[kind].model_json_schema(schema_generator=_NoTitles, mode=_MODE)
        definitions |= schema.pop("$defs", {})
        definitions[kind] = schema
    return {
        "$schema": DIALECT,
        "title": "Manifest",
        "description": "A BATUTA manifest.",
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in FORMS],
        "$defs": dict(sorted(definitions.items())),
    }


def inlined_schema(form: type[Manifest]) -> dict[str, Any]:
    """The JSON Schema of a form with every `$ref` written out."""
    schema = form.model_json_schema(schema_generator=_NoTitles, mode=_MODE)
    definitions: Mapping[str, Any] = schema.pop("$defs", {})
    return _inline(schema, definitions)


def _inline(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    rest = {key: _inline(value, definitions) for key, value in node.items() if key != "$ref"}
    if "$ref" in node:
        target = _inline(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
        return {**target, **rest}
    return rest


_MODE: JsonSchemaMode = "validation"
