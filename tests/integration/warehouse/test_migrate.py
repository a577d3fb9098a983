"""Migrations: once, twice, and by several at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from batuta.warehouse import migrate as migrations
from batuta.warehouse.connection import DatabaseUnfit, DatabaseUnreachable, connect, with_database


def test_the_second_run_applies_nothing(empty_database_url: str) -> None:
    applied = migrations.migrate(empty_database_url)

    assert applied == tuple(m.revision for m in migrations.migrations())
    assert migrations.migrate(empty_database_url) == ()
    assert migrations.current(empty_database_url) == applied[-1]
    assert migrations.pending(empty_database_url) == ()


def test_callers_at_the_same_time_apply_each_step_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: migrations.migrate(empty_database_url), range(4)))

    applied = sorted(results, reverse=True)
    assert applied == [tuple(m.revision for m in migrations.migrations()), (), (), ()]


def test_percent_signs_and_colons_reach_the_server_as_written(
    empty_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "0001_signs.sql").write_text(
        "create table signs as select 50 % 7 as rest, ':name %s' as words;"
    )

    migrations.migrate(empty_database_url, tmp_path)

    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select rest, words from signs").fetchone() == (1, ":name %s")


def test_a_failed_step_leaves_the_steps_before_it_and_nothing_of_its_own(
    empty_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "0001_good.sql").write_text("create table good (a int);")
    (tmp_path / "0002_bad.sql").write_text("create table half (a int); select nonsense;")

    with pytest.raises(DatabaseUnfit, match="nonsense"):
        migrations.migrate(empty_database_url, tmp_path)

    assert migrations.current(empty_database_url) == "0001"
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select to_regclass('good')::text, to_regclass('half')").fetchone() == (
            "good",
            None,
        )


def test_a_database_newer_than_the_code_is_refused(empty_database_url: str, tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("select 1;")
    (tmp_path / "0002_two.sql").write_text("select 1;")
    migrations.migrate(empty_database_url, tmp_path)
    (tmp_path / "0002_two.sql").unlink()

    with pytest.raises(DatabaseUnfit, match="0002") as refused:
        migrations.migrate(empty_database_url, tmp_path)
    assert "update the code" in (refused.value.hint or "")


def test_an_unreachable_server_is_named_without_its_password() -> None:
    with pytest.raises(DatabaseUnreachable) as refused:
        migrations.migrate("postgresql://someone:very-secret@127.0.0.1:1/nowhere")

    assert "127.0.0.1:1/nowhere" in refused.value.message
    assert "very-secret" not in refused.value.message


def test_a_missing_database_is_said(database_server: str) -> None:
    with pytest.raises(DatabaseUnreachable, match="does not exist"):
        migrations.migrate(with_database(database_server, "no_such_database"))


@pytest.mark.parametrize("role", ["owner", "writer", "reader", "auditor"])
def test_a_connection_acts_as_its_role_in_utc(database_url: str, role: str) -> None:
    with connect(database_url, role) as connection:  # pyright: ignore[reportArgumentType]
        row = connection.execute("select current_user, current_setting('timezone')").fetchone()

    assert row == (f"batuta_{role}", "UTC")


def test_the_reader_cannot_write_and_the_writer_cannot_rewrite_events(database_url: str) -> None:
    with connect(database_url, "reader") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("insert into batuta.horizons values ('arcsat', '2025-11-12')")
    with connect(database_url, "writer") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("update batuta.events set product = 'other'")
