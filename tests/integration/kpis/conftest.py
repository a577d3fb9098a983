"""One warehouse for all KPI tests of a session, since a dbt run takes seconds; they keep apart by product."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import Refreshed
from tests.support import database as databases
from tests.support.kpis_dbt import KpiWarehouse


@pytest.fixture(scope="session")
def kpi_warehouse(database_server: str, refreshed: Refreshed) -> Iterator[KpiWarehouse]:
    """A migrated database on which dbt has run once."""
    with databases.database(database_server, refreshed.template) as url:
        yield KpiWarehouse(url, refreshed.target)
