"""Fixtures for every test: a clean environment, a home of its own, and fresh migrated databases."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from batuta.settings import Settings, get_settings
from batuta.warehouse.connection import dagster_url, database_name
from batuta.warehouse.migrate import ensure_database_exists
from tests.support import database as databases

# A busy machine is slow, which no test is about.
hypothesis_settings.register_profile("batuta", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("batuta")

# Dagster lets SIGTERM do what SIGINT does; started in the background, where SIGINT is ignored, no child would end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

KEPT = ("BATUTA_TEST_", "BATUTA_CACHE")


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """Address of the database server of this session."""
    with databases.server(dict(os.environ)) as url:
        yield url


@pytest.fixture(scope="session")
def template_database(database_server: str) -> Iterator[str]:
    """Name of the migrated database that `database_url` is copied from."""
    with databases.template(database_server) as name:
        yield name


@pytest.fixture
def database_url(database_server: str, template_database: str) -> Iterator[str]:
    """Address of a fresh, migrated database."""
    with databases.database(database_server, template_database) as url:
        yield url


@pytest.fixture
def empty_database_url(database_server: str) -> Iterator[str]:
    """Address of a fresh database without any schema."""
    with databases.database(database_server, None) as url:
        yield url


@pytest.fixture
def dagster_storage_url(database_url: str) -> str:
    """Address of a fresh, empty database for Dagster's storage, beside `database_url`."""
    url = dagster_url(database_url)
    ensure_database_exists(database_url, database_name(url))
    return url


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the caller's shell reaches a test, and no test reaches the caller's home."""
    for name in list(os.environ):
        if name.startswith("BATUTA_") and not name.startswith(KEPT):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BATUTA_HOME", str(tmp_path / "home"))


@pytest.fixture
def settings() -> Settings:
    """Settings of a home of this test's own."""
    return get_settings()
