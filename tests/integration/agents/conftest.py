"""Live tables of exact rows for the skills; one database for all, emptied before each test."""

from collections.abc import Iterator

import pytest

from tests.support import database as databases
from tests.support.agents_live import Live, live_database


@pytest.fixture(scope="session")
def live_session(database_server: str, template_database: str) -> Iterator[Live]:
    """A migrated database with live tables and one product."""
    with databases.database(database_server, template_database) as url:
        yield live_database(url)


@pytest.fixture
def live(live_session: Live) -> Live:
    """Empty live tables and no recorded runs."""
    live_session.clear()
    return live_session
