"""Dagster's storage keeps its connections, and does not notice that the server has closed them."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from batuta_assets.storage import IDLE_S
from tests.support.dbt import PROJECT


@pytest.fixture
def home(tmp_path: Path, dagster_storage_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home with the instance file that we ship."""
    shutil.copy(PROJECT / "deploy" / "dagster.yaml", tmp_path)
    monkeypatch.setenv("BATUTA_DAGSTER_PG_URL", dagster_storage_url)
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as found:
        yield found


def backends(url: str) -> list[int]:
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "select pid from pg_stat_activity where datname = current_database() "
            "and backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        return sorted(row[0] for row in rows)


def test_one_connection_serves_query_after_query_of_every_instance(
    instance: dg.DagsterInstance, home: Path, dagster_storage_url: str
) -> None:
    instance.add_dynamic_partitions("product", ["arcsat"])
    before = backends(dagster_storage_url)

    for _ in range(5):
        assert instance.get_runs() == []
        assert instance.get_dynamic_partitions("product") == ["arcsat"]
        assert instance.all_instigator_state() == []
    with dg.DagsterInstance.from_config(str(home)) as second:
        assert second.get_dynamic_partitions("product") == ["arcsat"]

    assert len(before) == 1
    assert backends(dagster_storage_url) == before


def test_connections_that_the_server_closed_are_replaced(
    instance: dg.DagsterInstance, dagster_storage_url: str
) -> None:
    instance.add_dynamic_partitions("product", ["arcsat"])
    kept = backends(dagster_storage_url)
    with psycopg.connect(dagster_storage_url, autocommit=True) as conn:
        for pid in kept:
            conn.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    time.sleep(IDLE_S)

    assert instance.get_dynamic_partitions("product") == ["arcsat"]
