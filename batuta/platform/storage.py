"""How much is stored, by part, measured once a day: what storage is paid by.

Sizes are those on disk with indexes and everything; chunks of the event log count with it.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from batuta.warehouse.connection import dagster_url, database_name

LOG_TABLES: Final = ("events", "inbox", "quarantine", "vault", "batches", "decisions")
"""What landing writes; the other tables of our schema are records of work."""


def measure(
    conn: psycopg.Connection[Any], url: str, folders: dict[str, Path], now: datetime
) -> dict[str, int]:
    """Measure what is stored and keep it as the measurement of the day (UTC); bytes by part. Commits.

    Args:
        conn: Acts as owner: the size of a database is told to nobody who may not connect to it.
        url: The warehouse, whose neighbour Dagster's storage is.
        folders: Folders of files by part; one that is not there has none.
        now: The moment of the measurement.
    """
    rows = conn.execute(_RELATIONS, (list(LOG_TABLES),)).fetchall()
    sizes = {str(part): int(size) for part, size in rows}
    beside = conn.execute(_DATABASE, (database_name(dagster_url(url)),)).fetchone()
    if beside is not None:
        sizes["dagster"] = int(beside[0])
    sizes |= {part: folder_bytes(folder) for part, folder in folders.items()}
    with conn.cursor() as cursor:
        cursor.executemany(_KEEP, [(now.date(), part, size, now) for part, size in sorted(sizes.items())])
    conn.commit()
    return sizes


def measured_on(conn: psycopg.Connection[Any], day: date) -> bool:
    """Whether there is a measurement of a day."""
    return (
        conn.execute("select from batuta.storage_days where day = %s limit 1", (day,)).fetchone() is not None
    )


def folder_bytes(folder: Path) -> int:
    """The size of all files below a folder; one that goes away meanwhile is not counted."""
    total = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


# A chunk is a child of its hypertable and lies in a schema of TimescaleDB's.
_RELATIONS: Final = """
with ours as (
    select
        tables.oid,
        case
            when namespaces.nspname <> 'batuta' then 'models'
            when tables.relname = any(%s) then 'log'
            else 'records'
        end as part
    from pg_class as tables
    join pg_namespace as namespaces on tables.relnamespace = namespaces.oid
    where tables.relkind in ('r', 'p', 'm') and (namespaces.nspname = 'batuta' or namespaces.nspname like 'batuta\\_%%')
),

every_one as (
    select ours.oid, ours.part from ours
    union all
    select chunks.inhrelid, ours.part
    from pg_inherits as chunks
    join ours on chunks.inhparent = ours.oid
    where chunks.inhrelid not in (select ours.oid from ours)
)

select every_one.part, sum(pg_total_relation_size(every_one.oid))
from every_one
group by every_one.part
"""

_DATABASE: Final = "select pg_database_size(datname) from pg_database where datname = %s"

_KEEP: Final = """
insert into batuta.storage_days (day, part, bytes, measured_at) values (%s, %s, %s, %s)
on conflict (day, part) do update set bytes = excluded.bytes, measured_at = excluded.measured_at
"""
