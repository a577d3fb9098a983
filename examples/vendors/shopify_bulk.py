"""Bulk operations of the Shopify stand-in: what may be asked, and the file of JSON lines it gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    parse,
)

Json = dict[str, Any]

IN_A_LIST = "Queries that contain a connection field within a list field are not currently supported."


def refusal(schema: GraphQLSchema, query: str) -> str | None:
    """Why Shopify does not run this query in bulk, None if it does."""
    try:
        document = parse(query)
    except GraphQLError as error:
        return str(error.message)
    operation: Any = document.definitions[0]
    found: list[tuple[int, bool]] = []
    _walk(schema.query_type, operation.selection_set, 0, False, found)
    if not found:
        return "Bulk queries must contain at least one connection."
    if any(in_list for _, in_list in found):
        return IN_A_LIST
    if len(found) > 5:
        return "Bulk queries cannot contain more than 5 connections."
    if max(depth for depth, _ in found) > 2:
        return "Bulk queries cannot contain connections with a nesting depth greater than 2."
    return None


def _walk(
    parent: Any, selections: SelectionSetNode | None, depth: int, in_list: bool, found: list[tuple[int, bool]]
) -> None:
    """Every connection below a selection, with how deep it is nested and whether a list is above it."""
    for node in selections.selections if selections is not None else ():
        if isinstance(node, InlineFragmentNode):
            _walk(parent, node.selection_set, depth, in_list, found)
        if not isinstance(node, FieldNode) or not isinstance(parent, GraphQLObjectType):
            continue
        field: Any = parent.fields[node.name.value].type
        is_list = False
        while isinstance(field, GraphQLNonNull | GraphQLList):
            is_list = is_list or isinstance(field, GraphQLList)
            field = field.of_type
        is_connection = field.name.endswith("Connection")
        if is_connection:
            found.append((depth + 1, in_list))
        through_edges = parent.name.endswith("Connection")
        _walk(
            field,
            node.selection_set,
            depth + is_connection,
            in_list or (is_list and not through_edges),
            found,
        )


def lines_of(data: Json) -> tuple[list[bytes], int]:
    """The lines of a result, a record's members after all records, and how many records there are."""
    (connection,) = data.values()
    roots: list[Json] = []
    members: list[Json] = []
    for edge in connection["edges"]:
        node: Json = {}
        for name, value in edge["node"].items():
            if isinstance(value, dict) and "edges" in value:
                members += _members(value, edge["node"]["id"])
            else:
                node[name] = value
        roots.append(node)
    # Not grouped: a member may stand anywhere, also before its parent's neighbours.
    mixed = roots[:1] + members[::-1] + roots[1:]
    return [json.dumps(item, ensure_ascii=False).encode() for item in mixed], len(roots)


def _members(connection: Json, parent: str) -> Iterator[Json]:
    for edge in connection["edges"]:
        yield edge["node"] | {"__parentId": parent}
