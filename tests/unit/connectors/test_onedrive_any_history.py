"""Whatever becomes of a drive, and however Graph cuts, repeats and forgets it: the events say what lies where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from examples.vendors.graph import Service
from examples.vendors.graph_drive import ROOT
from sensors.connectors import onedrive
from sensors.connectors.onedrive import pull, rounds
from sensors.connectors.pulling import Account, Page, SourceFailed, Tools
from tests.support.graph_service import direct_tools, drive_account
from tests.support.pulling import MemoryKnown, TrialTime, pull_all

CONTENTS = st.sampled_from([b"one", b"two", b"three"])
NAMES = st.sampled_from(["a", "b", "c"])
PICK = st.integers(0, 10_000)
PAGES = st.sampled_from([1, 2, 4, 999])
RARELY = st.sampled_from([False, False, False, True])


class AnyHistory(RuleBasedStateMachine):
    """A drive that changes between, and in the midst of, polls that may be broken off after any page."""

    @initialize(
        size=st.integers(1, 4),
        business=st.booleans(),
        lists=st.booleans(),
        turned=st.booleans(),
        repeats=st.booleans(),
    )
    def begin(self, size: int, business: bool, lists: bool, turned: bool, repeats: bool) -> None:
        self.service = Service()
        self.drive = self.service.drive
        self.drive.page_size, self.drive.business = size, business
        self.drive.lists_children_of_deleted, self.drive.reversed_pages = lists, turned
        self.drive.repeats = repeats
        self.account: Account = drive_account(self.service.url)
        self.known = MemoryKnown()
        self.time = TrialTime()
        self.position: Any = None
        self.events: dict[str, Any] = {}
        self.files: dict[str, tuple[str, str]] = {}
        for folder in (
            ROOT,
            self.drive.make_folder("a"),
            self.drive.make_folder("b", self.drive.make_folder("c")),
        ):
            self.drive.write("a", b"one", folder)
            self.drive.write("b", b"two", folder)
        self._poll(999)

    def some(self, pick: int, *, folder: bool, deleted: bool = False) -> str | None:
        entries = [
            e.id
            for e in self.drive.entries.values()
            if e.folder == folder and e.deleted == deleted and e.id != ROOT
        ]
        return entries[pick % len(entries)] if entries else None

    @rule(name=NAMES, pick=PICK)
    def make_folder(self, name: str, pick: int) -> None:
        self.drive.make_folder(name, self.some(pick, folder=True) or ROOT)

    @rule(name=NAMES, content=CONTENTS, pick=PICK)
    def write(self, name: str, content: bytes, pick: int) -> None:
        self.drive.write(name, content, self.some(pick, folder=True) or ROOT)

    @rule(content=CONTENTS, pick=PICK)
    def edit(self, content: bytes, pick: int) -> None:
        if id := self.some(pick, folder=False):
            self.drive.edit(id, content)

    @rule(pick=PICK)
    def touch(self, pick: int) -> None:
        if id := self.some(pick, folder=False):
            self.drive.touch(id)

    @rule(name=NAMES, folder=st.booleans(), pick=PICK)
    def rename(self, name: str, folder: bool, pick: int) -> None:
        if id := self.some(pick, folder=folder):
            self.drive.move(id, name=name)

    @rule(folder=st.booleans(), pick=PICK, where=PICK)
    def move(self, folder: bool, pick: int, where: int) -> None:
        id, target = self.some(pick, folder=folder), self.some(where, folder=True) or ROOT
        if id and not self._within(target, id):
            self.drive.move(id, parent=target)

    def _within(self, target: str | None, id: str) -> bool:
        while target is not None:
            if target == id:
                return True
            target = self.drive.entries[target].parent
        return False

    @rule(folder=st.booleans(), pick=PICK)
    def delete(self, folder: bool, pick: int) -> None:
        if id := self.some(pick, folder=folder):
            self.drive.delete(id)

    @rule(pick=PICK)
    def restore(self, pick: int) -> None:
        id = self.some(pick, folder=False, deleted=True)
        if id and not self.drive.entries[self.drive.entries[id].parent or ROOT].deleted:
            self.drive.restore(id)

    @rule(pages=PAGES, expired=RARELY, circular=RARELY)
    def poll(self, pages: int, expired: bool, circular: bool) -> None:
        if expired:
            self.drive.expire_tokens()
        self.drive.circular = circular
        with suppress(SourceFailed):
            self._poll(pages)
        self.drive.circular = False

    @rule(pages=PAGES)
    def poll_a_while(self, pages: int) -> None:
        self._poll(pages)

    def _poll(self, pages: int) -> None:
        self.time.advance(60)
        tools = direct_tools(self.service, self.known, self.time)
        for page in self._pages(tools, pages):
            self.known.apply(page.items)
            self.position = page.position
            read = [onedrive.parse(delivery) for delivery in page.deliveries]
            landed = sum(len(parsed.candidates) for parsed in read)
            assert page.counted is None or page.counted == landed + sum(p.filtered for p in read)
            for parsed in read:
                for candidate in parsed.candidates:
                    self._land(candidate.event)

    def _pages(self, tools: Tools, pages: int) -> Iterator[Page]:
        return islice(pull.poll(self.account, self.position, tools), pages)

    def _land(self, event: Any) -> None:
        assert event.id not in self.events, "one event twice"
        self.events[event.id] = event
        file, data = event.subject, event.data
        before = self.files.get(file)
        match event.type.rpartition(".")[2]:
            case "created":
                assert before is None
            case "updated":
                assert before is not None
                assert before[1] != data["hash"]
                assert data.get("previousPath", data["path"]) == before[0]
            case "renamed":
                assert before is not None
                assert data["previousPath"] == before[0] != data["path"]
            case "deleted":
                assert before == (data["path"], data["hash"])
                del self.files[file]
                return
        self.files[file] = (data["path"], data["hash"])

    @precondition(lambda self: hasattr(self, "drive"))
    @invariant()
    def nothing_is_left_open_after_a_whole_round(self) -> None:
        if self.position is not None:
            assert len(self.position["held"]) <= len(self.drive.entries) * 2

    def teardown(self) -> None:
        if not hasattr(self, "drive"):
            return
        for _ in range(2):
            self._poll(999)
        there = {
            id: (f"OneDrive/{path}", _hash(content, business=self.drive.business))
            for id, (path, content) in self.drive.files().items()
        }
        assert self.files == there
        count = len(self.events)
        self._poll(999)
        assert len(self.events) == count, "a quiet drive has nothing to tell"


def _hash(content: bytes, *, business: bool) -> str:
    service = Service()
    service.drive.business = business
    hashes = service.drive._hashes(content)
    return f"quickxor:{hashes['quickXorHash']}" if business else f"sha256:{hashes['sha256Hash'].lower()}"


AnyHistory.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAnyHistory = AnyHistory.TestCase


def test_what_follows_from_a_large_folder_comes_in_pages_of_bounded_size(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(rounds, "CHANGES_AT_MOST", 3)
    service = Service()
    account, known = drive_account(service.url), MemoryKnown()
    outer = service.drive.make_folder("outer")
    inner = service.drive.make_folder("inner", outer)
    files = [service.drive.write(f"{n}", b"x", folder) for n in range(5) for folder in (outer, inner)]
    first = pull_all(pull, account, direct_tools(service, known))
    service.drive.move(outer, name="renamed")
    second = pull_all(pull, account, direct_tools(service, known), first.position)
    renamed = second.candidates(onedrive)
    assert {c.event.subject for c in renamed} == set(files)
    assert len(renamed) == len(files)
    assert {c.event.type for c in renamed} == {"com.avila.file.renamed"}
    assert max(len(page.items) for page in second.pages) <= 4
    service.drive.delete(outer)
    third = pull_all(pull, account, direct_tools(service, known), second.position)
    deleted = third.candidates(onedrive)
    assert sorted(c.event.data["path"] for c in deleted) == sorted(c.event.data["path"] for c in renamed)
    assert max(len(page.items) for page in third.pages) <= 4
