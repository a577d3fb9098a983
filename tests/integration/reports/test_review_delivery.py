"""Mails go out once: over a real mail server, into the outbox, after failures and after a death in between."""

import email
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr

from batuta.reports.delivery import ATTEMPTS, STALE, Errand, deliver
from batuta.reports.mail import Letter
from batuta.reports.model import Picture
from batuta.reports.store import store_report
from batuta.settings import Settings
from batuta.warehouse.connection import Connection, connect

NOW = datetime(2025, 11, 13, 9, tzinfo=UTC)
LETTER = Letter(
    "Assunto", "texto\n", "<p>texto</p>", (Picture("sales", b"\x89PNG", "vendas"),), "p.html", "<p>página</p>"
)


class Inbox:
    """A mail server's memory; refuses what it is told to."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.refused: set[str] = set()
        self.broken = False
        self.lock = threading.Lock()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.broken:
            return "451 try later"
        with self.lock:
            self.envelopes.append(envelope)
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, str]]:
    memory = Inbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(memory, hostname="127.0.0.1", port=port)
    controller.start()
    yield memory, f"smtp://127.0.0.1:{port}"
    controller.stop()


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, "writer") as connection:
        yield connection


@pytest.fixture
def errand(conn: Connection, tmp_path: Path) -> Errand:
    day = date(2025, 11, 12)
    report, _, _ = store_report(
        conn, tmp_path, "<p>página</p>", pipeline="arcsat-daily-review", product="arcsat", business_date=day,
        family="daily_review", dagster_run_id=None, batch_to=1, at=NOW,
    )  # fmt: skip
    return Errand(
        "arcsat-daily-review", "arcsat", day, "email", ("nicolas@example.com", "ana@example.org"), report
    )


def mailing(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"smtp_url": SecretStr(url), "mail_from": "batuta@example.com"})


def row_of(conn: Connection) -> tuple[Any, ...]:
    with conn.transaction():
        found = conn.execute(
            "select state, attempts, error, message_id from batuta.report_deliveries"
        ).fetchall()
    assert len(found) == 1
    return tuple(found[0])


def never() -> Letter:
    raise AssertionError("the mail was made although it must not be sent")


def test_a_mail_reaches_all_recipients_once(
    conn: Connection, settings: Settings, errand: Errand, inbox: tuple[Inbox, str]
) -> None:
    memory, url = inbox
    first = deliver(conn, mailing(settings, url), errand, lambda: LETTER, lambda: NOW)
    again = deliver(conn, mailing(settings, url), errand, never, lambda: NOW + timedelta(hours=1))
    assert (first.state, first.now) == ("sent", True)
    assert (again.state, again.now) == ("sent", False)
    (envelope,) = memory.envelopes
    assert envelope.rcpt_tos == ["nicolas@example.com", "ana@example.org"]
    assert isinstance(envelope.content, bytes)
    message = email.message_from_bytes(envelope.content, policy=policy.default)
    assert message["Message-ID"] == row_of(conn)[3]
    assert message["Subject"] == "Assunto"


def test_a_later_page_of_the_day_sends_nothing_and_another_day_does(
    conn: Connection, settings: Settings, errand: Errand, inbox: tuple[Inbox, str], tmp_path: Path
) -> None:
    memory, url = inbox
    deliver(conn, mailing(settings, url), errand, lambda: LETTER, lambda: NOW)
    reordered = replace(errand, recipients=("Ana@example.org", "nicolas@example.com"))
    assert not deliver(conn, mailing(settings, url), reordered, never, lambda: NOW).now
    next_day = replace(errand, business_date=date(2025, 11, 13))
    assert deliver(conn, mailing(settings, url), next_day, lambda: LETTER, lambda: NOW).now
    assert len(memory.envelopes) == 2


def test_a_failure_is_kept_with_its_reason_and_tried_again_with_the_same_id(
    conn: Connection, settings: Settings, errand: Errand, inbox: tuple[Inbox, str]
) -> None:
    memory, url = inbox
    memory.broken = True
    failed = deliver(conn, mailing(settings, url), errand, lambda: LETTER, lambda: NOW)
    assert failed.state == "failed"
    assert "code 451" in (failed.error or "")
    known = row_of(conn)[3]
    memory.broken = False
    assert deliver(conn, mailing(settings, url), errand, lambda: LETTER, lambda: NOW).state == "sent"
    assert row_of(conn) == ("sent", 2, None, known)


def test_after_a_bounded_number_of_failures_it_is_left_alone(
    conn: Connection, settings: Settings, errand: Errand
) -> None:
    unreachable = mailing(settings, "smtp://127.0.0.1:1")
    for _ in range(ATTEMPTS):
        assert deliver(conn, unreachable, errand, lambda: LETTER, lambda: NOW).now
    last = deliver(conn, unreachable, errand, never, lambda: NOW)
    assert (last.state, last.now) == ("failed", False)
    assert "cannot be reached" in (last.error or "")


def test_a_recipient_the_server_refuses_is_told_and_the_others_get_no_second_mail(
    conn: Connection, settings: Settings, errand: Errand, inbox: tuple[Inbox, str]
) -> None:
    memory, url = inbox
    memory.refused.add("ana@example.org")
    sent = deliver(conn, mailing(settings, url), errand, lambda: LETTER, lambda: NOW)
    assert (sent.state, sent.error) == ("sent", "127.0.0.1 refused 1 of 2 recipients")
    assert not deliver(conn, mailing(settings, url), errand, never, lambda: NOW).now
    assert len(memory.envelopes) == 1


def test_a_claim_whose_process_died_is_taken_up_once_with_the_same_id(
    conn: Connection, settings: Settings, errand: Errand, inbox: tuple[Inbox, str]
) -> None:
    memory, url = inbox

    def dies() -> Letter:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(conn, mailing(settings, url), errand, dies, lambda: NOW)
    known = row_of(conn)[3]
    soon = deliver(conn, mailing(settings, url), errand, never, lambda: NOW + timedelta(minutes=1))
    assert (soon.state, soon.now) == ("sending", False)
    later = deliver(
        conn, mailing(settings, url), errand, lambda: LETTER, lambda: NOW + STALE + timedelta(minutes=1)
    )
    assert later.state == "sent"
    assert row_of(conn) == ("sent", 2, None, known)
    assert len(memory.envelopes) == 1


def test_a_second_death_ends_it_so_that_nobody_gets_the_mail_twice(
    conn: Connection, settings: Settings, errand: Errand
) -> None:
    def dies() -> Letter:
        raise KeyboardInterrupt

    for hours in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            deliver(conn, settings, errand, dies, lambda hours=hours: NOW + timedelta(hours=hours))
    ended = deliver(conn, settings, errand, never, lambda: NOW + timedelta(hours=2))
    assert ended.state == "failed"
    assert "not known whether" in (ended.error or "")
    assert not deliver(conn, settings, errand, never, lambda: NOW + timedelta(hours=9)).now


def test_without_a_mail_server_the_mail_is_written_to_the_outbox(
    conn: Connection, settings: Settings, errand: Errand
) -> None:
    written = deliver(conn, settings, errand, lambda: LETTER, lambda: NOW)
    assert written.state == "written"
    (path,) = settings.outbox_dir.iterdir()
    assert path.suffix == ".eml"
    message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
    assert message["To"] == "nicolas@example.com, ana@example.org"


def test_an_outbox_that_cannot_be_written_is_a_failure_with_its_reason(
    conn: Connection, settings: Settings, errand: Errand, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("x")
    blocked = settings.model_copy(update={"outbox_dir": in_the_way / "outbox"})
    failed = deliver(conn, blocked, errand, lambda: LETTER, lambda: NOW)
    assert failed.state == "failed"
    assert "cannot write" in (failed.error or "")


def test_two_processes_at_once_send_one_mail(
    database_url: str, settings: Settings, errand: Errand, inbox: tuple[Inbox, str]
) -> None:
    memory, url = inbox
    gate = threading.Barrier(4)

    def run() -> None:
        with connect(database_url, "writer") as connection:
            gate.wait()
            deliver(connection, mailing(settings, url), errand, lambda: LETTER, lambda: NOW)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(memory.envelopes) == 1
