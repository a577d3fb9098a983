"""Polls of a real dovecot, with QRESYNC and without: everything once, whatever happens to folders and connections."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from imaplib import IMAP4
from typing import Any

import pytest

from examples.vendors.imap import PASSWORD, USER, Dovecot, DroppingLine, mail
from sensors.connectors import email
from sensors.connectors.email import mailbox_reading, pull
from sensors.connectors.email.imap import Session
from sensors.connectors.email.message import flag_names
from sensors.connectors.pulling import Account, SourceFailed, Tools, Unauthorized, Window
from tests.support.mailboxes import empty, mailbox, needs_dovecot, told
from tests.support.pulling import MemoryBlobs, MemoryKnown, Pulled, TrialTime, pull_all, tools

pytestmark = needs_dovecot


@pytest.fixture(scope="module", params=[True, False], ids=["qresync", "plain"])
def running(request: pytest.FixtureRequest) -> Iterator[Dovecot]:
    with Dovecot(qresync=request.param) as server:
        yield server


@pytest.fixture
def server(running: Dovecot) -> Iterator[Dovecot]:
    yield running
    empty(running)


@pytest.fixture
def person(server: Dovecot) -> Iterator[IMAP4]:
    """A person's mail program, in INBOX."""
    client = server.client()
    client.select("INBOX")
    yield client
    try:
        client.logout()
    except (IMAP4.error, OSError):
        pass


class Poller:
    """Polls an account again and again, as the runner does."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.known = MemoryKnown()
        self.blobs = MemoryBlobs()
        self.position: Any = None

    def tools(self, **given: Any) -> Tools:
        return tools(known=self.known, blobs=self.blobs, **given)

    def poll(self, **given: Any) -> Pulled:
        pulled = pull_all(pull, self.account, self.tools(**given), self.position)
        self.position = pulled.position
        return pulled


@pytest.fixture
def poller(server: Dovecot) -> Poller:
    return Poller(mailbox(server.port, folders="all"))


def put(client: IMAP4, folder: str, *mails: bytes, at: str = "") -> None:
    for raw in mails:
        kind, _ = client.append(folder, "", at, raw)
        assert kind == "OK"


def test_a_mail_is_received_once_and_a_second_poll_finds_nothing(poller: Poller, person: IMAP4) -> None:
    put(person, "INBOX", mail(1), mail(2), at='"02-Mar-2026 10:00:00 -0300"')
    first, second = poller.poll(), poller.poll()
    assert told(first) == [("received", "", "Pedido 1"), ("received", "", "Pedido 2")]
    assert second.pages == []
    event = first.candidates(email)[0].event
    assert event.time == datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
    assert event.data["folder_role"] == "inbox"
    assert first.pages[-1].total == 2


def test_reading_leaves_no_mark_on_a_mail(poller: Poller, person: IMAP4) -> None:
    put(person, "INBOX", mail(1))
    poller.poll()
    person.noop()
    kind, found = person.uid("FETCH", "1:*", "(FLAGS)")
    assert kind == "OK"
    assert not any(b"\\Seen" in line for line in found if isinstance(line, bytes))


def test_flags_that_change_are_updates_and_peoples_own_words_are_left_out(
    poller: Poller, person: IMAP4
) -> None:
    put(person, "INBOX", mail(1), mail(2))
    poller.poll()
    person.uid("STORE", "1:*", "+FLAGS", "(\\Seen $Forwarded joao-silva)")
    changed = poller.poll()
    assert told(changed) == [("updated", "flags", "")] * 2
    assert changed.candidates(email)[0].event.data["flags"] == ["forwarded", "seen"]
    person.uid("STORE", "1:*", "-FLAGS", "(\\Seen)")
    person.uid("STORE", "1:*", "+FLAGS", "(\\Seen)")
    assert told(poller.poll()) == []
    ids = [c.event.id for c in changed.candidates(email)]
    person.uid("STORE", "1:*", "-FLAGS", "(\\Seen $Forwarded)")
    poller.poll()
    person.uid("STORE", "1:*", "+FLAGS", "(\\Seen $Forwarded)")
    again = poller.poll()
    assert told(again) == [("updated", "flags", "")] * 2
    assert not set(ids) & {c.event.id for c in again.candidates(email)}


def test_a_mail_that_is_moved_is_one_mail_deleted_where_it_was(poller: Poller, person: IMAP4) -> None:
    put(person, "INBOX", mail(1), mail(2))
    poller.poll()
    person.create("Arquivo")
    person.uid("MOVE", person.uid("SEARCH", "ALL")[1][0].split()[0].decode(), "Arquivo")
    moved = poller.poll()
    assert sorted(told(moved)) == [("deleted", "", ""), ("updated", "place", "")]
    assert {c.event.data["folder"] for c in moved.candidates(email)} == {"Arquivo", "INBOX"}
    assert poller.poll().pages == []


def test_a_folder_that_is_deleted_and_comes_back_is_read_from_the_start(
    poller: Poller, person: IMAP4
) -> None:
    person.create("Clientes")
    put(person, "Clientes", mail(1), mail(2), mail(3))
    poller.poll()
    person.delete("Clientes")
    person.create("Clientes")
    put(person, "Clientes", mail(4), mail(2))
    pulled = poller.poll()
    assert told(pulled) == [("deleted", "", "")] * 3 + [
        ("received", "", "Pedido 4"),
        ("updated", "place", ""),
    ]


def test_a_folder_that_is_deleted_takes_its_mails_with_it(poller: Poller, person: IMAP4) -> None:
    person.create("Clientes")
    put(person, "Clientes", mail(1), mail(2))
    poller.poll()
    person.delete("Clientes")
    assert told(poller.poll()) == [("deleted", "", "")] * 2
    assert poller.poll().pages == []
    assert "folder:Clientes" not in poller.known.items


def test_a_folder_that_settings_name_no_longer_is_not_deleted(
    server: Dovecot, poller: Poller, person: IMAP4
) -> None:
    person.create("Clientes")
    put(person, "Clientes", mail(1))
    poller.poll()
    poller.account = mailbox(server.port, folders=("inbox",))
    assert told(poller.poll()) == []


def test_the_last_mail_is_not_read_again_when_nothing_came_after_it(poller: Poller, person: IMAP4) -> None:
    put(person, "INBOX", mail(1))
    poller.poll()
    person.uid("STORE", "1:*", "+FLAGS", "\\Deleted")
    person.expunge()
    assert told(poller.poll()) == [("deleted", "", "")]
    put(person, "INBOX", mail(2))
    assert told(poller.poll()) == [("received", "", "Pedido 2")]


def test_a_connection_cut_in_the_middle_of_a_mail_costs_nothing(
    server: Dovecot, person: IMAP4, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_reading, "PAGE_MESSAGES", 4)
    put(person, "INBOX", *(mail(n, "x" * 3000) for n in range(12)))
    line = DroppingLine(server.port, after=[9_000, 14_000])
    try:
        poller = Poller(mailbox(line.port))
        pulled = poller.poll()
    finally:
        line.close()
    assert line.drops == 2
    assert told(pulled) == [("received", "", f"Pedido {n}") for n in range(12)]
    assert pulled.pages[-1].total == 12


def test_what_is_committed_before_a_connection_breaks_for_good_is_not_read_again(
    server: Dovecot, person: IMAP4, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_reading, "PAGE_MESSAGES", 2)
    monkeypatch.setattr(mailbox_reading, "RECONNECTIONS", 0)
    put(person, "INBOX", *(mail(n, "x" * 3000) for n in range(8)))
    line = DroppingLine(server.port, after=[12_000])
    poller = Poller(mailbox(line.port))
    seen: list[str] = []

    def until_it_breaks() -> None:
        for page in pull.poll(poller.account, None, poller.tools()):
            poller.known.apply(page.items)
            poller.position = page.position
            seen.extend(delivery.headers["uid"] for delivery in page.deliveries)

    with pytest.raises(SourceFailed) as failed:
        until_it_breaks()
    line.close()
    assert 0 < len(seen) < 8
    assert USER not in failed.value.message
    poller.account = mailbox(server.port)
    rest = [delivery.headers["uid"] for delivery in poller.poll().deliveries]
    assert not set(seen) & set(rest)
    assert len(seen) + len(rest) == 8


def test_a_poll_stops_at_its_deadline_and_goes_on(
    poller: Poller, person: IMAP4, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_reading, "PAGE_MESSAGES", 2)
    put(person, "INBOX", *(mail(n) for n in range(5)))
    first = poller.poll(budget_s=0.0)
    second = poller.poll()
    assert (len(first.pages), first.pages[-1].total) == (1, None)
    assert sorted(told(first) + told(second)) == [("received", "", f"Pedido {n}") for n in range(5)]


def test_a_rewound_position_reads_everything_again_under_the_same_ids(poller: Poller, person: IMAP4) -> None:
    put(person, "INBOX", mail(1), mail(1), mail(2))
    first = poller.poll()
    poller.position = None
    second = poller.poll(time=TrialTime(datetime(2026, 5, 1, tzinfo=UTC)))
    ids = [c.event.id for c in first.candidates(email)]
    assert ids == [c.event.id for c in second.candidates(email)]
    assert told(first) == [
        ("received", "", "Pedido 1"),
        ("updated", "place", ""),
        ("received", "", "Pedido 2"),
    ]


def test_a_mail_that_is_too_large_lands_with_its_headers(server: Dovecot, person: IMAP4) -> None:
    put(person, "INBOX", mail(1, "x" * 5000), mail(2))
    poller = Poller(mailbox(server.port, max_message_bytes=2000))
    pulled = poller.poll()
    large, small = (c.event.data for c in pulled.candidates(email))
    assert (large["subject"], large["complete"], large["text"]) == ("Pedido 1", False, None)
    assert large["size"] > 5000
    assert small["complete"]
    assert any("maxMessageBytes" in (page.note or "") for page in pulled.pages)


def test_attachments_are_kept_by_their_hash(poller: Poller, person: IMAP4) -> None:
    raw = (
        b"From: a@example.com\r\nSubject: nota\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsegue\r\n--b\r\n"
        b'Content-Type: application/pdf\r\nContent-Disposition: attachment; filename="nota.pdf"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--b--\r\n"
    )
    put(person, "INBOX", raw)
    (listed,) = poller.poll().candidates(email)[0].event.data["attachments"]
    assert poller.blobs.contents["arcsat", listed["blob"]] == (b"%PDF-", "application/pdf")


def test_mail_before_since_is_left_out_of_polls(server: Dovecot, person: IMAP4) -> None:
    put(person, "INBOX", mail(1), at='"02-Mar-2020 10:00:00 -0300"')
    put(person, "INBOX", mail(2), at='"02-Mar-2026 10:00:00 -0300"')
    poller = Poller(mailbox(server.port, since="2026-01-01"))
    assert told(poller.poll()) == [("received", "", "Pedido 2")]
    assert told(poller.poll()) == []


def test_a_backfill_brings_its_window_and_no_more_and_goes_on_where_it_stopped(
    server: Dovecot, poller: Poller, person: IMAP4, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_reading, "PAGE_MESSAGES", 1)
    for number, day in enumerate(("28-Feb", "01-Mar", "02-Mar", "31-Mar", "01-Apr")):
        put(person, "INBOX", mail(number), at=f'"{day}-2026 00:30:00 +0000"')
    window = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    first = pull_all(pull, poller.account, poller.tools(), window=window, pages_at_most=2)
    rest = pull_all(pull, poller.account, poller.tools(), first.position, window=window)
    assert [subject for _, _, subject in told(first) + told(rest)] == ["Pedido 1", "Pedido 2", "Pedido 3"]
    assert rest.pages[-1].total == 3
    polled = {c.event.id for c in poller.poll().candidates(email)}
    assert {c.event.id for c in first.candidates(email) + rest.candidates(email)} < polled


def test_names_of_folders_may_have_any_letters(poller: Poller, person: IMAP4) -> None:
    person.create('"A&AOcA4w-o \\"x\\""')
    put(person, '"A&AOcA4w-o \\"x\\""', mail(1))
    pulled = poller.poll()
    assert [c.event.data["folder"] for c in pulled.candidates(email)] == ['Ação "x"']
    assert poller.poll().pages == []


def test_nothing_personal_stands_in_a_position(poller: Poller, person: IMAP4) -> None:
    person.create("Maria")
    put(person, "Maria", mail(1))
    assert set(poller.poll().position) == {"epoch", "step"}


def test_a_wrong_password_is_said_without_name_or_password(server: Dovecot, poller: Poller) -> None:
    account = mailbox(server.port)
    account.credentials["password"] = b"errada"  # pyright: ignore[reportIndexIssue]
    with pytest.raises(Unauthorized) as refused:
        pull_all(pull, account, poller.tools())
    assert USER not in str(refused.value)
    assert "errada" not in str(refused.value)


def test_an_audit_says_what_the_server_can_and_which_folders_are_missing(
    server: Dovecot, poller: Poller
) -> None:
    account = mailbox(server.port, folders=("INBOX", "Maria"))
    idle, folders = pull.audit(account, poller.tools())
    assert (idle.name, idle.state) == ("IDLE", "active")
    assert folders.state == "missing"
    assert "Maria" not in (folders.detail or "")


def test_idle_wakes_and_outlives_a_lost_connection(
    server: Dovecot, person: IMAP4, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sensors.connectors.email import watching

    monkeypatch.setattr(watching, "FIRST_PAUSE_S", 0.05)
    line = DroppingLine(server.port, after=[1500])
    stop, news = threading.Event(), threading.Semaphore(0)
    watcher = threading.Thread(target=pull.watch, args=(mailbox(line.port), stop, news.release))
    watcher.start()
    try:
        assert news.acquire(timeout=20)
        woken = 0
        for number in range(20):
            put(person, "INBOX", mail(number))
            woken += news.acquire(timeout=20)
            if line.drops and woken >= 4:
                break
        assert woken >= 4
        assert line.drops == 1
    finally:
        stop.set()
        watcher.join(20)
        line.close()
    assert not watcher.is_alive()


def test_a_session_says_whether_it_is_told_what_vanished(server: Dovecot) -> None:
    settings = mailbox(server.port).settings
    assert isinstance(settings, email.EmailSettings)
    with Session(settings, ("password", PASSWORD), datetime.now(UTC)) as session:
        capabilities = session.quick
    client = server.client()
    kind, said = client.capability()
    client.logout()
    assert kind == "OK"
    assert capabilities == (b"QRESYNC" in said[0])


def test_whatever_people_do_the_log_ends_with_what_the_server_has(
    poller: Poller, person: IMAP4, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_reading, "PAGE_MESSAGES", 2)
    chance = random.Random(7)
    lying: dict[tuple[str, str], list[str]] = {}
    received: list[str] = []
    for step in range(18):
        for _ in range(chance.randint(1, 3)):
            _act(person, chance, step)
        if chance.random() < 0.3:
            # A crash between two pages: what was given is committed, the rest is not.
            _fold(lying, received, poller.poll(budget_s=0.0))
        if chance.random() < 0.5:
            _fold(lying, received, poller.poll())
    _fold(lying, received, poller.poll())

    assert lying == _there(person)
    assert len(received) == len(set(received))


def _act(person: IMAP4, chance: random.Random, step: int) -> None:
    folder = chance.choice(["INBOX", "A", "B"])
    if person.select(folder)[0] != "OK":
        person.create(folder)
        person.select(folder)
    uids = person.uid("SEARCH", "ALL")[1][0].split()
    act = chance.randint(0, 9)
    if act < 4 or not uids:
        put(person, folder, mail(chance.randint(0, 30)))
    elif act < 6:
        flag = chance.choice(["\\Seen", "\\Flagged", "$Junk"])
        person.uid("STORE", chance.choice(uids).decode(), chance.choice(["+FLAGS", "-FLAGS"]), flag)
    elif act == 6:
        person.uid("MOVE", chance.choice(uids).decode(), "INBOX" if folder != "INBOX" else "A")
    elif act == 7:
        person.uid("COPY", chance.choice(uids).decode(), folder)
    elif act == 8:
        person.uid("STORE", chance.choice(uids).decode(), "+FLAGS", "\\Deleted")
        person.expunge()
    elif folder != "INBOX":
        person.select("INBOX")
        person.delete(folder)


def _fold(lying: dict[tuple[str, str], list[str]], received: list[str], pulled: Pulled) -> None:
    for found in pulled.candidates(email):
        data = found.event.data
        place = (data["folder"], data["message"])
        if found.event.type.endswith(".deleted"):
            del lying[place]
        else:
            assert (place in lying) == (data.get("change") == "flags")
            lying[place] = data["flags"]
            if found.event.type.endswith(".received"):
                received.append(data["sha256"])


def _there(person: IMAP4) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for folder in ("INBOX", "A", "B"):
        if person.select(folder, readonly=True)[0] != "OK":
            continue
        validity = person.response("UIDVALIDITY")[1][0].decode()
        for line in person.uid("FETCH", "1:*", "(FLAGS)")[1]:
            if isinstance(line, bytes):
                uid = line.partition(b"UID ")[2].split(b" ")[0].rstrip(b")").decode()
                words = line.partition(b"FLAGS (")[2].partition(b")")[0].decode().split()
                found[folder, f"{validity}:{uid}"] = list(flag_names(words))
    return found
