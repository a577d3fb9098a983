"""Of which columns a column is made, read out of SQL as dbt compiles it."""

from pathlib import Path
from typing import Any

import pytest

from batuta_assets.column_lineage import FILE, LineageError, column_lineage, read_lineage, write_lineage

SOURCE = {
    "resource_type": "source",
    "database": "d",
    "schema": "batuta",
    "identifier": "events",
    "name": "orders",
    "columns": {name: {} for name in ("product", "id", "data", "connector")},
}
STAGING = """
select events.product, events.id as event_id, fields.id as order_id, fields.customer ->> 'id' as customer_id
from "d"."batuta"."events" as events
cross join lateral jsonb_to_record(events.data) as fields (id text, customer jsonb)
where events.connector = 'shopify'
"""


def model(name: str, sql: str, columns: str, *below: str) -> dict[str, Any]:
    return {
        "resource_type": "model",
        "database": "d",
        "schema": "s",
        "alias": name,
        "name": name,
        "columns": {column: {} for column in columns.split()},
        "depends_on": {"nodes": list(below)},
        "compiled_code": sql,
    }


def lineage(*models: dict[str, Any]) -> tuple[dict[str, dict[str, set[str]]], list[str]]:
    """Origins as `model.column`, and what was said."""
    said: list[str] = []
    document = {"sources": {"source.orders": SOURCE}, "nodes": {f"model.{m['name']}": m for m in models}}
    found = column_lineage(document, said.append)
    plain = {
        key: {c: {f"{m.split('.')[1]}.{o}" for m, o in origins} for c, origins in columns.items()}
        for key, columns in found.items()
    }
    return plain, said


STG = model("stg", STAGING, "product event_id order_id customer_id", "source.orders")


def test_fields_taken_out_of_json_come_from_the_field_of_the_payload() -> None:
    found, said = lineage(STG)
    assert found["model.stg"] == {
        "product": {"orders.product"},
        "event_id": {"orders.id"},
        "order_id": {"orders.id"},
        "customer_id": {"orders.customer"},
    }
    assert said == []


@pytest.mark.parametrize(
    ("sql", "origins"),
    [
        pytest.param('select a.order_id as x from "d"."s"."stg" as a', {"stg.order_id"}, id="renamed"),
        pytest.param(
            'with a as (select * from "d"."s"."stg"), b as (select a.*, coalesce(order_id, event_id) as x from a) '
            "select x from b",
            {"stg.order_id", "stg.event_id"},
            id="through-ctes-and-stars",
        ),
        pytest.param(
            'select order_id as x from "d"."s"."stg" union all select event_id from "d"."s"."stg"',
            {"stg.order_id", "stg.event_id"},
            id="both-arms-of-a-union",
        ),
        pytest.param(
            'select (select count(i.order_id) from "d"."s"."stg" as i where i.product = o.product) as x '
            'from "d"."s"."stg" as o',
            {"stg.order_id"},
            id="a-subquery-but-not-its-condition",
        ),
        pytest.param("select 1 as x", set(), id="a-constant-has-none"),
        pytest.param(
            'with recursive n as (select order_id as x from "d"."s"."stg" union all select n.x from n) select x from n',
            {"stg.order_id"},
            id="recursion-ends",
        ),
        pytest.param(
            'select a.order_id as x from "d"."s"."stg" as a inner join "d"."elsewhere"."t" as b using (product)',
            {"stg.order_id"},
            id="a-relation-dbt-does-not-know",
        ),
    ],
)
def test_a_column_leads_to_the_columns_it_is_computed_from(sql: str, origins: set[str]) -> None:
    found, said = lineage(STG, model("m", sql, "x", "model.stg"))
    assert found["model.m"] == {"x": origins}
    assert said == []


def test_a_model_that_cannot_be_followed_is_named_and_the_others_are_there() -> None:
    found, said = lineage(STG, model("broken", "select from where )", "x", "model.stg"))
    assert set(found) == {"model.stg"}
    assert len(said) == 1
    assert "broken" in said[0]


def test_what_is_kept_beside_a_manifest_is_read_again(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    assert read_lineage(manifest) == {}
    write_lineage(manifest, {"model.m": {"x": (("model.stg", "order_id"),)}})
    assert read_lineage(manifest) == {"model.m": {"x": (("model.stg", "order_id"),)}}
    (tmp_path / FILE).write_text("[1]", "utf-8")
    with pytest.raises(LineageError, match="cannot be read"):
        read_lineage(manifest)
