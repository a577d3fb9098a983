"""Dagster's storage in PostgreSQL, with connections that are kept.

Dagster's own opens a connection for every query, which costs the server a process each time: hundreds in one run.
Here a process keeps one small pool per database, shared by all instances it opens, and its tables are looked
for once. A kept connection is tried before it is used, so a server that was restarted is not noticed.
"""

import os
from functools import lru_cache
from typing import Any, Final, Self

from dagster import StringSource
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import Engine, create_engine

from batuta_assets.compat import ConfigurableClassData

KEPT_CONNECTIONS: Final = 2
"""Per process. More are opened while they are needed: threads of the daemon never wait for one another."""


class PooledPostgresStorage(DagsterPostgresStorage):
    """Runs, events and schedules in one database, through one pool."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(
            postgres_url, should_autocreate_tables=postgres_url not in _with_tables, inst_data=inst_data
        )
        _with_tables.add(postgres_url)
        for part in (self._run_storage, self._event_log_storage, self._schedule_storage):
            part._engine = _engine(postgres_url)  # noqa: SLF001 - there is no setting for it

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The database's address, as a text or `{env: NAME}`."""
        return {"postgres_url": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Make the storage from `dagster.yaml`."""
        return cls(config_value["postgres_url"], inst_data)


_with_tables: Final[set[str]] = set()
"""Databases this process has seen to hold Dagster's tables."""


@lru_cache(maxsize=8)
def _engine(url: str) -> Engine:
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=KEPT_CONNECTIONS, max_overflow=-1, pool_pre_ping=True
    )
    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
    return engine
