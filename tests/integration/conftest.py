"""Databases on which dbt has run: made once in a session, since a run takes half a minute, and copied from there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from batuta.warehouse.connection import database_name
from examples.arcsat.generate import Simulation, generate, simulate
from tests.support import database as databases
from tests.support.example import KEYS, land_example, register
from tests.support.kpis_dbt import TABLES, KpiWarehouse


@dataclass(frozen=True)
class Refreshed:
    """Name of a database to copy whose models are all built, of nothing, and the folder that spares dbt the parsing."""

    template: str
    target: Path


@dataclass(frozen=True)
class Company:
    """Name of a database to copy, with the example company landed and refreshed, and the truth it was made from."""

    template: str
    simulation: Simulation


@pytest.fixture(scope="session")
def refreshed(
    database_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Refreshed]:
    """All models and seeds, before anything has landed."""
    target = tmp_path_factory.mktemp("dbt")
    with databases.database(database_server, template_database) as url:
        warehouse = KpiWarehouse(url, target)
        warehouse.run("seed")
        warehouse.refresh()
        databases.close(database_server, database_name(url))
        yield Refreshed(database_name(url), target)


@pytest.fixture(scope="session")
def example(
    database_server: str, refreshed: Refreshed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Company]:
    """The example company at small scale."""
    folder, simulation = tmp_path_factory.mktemp("company"), simulate(7, "small")
    with databases.database(database_server, refreshed.template) as url:
        manifest = generate(folder / "deliveries", KEYS, 7, "small", simulation)
        register(url, manifest)
        land_example(url, folder / "home", folder / "deliveries", manifest)
        KpiWarehouse(url, refreshed.target).refresh(*TABLES)
        databases.close(database_server, database_name(url))
        yield Company(database_name(url), simulation)


@pytest.fixture
def example_url(database_server: str, example: Company) -> Iterator[str]:
    """Address of a copy of the example company's warehouse."""
    with databases.database(database_server, example.template) as url:
        yield url
