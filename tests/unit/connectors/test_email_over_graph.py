"""Mail over Microsoft Graph: what comes, moves, changes and goes is told once, whatever Graph forgets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from examples.vendors.graph import CLIENT_SECRET, Graph, Service
from examples.vendors.graph_mail import START
from sensors.connectors import email
from sensors.connectors.email import pull
from sensors.connectors.pulling import Account, SourceFailed, Window
from tests.support.graph_service import SECRET, direct_tools
from tests.support.pulling import MemoryBlobs, MemoryKnown, TrialTime, pull_all, tools

FOLDERS = ("folder-Inbox", "folder-Archive", "folder-SentItems")


def mime(subject: str, *, attachment: str = "") -> bytes:
    """A mail with, perhaps, a text file in it."""
    head = f"From: Bia <bia@example.com>\r\nTo: ana@example.com\r\nSubject: {subject}\r\nMessage-ID: <{subject}@x>\r\n"
    if not attachment:
        return f"{head}\r\nOi.\r\n".encode()
    parts = (
        f"{head}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n",
        "--b\r\nContent-Type: text/plain\r\n\r\nOi.",
        f"--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n{attachment}",
        "--b--\r\n",
    )
    return "\r\n".join(parts).encode()


def account(url: str, **changes: Any) -> Account:
    given = {
        "kind": "graph",
        "tenant": "example.com",
        "clientId": "11111111-2222-3333-4444-555555555555",
        "authorityUrl": url,
        "graphUrl": url,
        "user": "ana@example.com",
        "folders": "all",
    }
    form = email.SETTINGS.model_validate(given | changes)
    secrets = {"clientSecret": CLIENT_SECRET}
    return Account("arcsat", "email", None, form, secrets, (SECRET,), "https://batuta.example.com")


@pytest.fixture
def graph() -> Iterator[Graph]:
    with Graph() as served:
        yield served


def test_a_mail_is_read_as_it_was_sent_and_its_attachment_kept_by_its_hash(graph: Graph):
    id = graph.service.mailbox.receive(mime("pedido", attachment="a;b"))
    blobs = MemoryBlobs()
    pulled = pull_all(pull, account(graph.url), tools(blobs=blobs))
    [candidate] = pulled.candidates(email)
    event = candidate.event
    assert event.type == "com.avila.email.received"
    assert event.id == f"{id}:CQ0001"
    assert event.subject == id
    assert event.time > START
    assert event.source == "https://graph.microsoft.com/v1.0/users/ana%40example.com/messages"
    assert candidate.hashed == {"source"}
    assert event.data["subject"] == "pedido"
    assert event.data["from"] == ["bia@example.com"]
    assert (event.data["folder"], event.data["folder_role"]) == ("Inbox", "inbox")
    [attachment] = event.data["attachments"]
    assert blobs.contents["arcsat", attachment["blob"]] == (b"a;b", "text/csv")


def test_every_request_asks_for_immutable_ids(graph: Graph):
    graph.service.mailbox.receive(mime("pedido"))
    pull_all(pull, account(graph.url), tools())
    asked = [headers for method, _, headers in graph.requests if method == "GET"]
    assert asked
    assert all('IdType="ImmutableId"' in headers["prefer"] for headers in asked)


def test_ids_that_differ_by_case_are_two_mails(graph: Graph):
    graph.service.mailbox.page_size = 1
    ids = {graph.service.mailbox.receive(mime(str(n))) for n in range(4)}
    assert len({id.lower() for id in ids}) < len(ids)
    found = pull_all(pull, account(graph.url), tools()).candidates(email)
    assert {candidate.event.subject for candidate in found} == ids


def test_a_mail_that_is_too_large_comes_with_its_headers_only(graph: Graph):
    graph.service.mailbox.receive(mime("grande", attachment="x" * 200_000))
    [candidate] = pull_all(pull, account(graph.url, maxMessageBytes=2000), tools()).candidates(email)
    assert candidate.event.data["subject"] == "grande"
    assert candidate.event.data["complete"] is False


def test_a_mail_that_goes_while_it_is_read_stops_nobody(graph: Graph, monkeypatch: pytest.MonkeyPatch):
    mailbox = graph.service.mailbox
    first, second = mailbox.receive(mime("a")), mailbox.receive(mime("b"))
    respond = graph.service.respond

    def going(method: str, url: str, headers: Any, body: bytes = b"") -> Any:
        if f"messages/{first}" in url:
            mailbox.delete(first)
        return respond(method, url, headers, body)

    monkeypatch.setattr(graph.service, "respond", going)
    [candidate] = pull_all(pull, account(graph.url), tools()).candidates(email)
    assert candidate.event.subject == second


@pytest.mark.parametrize("broken", [(500, "ErrorMimeContentConversionFailed"), (400, "ErrorInvalidRequest")])
def test_a_mail_that_graph_cannot_make_mime_of_lands_with_its_headers(graph: Graph, broken: tuple[int, str]):
    mailbox = graph.service.mailbox
    mailbox.messages[mailbox.receive(mime("quebrada"))].broken = broken
    mailbox.receive(mime("inteira"))
    found = [c.event.data for c in pull_all(pull, account(graph.url), tools()).candidates(email)]
    assert [(d["subject"], d["complete"]) for d in found] == [("quebrada", False), ("inteira", True)]
    assert found[0]["from"] == ["bia@example.com"]


def test_a_mail_that_only_fails_just_now_is_asked_for_again(graph: Graph):
    mailbox = graph.service.mailbox
    message = mailbox.messages[mailbox.receive(mime("depois"))]
    message.broken = (503, "ServiceUnavailable")
    with pytest.raises(SourceFailed):
        pull_all(pull, account(graph.url), tools())
    message.broken = None
    [candidate] = pull_all(pull, account(graph.url), tools()).candidates(email)
    assert candidate.event.data["complete"] is True


def test_only_the_folders_that_settings_name_are_read(graph: Graph):
    graph.service.mailbox.receive(mime("aqui"))
    graph.service.mailbox.receive(mime("ali"), "folder-Archive")
    [candidate] = pull_all(pull, account(graph.url, folders=["INBOX"]), tools()).candidates(email)
    assert candidate.event.data["subject"] == "aqui"


def test_a_window_brings_what_was_received_in_it_and_is_not_known_yet(graph: Graph):
    mailbox = graph.service.mailbox
    ids = [mailbox.receive(mime(str(n))) for n in range(4)]
    window = Window(mailbox.messages[ids[1]].received, mailbox.messages[ids[3]].received)
    pulled = pull_all(pull, account(graph.url), tools(), window=window)
    assert {candidate.event.subject for candidate in pulled.candidates(email)} == set(ids[1:3])
    assert pull_all(pull, account(graph.url), tools(), pulled.position, window=window).deliveries == []
    known = MemoryKnown()
    pull_all(pull, account(graph.url), tools(known=known))
    assert pull_all(pull, account(graph.url), tools(known=known), window=window).deliveries == []


@pytest.mark.parametrize(
    ("folders", "resources"),
    [
        ("all", ["users/ana@example.com/messages"]),
        (["INBOX"], ["users/ana@example.com/mailFolders('folder-Inbox')/messages"]),
    ],
)
def test_one_subscription_watches_the_mailbox_or_each_folder(
    graph: Graph, folders: Any, resources: list[str]
):
    found = pull.audit(account(graph.url, folders=folders), tools())
    assert [subscription.state for subscription in found] == ["created"]
    assert [made["resource"] for made in graph.service.subscriptions.values()] == resources
    assert "ana" not in str(found)
    assert [s.state for s in pull.audit(account(graph.url, folders=folders), tools())] == ["active"]


def test_a_folder_that_is_deleted_takes_its_mails_along(graph: Graph):
    mailbox, known = graph.service.mailbox, MemoryKnown()
    folder = mailbox.make_folder("Obras")
    id = mailbox.receive(mime("a"), folder)
    moved = mailbox.receive(mime("b"), folder)
    first = pull_all(pull, account(graph.url), tools(known=known))
    mailbox.move(moved, "folder-Archive")
    mailbox.delete_folder(folder)
    second = pull_all(pull, account(graph.url), tools(known=known), first.position)
    told = {c.event.subject: c.event.type.rpartition(".")[2] for c in second.candidates(email)}
    assert told == {id: "deleted", moved: "updated"}
    third = pull_all(pull, account(graph.url), tools(known=known), second.position)
    assert third.deliveries == []


class AnyMailbox(RuleBasedStateMachine):
    """A mailbox that changes between polls, which may be broken off after any page, and whose state Graph may lose."""

    @initialize(size=st.integers(1, 3), sparse=st.booleans())
    def begin(self, size: int, sparse: bool) -> None:
        self.service = Service()
        self.mailbox = self.service.mailbox
        self.mailbox.page_size, self.mailbox.sparse = size, sparse
        self.account = account(self.service.url)
        self.known, self.time = MemoryKnown(), TrialTime()
        self.position: Any = None
        self.seen: set[str] = set()
        self.mails: dict[str, tuple[str, bool]] = {}
        for folder in FOLDERS:
            self.receive(folder)
        self._poll(999)

    def some(self, pick: int) -> str | None:
        there = [m.id for m in self.mailbox.messages.values() if not m.deleted]
        return there[pick % len(there)] if there else None

    @rule(folder=st.sampled_from(FOLDERS))
    def receive(self, folder: str) -> None:
        self.mailbox.receive(mime(str(self.mailbox.now)), folder)

    @rule(pick=st.integers(0, 99), folder=st.sampled_from(FOLDERS))
    def move(self, pick: int, folder: str) -> None:
        id = self.some(pick)
        if id and self.mailbox.messages[id].folder != folder:
            self.mailbox.move(id, folder)

    @rule(pick=st.integers(0, 99))
    def read(self, pick: int) -> None:
        if id := self.some(pick):
            self.mailbox.mark_read(id)

    @rule(pick=st.integers(0, 99))
    def delete(self, pick: int) -> None:
        if id := self.some(pick):
            self.mailbox.delete(id)

    @rule(pages=st.sampled_from([1, 3, 6, 999]), lost=st.sampled_from([False, False, False, True]))
    def poll(self, pages: int, lost: bool) -> None:
        if lost:
            self.mailbox.lose_state()
        self._poll(pages)

    @rule()
    def poll_to_the_end(self) -> None:
        self._poll(999)

    def _poll(self, pages: int) -> None:
        self.time.advance(60)
        reading = direct_tools(self.service, self.known, self.time)
        pulled = pull_all(pull, self.account, reading, self.position, pages_at_most=pages)
        self.position = pulled.position
        for candidate in pulled.candidates(email):
            event = candidate.event
            assert event.id not in self.seen, "one event twice"
            self.seen.add(event.id)
            kind, before = event.type.rpartition(".")[2], self.mails.get(event.subject or "")
            now = (event.data["folder"], "seen" in event.data["flags"])
            assert (kind == "received") == (before is None)
            assert now != before or kind == "deleted"
            if kind == "deleted":
                del self.mails[event.subject or ""]
            else:
                self.mails[event.subject or ""] = now

    def teardown(self) -> None:
        if not hasattr(self, "mailbox"):
            return
        for _ in range(2):
            self._poll(999)
        there = {m.id: m for m in self.mailbox.messages.values() if not m.deleted}
        assert self.mails == {id: (m.folder.removeprefix("folder-"), m.read) for id, m in there.items()}
        count = len(self.seen)
        self._poll(999)
        assert len(self.seen) == count, "a quiet mailbox has nothing to tell"


AnyMailbox.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnyMailbox = AnyMailbox.TestCase
