"""Dagster's storage in PostgreSQL, with connections that are kept, and with what one transaction holds together.

Dagster's own opens a connection for every query, which costs the server a process each time: hundreds in one run.
Here a process keeps one small pool per database, shared by all instances it opens, and its tables and columns
are looked for once. A connection that has lain idle is tried before it is used, so a server that was restarted
is not noticed.

A run is stored whole or not at all, and only one for each trigger, whoever asks for it. The events that
announce a run's assets are one transaction, not one each.
"""

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any, Final, Self
from uuid import UUID

from dagster import DagsterRun, StringSource
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DisconnectionError

from batuta_assets.compat import ConfigurableClassData, DagsterRunAlreadyExists, EventLogEntry
from sensors.run_tags import TRIGGER

KEPT_CONNECTIONS: Final = 2
"""Per process. More are opened while they are needed: threads of the daemon never wait for one another."""
IDLE_S: Final = 0.2
"""What has lain idle for as long is tried."""
SUBMITTING: Final = 0x6261_7473_7562_6D74
"""Held while a run gets its place, so that two never take the same one; "batsubmt"."""


class PooledPostgresStorage(DagsterPostgresStorage):
    """Runs, events and schedules in one database, through one pool."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(
            postgres_url, should_autocreate_tables=postgres_url not in _with_tables, inst_data=inst_data
        )
        _with_tables.add(postgres_url)
        self._run_storage = PooledRuns(postgres_url, should_autocreate_tables=False)
        self._event_log_storage = PooledEvents(postgres_url, should_autocreate_tables=False)
        self._schedule_storage = PooledSchedules(postgres_url, should_autocreate_tables=False)
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


def do_not_wait_for_disk() -> None:
    """Let this process's writes be acknowledged before they are on disk: for a run's own process.

    They keep their order. A server that crashes may lose the run's last moments; the run has then lost its
    connection too, is found dead and is tried again.
    """
    _settings["options"] = "-c synchronous_commit=off"


def tables_are_there(url: str) -> None:
    """Spare this process the look for Dagster's tables."""
    _with_tables.add(url)


class _Shared(threading.local):
    """The transaction that this thread is in, if any."""

    conn: Connection | None = None


@contextmanager
def _transaction(shared: _Shared, engine: Engine) -> Iterator[Connection]:
    with engine.connect() as plain:
        conn = plain.execution_options(isolation_level="READ COMMITTED")
        with conn.begin():
            shared.conn = conn
            try:
                yield conn
            finally:
                shared.conn = None


class PooledRuns(PostgresRunStorage):
    """Runs: one for each trigger, beside its own retries."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool) -> None:
        super().__init__(postgres_url, should_autocreate_tables)
        self._shared = _Shared()
        self._working: Connection | None = None

    def connect(self) -> AbstractContextManager[Connection]:
        """The connection of the transaction there is, else one for a statement."""
        return super().connect() if self._shared.conn is None else nullcontext(self._shared.conn)

    def has_run_stats_index_cols(self) -> bool:
        """Whether runs have their times; asked of the database until it says yes."""
        return _once((self.postgres_url, "run_stats"), super().has_run_stats_index_cols)

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        """Add a run with its tags.

        Raises:
            DagsterRunAlreadyExists: there is a run of this id, or of this trigger and this is no retry.
        """
        trigger = None if dagster_run.parent_run_id else dagster_run.tags.get(TRIGGER)
        with _transaction(self._shared, self._engine) as conn:
            if trigger is not None:
                conn.execute(
                    text("select pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": trigger}
                )
                if conn.execute(_TRIGGERED, {"key": TRIGGER, "value": trigger}).first() is not None:
                    raise DagsterRunAlreadyExists
            return super().add_run(dagster_run)

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """The only one of all processes that gives a run its place, for as long as the context lasts."""
        with self._engine.connect() as conn:
            conn.execute(text("select pg_advisory_lock(:key)"), {"key": SUBMITTING})
            try:
                yield
            finally:
                conn.execute(text("select pg_advisory_unlock(:key)"), {"key": SUBMITTING})

    def begin_work(self, run_id: str) -> bool:
        """Be the process that executes a run, until this process ends; False where another one is.

        The lock is the connection's: it is gone with the process, however that dies.
        """
        conn = self._engine.connect()
        key = UUID(run_id).int >> 65
        if not conn.execute(text("select pg_try_advisory_lock(:key)"), {"key": key}).scalar():
            conn.close()
            return False
        self._working = conn
        return True


class PooledSchedules(PostgresScheduleStorage):
    """Sensors and schedules, which the daemon asks for all the time."""

    def _has_instigators_table(self, conn: Connection) -> bool:
        look = super()._has_instigators_table
        return _once((self.postgres_url, "instigators"), lambda: look(conn))


class PooledEvents(PostgresEventLogStorage):
    """Events: a batch of them is one transaction."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool) -> None:
        super().__init__(postgres_url, should_autocreate_tables)
        self._shared = _Shared()

    def _connect(self) -> AbstractContextManager[Connection]:
        return super()._connect() if self._shared.conn is None else nullcontext(self._shared.conn)

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        look = super()._has_asset_key_col_on_connection
        return _once((self.postgres_url, "column", column_name), lambda: look(conn, column_name))

    def has_table(self, table_name: str) -> bool:
        """Whether there is a table of this name; asked of the database until it says yes."""
        look = super().has_table
        return _once((self.postgres_url, "table", table_name), lambda: look(table_name))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events that belong together."""
        with _transaction(self._shared, self._engine):
            for event in events:
                self.store_event(event)


_TRIGGERED: Final = text("select 1 from run_tags where key = :key and value = :value limit 1")

_settings: Final[dict[str, str]] = {}
"""What this process's connections to Dagster's storage are opened with."""

_with_tables: Final[set[str]] = set()
"""Databases this process has seen to hold Dagster's tables."""


_there: Final[set[Hashable]] = set()
"""Tables and columns this process has seen."""


def _once(key: Hashable, look: Callable[[], bool]) -> bool:
    """What `look` says, remembered once it is yes."""
    if key not in _there and look():
        _there.add(key)
    return key in _there


@lru_cache(maxsize=8)
def _engine(url: str) -> Engine:
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=KEPT_CONNECTIONS,
        max_overflow=-1,
        connect_args=dict(_settings),
    )
    event.listen(engine, "checkin", _lay_down)
    event.listen(engine, "checkout", _try_idle)
    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
    return engine


def _lay_down(_dbapi: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _try_idle(dbapi: Any, record: Any, _proxy: Any) -> None:
    """Try a connection that has lain idle; the pool replaces it where it has been closed."""
    since = record.info.get("idle_since")
    if since is None or time.monotonic() - since < IDLE_S:
        return
    try:
        with dbapi.cursor() as cursor:
            cursor.execute("select 1")
    except dbapi.Error as error:
        raise DisconnectionError from error
