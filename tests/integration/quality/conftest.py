"""The example company, of which every test gets a copy that it may break, and the shipped contracts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batuta.quality.contract import DataContract
from batuta.quality.reading import enforced, load
from batuta.settings import Settings
from batuta.warehouse.connection import Connection, Role, connect
from batuta_assets.runtime import Runtime
from tests.support.dbt import PROJECT

NOW = datetime(2025, 11, 13, 9, 0, tzinfo=UTC)


class TestRuntime(Runtime):
    """A run's surroundings with a database of the test's own."""

    __test__ = False
    url: str
    home: str
    hours: int = 0
    """Since `NOW`."""

    def settings(self) -> Settings:
        return Settings(project=PROJECT, home=Path(self.home))

    def database_url(self) -> str:
        return self.url

    def connect(self, role: Role) -> Connection:
        return connect(self.url, role)

    def now(self) -> datetime:
        return NOW + timedelta(hours=self.hours)


@pytest.fixture
def company(example_url: str) -> str:
    """Address of a copy of the example company's warehouse."""
    return example_url


@pytest.fixture(scope="session")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataContract]:
    """The shipped contracts by name."""
    cache = tmp_path_factory.mktemp("contracts") / "contracts.json"
    return {c.name: c for c in enforced(load([PROJECT / "dbt_project" / "contracts"], cache))}


WITHOUT_KEYS = """
do $$
declare
    item regclass;
begin
    for item in
        select indexrelid::regclass from pg_index as i join pg_class as c on c.oid = i.indrelid
        where i.indisunique and c.relnamespace = 'batuta_marts'::regnamespace
    loop
        execute format('drop index %s', item);
    end loop;
end
$$
"""
"""Takes the unique indexes away that would keep a test from doubling rows."""


def spoil(url: str, statement: str, *values: object) -> None:
    """Change the marts behind dbt's back, as the owner."""
    with connect(url, "owner") as conn:
        conn.execute(statement.encode(), values or None)
