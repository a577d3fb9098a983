"""The example company, landed and refreshed once; every test gets a copy that it may break."""

from collections.abc import Iterator

import pytest

from batuta.quality.contract import DataContract
from batuta.quality.reading import enforced, load
from batuta.warehouse.connection import connect, database_name
from examples.arcsat.generate import generate
from tests.support import database as databases
from tests.support.dbt import PROJECT
from tests.support.example import KEYS, land_example, register, run_models


@pytest.fixture(scope="session")
def company_template(
    database_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Name of a database with the example company's marts."""
    folder = tmp_path_factory.mktemp("company")
    with databases.database(database_server, template_database) as url:
        manifest = generate(folder / "deliveries", KEYS, 7, "small")
        register(url, manifest)
        land_example(url, folder / "home", folder / "deliveries", manifest)
        run_models(url, folder / "dbt")
        databases.close(database_server, database_name(url))
        yield database_name(url)


@pytest.fixture
def company(database_server: str, company_template: str) -> Iterator[str]:
    """Address of a copy of the example company's warehouse."""
    with databases.database(database_server, company_template) as url:
        yield url


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
