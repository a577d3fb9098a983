"""Reading KPI values from a database that dbt has not run on."""

import pytest

from batuta.kpis import KpisNotBuilt, current_kpis
from batuta.warehouse.connection import connect


def test_before_the_first_refresh_it_says_what_to_run(database_url: str) -> None:
    with connect(database_url, "reader") as conn, pytest.raises(KpisNotBuilt) as caught:
        current_kpis(conn, "casa")
    assert "batuta demo" in (caught.value.hint or "")
