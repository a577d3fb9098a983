"""A due run that would only repeat what is published is known; anything new makes it due again."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from batuta.warehouse.connection import connect
from batuta_assets.published import Published, data_versions, definition_of, record_published, unchanged
from sensors.due import DueRun
from tests.support.score import company, log_batch, pipeline, product

DAY = date(2025, 11, 12)
DUE = (DueRun("a-review", "a", DAY), DueRun("b-review", "b", DAY))
GRAPH = company([product("a"), product("b")], [pipeline("a-review", ["a"]), pipeline("b-review", ["b"])])
CREATED = "com.shopify.orders.created"


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database_url, "owner") as connection:
        yield connection


def publish(conn: psycopg.Connection[Any], name: str, batch: int, day: date = DAY, models: str = "m") -> None:
    definition = definition_of(GRAPH, models, ())(f"{name}-review", name)
    record_published(conn, f"{name}-review", name, Published(day, batch, definition))


def repeated(conn: psycopg.Connection[Any], models: str = "m") -> set[str]:
    return {run.product for run in unchanged(conn, DUE, definition_of(GRAPH, models, ()))}


def test_the_first_run_of_a_day_goes_out_though_nothing_came(conn: psycopg.Connection[Any]) -> None:
    batch = log_batch(conn, [("a", CREATED, "1")])
    assert repeated(conn) == set()
    publish(conn, "a", batch, DAY - timedelta(days=1))
    assert repeated(conn) == set()


def test_only_products_for_which_something_came_run_again(conn: psycopg.Connection[Any]) -> None:
    batch = log_batch(conn, [("a", CREATED, "1"), ("b", CREATED, "2")])
    publish(conn, "a", batch)
    publish(conn, "b", batch)
    assert repeated(conn) == {"a", "b"}
    later = log_batch(conn, [("b", CREATED, "3")])
    assert repeated(conn) == {"a"}
    publish(conn, "b", later)
    assert repeated(conn) == {"a", "b"}
    assert data_versions(conn, 0) == {"a": batch, "b": later}
    assert data_versions(conn, batch) == {"b": later}
    assert data_versions(conn, 0, batch) == {"a": batch, "b": batch}


def test_other_definitions_make_it_due_again(conn: psycopg.Connection[Any]) -> None:
    publish(conn, "a", log_batch(conn, [("a", CREATED, "1")]))
    assert repeated(conn) == {"a"}
    assert repeated(conn, models="other") == set()


def test_a_report_on_an_earlier_day_does_not_undo_what_is_kept_of_today(
    conn: psycopg.Connection[Any],
) -> None:
    batch = log_batch(conn, [("a", CREATED, "1")])
    publish(conn, "a", batch)
    publish(conn, "a", batch, DAY - timedelta(days=30))
    assert repeated(conn) == {"a"}


def test_a_definition_is_its_pipeline_product_agents_skills_models_and_nothing_of_others() -> None:
    of = definition_of(GRAPH, "m", ())
    assert of("a-review", "a") == definition_of(GRAPH, "m", ())("a-review", "a")
    changed = company(
        [product("a"), product("b", "America/New_York")],
        [pipeline("a-review", ["a"]), pipeline("b-review", ["b"])],
    )
    other = definition_of(changed, "m", ())
    assert of("a-review", "a") == other("a-review", "a")
    assert of("b-review", "b") != other("b-review", "b")
