"""Mail on its whole way: a real dovecot or a file, the runner or the command, the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import sql

from batuta.landing.model import Delivery, LandingCounts, Way
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.settings import get_settings
from batuta.warehouse.connection import Connection, connect
from examples.vendors.imap import USER, Dovecot, DroppingLine, mail
from sensors.connectors import email
from sensors.connectors.email import files, mailbox_reading, pull
from sensors.connectors.pulling import Account, Window
from sensors.pull.accounts import BoundAccount, read_states
from sensors.pull.means import Means
from sensors.pull.run import backfill_account, poll_account
from tests.support.landing_trials import open_landing
from tests.support.mailboxes import mailbox, needs_dovecot
from tests.support.pulling import MemoryBlobs, TrialTime, shared_client

MUCH = 1e9


@pytest.fixture
def server() -> Iterator[Dovecot]:
    with Dovecot() as running:
        yield running


@pytest.fixture
def means(database_url: str, tmp_path: Path) -> Means:
    time = TrialTime()
    return Means(
        landing=open_landing(tmp_path),
        connect=lambda: connect(database_url, "writer"),
        blobs=MemoryBlobs(),
        client=shared_client(),
        clock=time.clock,
        monotonic=time.monotonic,
        sleep=time.sleep,
        parse_of=lambda name: email.parse,
        puller_of=lambda name: pull,
    )


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, "writer", autocommit=True) as connection:
        yield connection


def bound(account: Account) -> BoundAccount:
    binding = ConnectorBinding(
        type="email", account=account.name, credentials={"password": SecretRef(env="MAIL")}, settings={}
    )
    return BoundAccount(account, binding, "UTC", get_settings())


def put(server: Dovecot, *mails: bytes, folder: str = "INBOX", at: str = "") -> None:
    client = server.client()
    client.create(folder)
    for raw in mails:
        assert client.append(folder, "", at, raw)[0] == "OK"
    client.logout()


def landed(conn: Connection) -> list[tuple[str, str]]:
    """(type's last word, subject of the mail) of all events, by type and subject."""
    return conn.execute(
        "select split_part(type, '.', 4), coalesce(data->>'subject', '') from batuta.events order by 1, 2"
    ).fetchall()


@needs_dovecot
def test_polls_backfills_and_broken_connections_leave_every_mail_once(
    server: Dovecot, means: Means, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_reading, "PAGE_MESSAGES", 3)
    put(server, *(mail(n, "x" * 2000) for n in range(8)), at='"02-Mar-2026 10:00:00 +0000"')
    line = DroppingLine(server.port, after=[9_000])
    first = poll_account(bound(mailbox(line.port)), means, deadline=MUCH)
    line.close()
    window = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    account = bound(mailbox(server.port))
    filled = backfill_account(account, window, means, deadline=MUCH)
    second = poll_account(account, means, deadline=MUCH)

    assert (filled.complete, second.problem) == (True, None)
    assert first.counts.landed + filled.counts.landed + second.counts.landed == 8
    assert landed(conn) == [("received", f"Pedido {n}") for n in range(8)]
    total = conn.execute(
        "select sum(counted), max(total), sum(landed + duplicate + quarantined + filtered)"
        " from batuta.completeness where way = 'backfill'"
    ).fetchone()
    assert total == (8, 8, 8)


@needs_dovecot
def test_a_folder_made_anew_lands_what_is_new_and_places_what_was_there(
    server: Dovecot, means: Means, conn: Connection
) -> None:
    account = bound(mailbox(server.port, folders="all"))
    put(server, mail(1), mail(2), folder="Clientes")
    poll_account(account, means, deadline=MUCH)
    client = server.client()
    client.delete("Clientes")
    client.logout()
    put(server, mail(2), mail(3), folder="Clientes")
    polled = poll_account(account, means, deadline=MUCH)

    assert polled.problem is None
    assert landed(conn) == [
        ("deleted", ""),
        ("deleted", ""),
        ("received", "Pedido 1"),
        ("received", "Pedido 2"),
        ("received", "Pedido 3"),
        ("updated", ""),
    ]


@needs_dovecot
def test_nothing_in_the_database_names_a_person(server: Dovecot, means: Means, conn: Connection) -> None:
    put(server, mail(1, "ligue 11 98765-4321 ou joao@example.com"), folder="Maria")
    account = mailbox(server.port, folders=("Maria",))
    poll_account(bound(account), means, deadline=MUCH)
    account.credentials["password"] = b"errada"  # pyright: ignore[reportIndexIssue]
    failed = poll_account(bound(account), means, deadline=MUCH)

    assert failed.problem is not None
    assert read_states(conn)["arcsat", "email", "vendas"].problem
    tables = conn.execute(
        "select tablename from pg_tables where schemaname = 'batuta' and tablename <> 'blobs'"
    ).fetchall()
    for (table,) in tables:
        query = sql.SQL("select t::text from {} as t").format(sql.Identifier("batuta", table))
        rows = " ".join(str(row) for row in conn.execute(query))
        for word in ("Maria", "joao", "98765", USER, "cliente1@", "errada"):
            assert word not in rows, (table, word)


def test_the_mail_of_a_file_lands_once_whatever_its_line_ends(
    means: Means, conn: Connection, tmp_path: Path
) -> None:
    (tmp_path / "a.eml").write_bytes(mail(1))
    (tmp_path / "b.eml").write_bytes(mail(1).replace(b"\r\n", b"\n"))
    assert ingest(means, tmp_path, "file").landed == 1
    assert ingest(means, tmp_path, "backfill").duplicate == 2
    assert landed(conn) == [("received", "Pedido 1")]


@needs_dovecot
def test_files_and_polls_of_one_account_know_each_others_mail(
    server: Dovecot, means: Means, tmp_path: Path
) -> None:
    (tmp_path / "a.eml").write_bytes(mail(1).replace(b"\r\n", b"\n"))
    ingest(means, tmp_path, "file")
    put(server, mail(1), mail(2))
    polled = poll_account(bound(mailbox(server.port)), means, deadline=MUCH)
    assert (polled.counts.landed, polled.counts.duplicate) == (1, 1)


def ingest(means: Means, path: Path, way: Way) -> LandingCounts:
    account = Account("arcsat", "email", "vendas", email.SETTINGS.model_construct(), {})
    deliveries = [d for d in files.read(path, account, means.clock()) if isinstance(d, Delivery)]
    with means.connect() as conn:
        return means.landing.land(conn, deliveries, email.parse, way=way)
