"""Reading a plan of PostgreSQL's, as `explain (format json)` gives it."""

from collections.abc import Iterator
from typing import Any


def plan_nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield node
    for child in node.get("Plans", ()):
        yield from plan_nodes(child)


def reached_by_index(node: dict[str, Any]) -> str:
    """The condition by which an index finds the rows of a scan; empty where all are read."""
    return node.get("Index Cond") or node.get("Recheck Cond") or ""
