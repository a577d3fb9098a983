"""A refresh leaves out the views that stand, and only those; a small project of its own keeps it quick."""

import shutil
from pathlib import Path

import psycopg
import pytest

from batuta.warehouse.connection import connect
from batuta_assets.dbt_manifest import DbtManifest, read_manifest
from batuta_assets.dbt_refresh import LEFT, models_in, refresh
from batuta_assets.dbt_run import NodeResult, ensure_manifest
from batuta_assets.locations import Locations
from tests.support.dbt import PROJECT

OWN = """
name: batuta
profile: batuta
flags: {send_anonymous_usage_stats: false}
models: {batuta: {+schema: live}}
"""
MODELS = {
    "counted.sql": "{{ config(materialized='incremental', unique_key='number') }} "
    "select 1 / (1 - count(*)) as number from batuta.batches",
    "shown.sql": "select number from {{ ref('counted') }}",
    "beside.sql": "select 2 as number",
    "taken.sql": "{{ config(materialized='incremental', unique_key='number') }} select * from {{ ref('beside') }}",
    "of_platform.sql": "{{ config(tags=['platform']) }} select 3 as number",
    "_models.yml": "models: [{name: shown, columns: [{name: number, data_tests: [not_null]}]}]",
}


class House:
    """A warehouse and the project that fills it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.project = url, folder / "dbt_project"
        self.found = Locations(folder / "none.json", self.project, folder / "dbt")
        (self.project / "models").mkdir(parents=True)
        (self.project / "dbt_project.yml").write_text(OWN)
        for name, text in MODELS.items():
            self.write(name, text)
        for name in ("profiles.yml", "selectors.yml"):
            shutil.copy(PROJECT / "dbt_project" / name, self.project)
        (self.project / "macros").mkdir()
        for name in ("standing_view.sql", "schema_name.sql"):
            shutil.copy(PROJECT / "dbt_project" / "macros" / name, self.project / "macros")

    def write(self, name: str, text: str) -> None:
        """A file of the models."""
        (self.project / "models" / name).write_text(text)

    def manifest(self) -> DbtManifest:
        """What dbt makes of the project."""
        return read_manifest(ensure_manifest(self.found, log=print))

    def refresh(self) -> dict[str, NodeResult]:
        """Results by the node's name; those of views that were left out say so."""
        manifest = self.manifest()
        with connect(self.url, "writer") as conn:
            results = refresh(conn, self.found, self.url, manifest, "marts", log=print)
        return {manifest.node_name(result.unique_id): result for result in results}


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> House:
    return House(database_url, tmp_path)


def left(results: dict[str, NodeResult]) -> set[str]:
    """The views that a refresh left out."""
    return {name for name, result in results.items() if result.message == LEFT}


def test_views_that_stand_are_left_and_the_tests_that_look_at_them_are_not(house: House) -> None:
    first, second = house.refresh(), house.refresh()
    assert left(first) == set()
    assert left(second) == {"shown", "beside"}
    assert first.keys() == second.keys() == {"counted", "shown", "beside", "taken", "not_null_shown_number"}
    assert all(result.ok for result in (*first.values(), *second.values()))
    assert second["not_null_shown_number"].status == "pass"
    # Dagster takes what a step made only in this order.
    told = list(second)
    assert told.index("counted") < told.index("shown")
    assert told.index("beside") < told.index("taken")


def test_a_view_is_made_again_where_it_was_dropped_or_its_text_has_changed(house: House) -> None:
    house.refresh()
    with psycopg.connect(house.url) as conn:
        conn.execute("drop view batuta_live.beside")
    assert left(house.refresh()) == set()
    assert left(house.refresh()) == {"shown", "beside"}

    house.write("beside.sql", "select 5 as number")
    assert left(house.refresh()) == set()
    with psycopg.connect(house.url) as conn:
        assert conn.execute("select number from batuta_live.beside").fetchone() == (5,)


def test_a_failure_holds_up_the_views_below_it_and_no_other(house: House) -> None:
    house.refresh()
    with connect(house.url, "writer") as conn:
        conn.execute("insert into batuta.batches values (1, now(), 'file', 0)")
    results = house.refresh()
    assert results["counted"].status == "error"
    assert (results["shown"].status, results["beside"].status) == ("skipped", "success")
    assert left(results) == {"shown", "beside"}


def test_beside_a_table_that_is_made_anew_each_time_no_view_is_left(house: House) -> None:
    house.write("counted.sql", "{{ config(materialized='table') }} select 1 as number")
    house.refresh()
    again = house.refresh()
    assert left(again) == set()
    assert all(result.ok for result in again.values())


def test_the_platform_has_a_scope_of_its_own(house: House) -> None:
    manifest = house.manifest()
    assert [model.name for model in models_in(manifest, "platform").values()] == ["of_platform"]
    with connect(house.url, "writer") as conn:
        for stands in (False, True):
            results = refresh(conn, house.found, house.url, manifest, "platform", log=print)
            conn.commit()
            assert [manifest.node_name(result.unique_id) for result in results] == ["of_platform"]
            assert results[0].ok
            assert (results[0].message == LEFT) == stands
