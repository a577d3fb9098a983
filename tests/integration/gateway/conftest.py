"""One gateway for the tests that only talk to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import database as databases
from tests.support.gateway_server import Running, gateway_settings, running


@pytest.fixture(scope="module")
def gateway(
    database_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A gateway whose time stands still at the moment of receipt."""
    with databases.database(database_server, template_database) as url:
        settings = gateway_settings(tmp_path_factory.mktemp("gateway"), url)
        with running(settings) as started:
            yield started
