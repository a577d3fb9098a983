"""One warehouse for all KPI tests of a session, since a dbt run takes seconds; they keep apart by product."""

from collections.abc import Iterator

import pytest

from tests.support import database as databases
from tests.support.kpis_dbt import KpiWarehouse


@pytest.fixture(scope="session")
def kpi_warehouse(
    database_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KpiWarehouse]:
    """A migrated database on which dbt has run once."""
    with databases.database(database_server, template_database) as url:
        warehouse = KpiWarehouse(url, tmp_path_factory.mktemp("dbt"))
        warehouse.run("seed")
        warehouse.refresh()
        yield warehouse
