"""Begins a contract from what dbt declares of a relation: everything a machine can know; people fill in the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batuta.quality.drift import Built
from batuta.quality.reading import ASKED, logical_type


def draft(relation: Built, owner: str) -> str:
    """The text of a contract file for a relation, its columns, key and rules as dbt has them.

    What only people know is marked with `FILL IN`; `batuta contracts check` refuses it until it is said.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.compat import StringIO

    name = relation.relation.partition(".")[2]
    document: dict[str, Any] = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"batuta.{name}",
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "domain": name.removeprefix("fct_").removeprefix("dim_"),
        "description": {"purpose": f"{ASKED}: what the data are for."},
        "team": {"name": owner},
        "slaProperties": [{"property": "freshness", "value": 2, "unit": "h"}],
        "customProperties": [
            {
                "property": "breaking",
                "value": {
                    "usedBy": [ASKED],
                    "noticeDays": 30,
                    "whatToDo": f"{ASKED}: what to do before it changes.",
                },
            }
        ],
        "schema": [
            {
                "name": name,
                "physicalName": relation.relation,
                "physicalType": "table",
                "businessName": ASKED,
                "dataGranularityDescription": f"One row per {', '.join(relation.key) or ASKED}.",
                "properties": list(_columns(relation)),
            }
        ],
    }
    yaml = YAML()
    yaml.width = 118
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def _columns(relation: Built) -> Iterator[dict[str, Any]]:
    for column in relation.columns:
        described: dict[str, Any] = {
            "name": column.name,
            "logicalType": logical_type(column.type) or ASKED,
            "physicalType": column.type,
            "description": " ".join(column.description.split()),
        }
        if column.name in relation.key:
            described |= {"primaryKey": True, "primaryKeyPosition": relation.key.index(column.name) + 1}
        elif column.name in relation.not_null:
            described["required"] = True
        if column.name in relation.values:
            described["quality"] = [
                {
                    "name": f"{column.name}_values",
                    "metric": "invalidValues",
                    "arguments": {"validValues": list(relation.values[column.name])},
                    "mustBe": 0,
                }
            ]
        yield described
