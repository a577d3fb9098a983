"""A drive over HTTP: the user's own form of event, tokens, patience, resync, subscriptions, backfill, saved pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batuta.contracts.contract import Contracts
from batuta.contracts.plan import write_program
from batuta.keys import create_keys
from batuta.privacy.masking import Masker
from examples.vendors.graph import REFRESH_TOKEN, Graph
from examples.vendors.graph_drive import START
from examples.vendors.serving import Fault
from sensors.connectors import onedrive
from sensors.connectors.graph.client import limits
from sensors.connectors.onedrive import files, pull
from sensors.connectors.onedrive.settings import LabelRule
from sensors.connectors.pulling import Account, Answer, Gone, SourceFailed, Unauthorized, Window
from tests.support.graph_service import SECRET, drive_account, drive_settings
from tests.support.pulling import MemoryKnown, TrialTime, pull_all, tools

PICTURE = b"a picture"


@pytest.fixture
def graph() -> Iterator[Graph]:
    with Graph() as served:
        yield served


def types(candidates: list[Any]) -> list[str]:
    return [candidate.event.type.rpartition(".")[2] for candidate in candidates]


def test_a_new_file_is_told_in_the_user_s_own_form(graph: Graph):
    drive = graph.service.drive
    drive.business = False
    arkana = drive.make_folder("arkana", drive.make_folder("Inbox"))
    file = drive.write("lojablock-2025-11-12.png", PICTURE, arkana)
    rules = [{"path": "OneDrive/Inbox/arkana", "labels": ["suspensao", "shopify"]}]
    [candidate] = pull_all(pull, drive_account(graph.url, labels=rules), tools()).candidates(onedrive)
    event = candidate.event
    assert (event.source, event.type) == ("batuta.ingest.onedrive", "com.avila.file.created")
    assert event.id == f"b!made-up-drive:{file}:{{{file}}},1"
    assert event.time > START
    assert event.subject == file
    named = {name: event.data[name] for name in ("path", "hash", "labels", "pii")}
    assert named == {
        "path": "OneDrive/Inbox/arkana/lojablock-2025-11-12.png",
        "hash": f"sha256:{hashlib.sha256(PICTURE).hexdigest()}",
        "labels": ["arkana", "suspensao", "shopify"],
        "pii": False,
    }
    assert (event.data["size"], event.data["itemId"], event.data["parentId"]) == (9, file, arkana)


def test_a_business_drive_s_deletion_is_filled_from_what_is_known(graph: Graph):
    drive, known, time = graph.service.drive, MemoryKnown(), TrialTime()
    file = drive.write("a.txt", b"one")
    first = pull_all(pull, drive_account(graph.url), tools(known=known, time=time))
    drive.delete(file)
    time.advance(600)
    second = pull_all(pull, drive_account(graph.url), tools(known=known, time=time), first.position)
    [created], [deleted] = first.candidates(onedrive), second.candidates(onedrive)
    assert deleted.event.type == "com.avila.file.deleted"
    assert deleted.event.data["path"] == "OneDrive/a.txt"
    assert deleted.event.data["hash"] == created.event.data["hash"]
    assert deleted.event.data["hash"].startswith("quickxor:")
    assert deleted.event.id == f"b!made-up-drive:{file}:deleted:{{{file}}},1"
    assert deleted.event.time == time.clock()
    assert deleted.event.extensions == {"timebasis": "received"}
    assert [onedrive.parse(d).candidates for d in second.deliveries] == [
        onedrive.parse(d).candidates for d in second.deliveries
    ]


def test_a_file_that_was_merely_opened_tells_nothing_and_is_counted(graph: Graph):
    drive, known = graph.service.drive, MemoryKnown()
    file = drive.write("a.txt", b"one")
    first = pull_all(pull, drive_account(graph.url), tools(known=known))
    drive.touch(file)
    second = pull_all(pull, drive_account(graph.url), tools(known=known), first.position)
    assert second.candidates(onedrive) == []
    assert sum(onedrive.parse(delivery).filtered for delivery in second.deliveries) == 1


def test_a_token_that_is_refused_is_renewed_once_and_a_refresh_token_is_kept(graph: Graph):
    settings = drive_settings(graph.url, drive="me/drive", tenant="common")
    account = Account("arcsat", "onedrive", None, settings, {"refreshToken": REFRESH_TOKEN})
    kept: dict[str, bytes] = {}
    first = pull_all(pull, account, tools(kept=kept))
    assert kept["refreshToken"] not in (b"", REFRESH_TOKEN)
    graph.service.revoke_tokens()
    pull_all(pull, account, tools(kept=kept, known=MemoryKnown()), first.position)
    asked = [path for method, path, _ in graph.requests if method == "POST"]
    assert len(asked) == 2


def test_a_wrong_secret_is_a_sentence_without_the_secret(graph: Graph):
    account = Account("arcsat", "onedrive", None, drive_settings(graph.url), {"clientSecret": b"wrong-one"})
    with pytest.raises(Unauthorized) as caught:
        pull_all(pull, account, tools())
    assert "wrong-one" not in str(caught.value)
    assert "invalid_grant" in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
def test_graph_is_left_alone_for_as_long_as_it_asks(graph: Graph, status: int):
    graph.service.drive.write("a.txt", b"one")
    graph.fail_next(
        Fault(status, {"Retry-After": "17"}, path="delta"), Fault(500, path="delta"), Fault(torn=True)
    )
    time = TrialTime()
    assert len(pull_all(pull, drive_account(graph.url), tools(time=time)).candidates(onedrive)) == 1
    assert max(time.waits) >= 17


def test_where_nothing_is_left_of_a_quota_the_next_call_waits():
    def told(status: int, **headers: str) -> float | None:
        return limits(Answer(status, {k.replace("_", "-"): v for k, v in headers.items()}, b"", ""))

    assert told(200, ratelimit_remaining="0", ratelimit_reset="42") == 42.0
    assert told(200, ratelimit_remaining="120", ratelimit_reset="42") is None
    assert told(429, ratelimit_remaining="0", ratelimit_reset="42") is None
    assert told(200, ratelimit_remaining="0", ratelimit_reset="soon") is None


def test_an_expired_token_leads_to_a_full_enumeration_and_absence_is_deletion(graph: Graph):
    drive, known = graph.service.drive, MemoryKnown()
    drive.page_size = 2
    gone, stays = drive.write("a", b"one"), drive.write("b", b"two")
    first = pull_all(pull, drive_account(graph.url), tools(known=known))
    drive.delete(gone)
    added = drive.write("c", b"three")
    drive.expire_tokens()
    broken = pull_all(pull, drive_account(graph.url), tools(known=known), first.position, pages_at_most=2)
    rest = pull_all(pull, drive_account(graph.url), tools(known=known), broken.position)
    told = broken.candidates(onedrive) + rest.candidates(onedrive)
    assert sorted((c.event.subject, kind) for c, kind in zip(told, types(told), strict=True)) == sorted(
        [(gone, "deleted"), (added, "created")]
    )
    assert stays not in {c.event.subject for c in told}


def test_a_circle_ends_in_a_sentence_and_the_next_poll_begins_anew(graph: Graph):
    drive, known = graph.service.drive, MemoryKnown()
    drive.page_size, drive.circular = 1, True
    for name in "abc":
        drive.write(name, name.encode())
    position: Any = None

    def poll() -> None:
        nonlocal position
        for page in pull.poll(drive_account(graph.url), None, tools(known=known)):
            known.apply(page.items)
            position = page.position

    with pytest.raises(SourceFailed, match="circle"):
        poll()
    drive.circular = False
    pull_all(pull, drive_account(graph.url), tools(known=known), position)
    paths = {str(i.state["said"]["path"]) for i in known.items.values() if "said" in i.state}
    assert paths == {"OneDrive/a", "OneDrive/b", "OneDrive/c"}


def test_links_that_lead_elsewhere_are_not_followed_with_the_token(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
):
    page = graph.service.drive.page
    monkeypatch.setattr(
        graph.service.drive,
        "page",
        lambda token, link: page(token, "https://elsewhere.example.com/delta?token="),
    )
    with pytest.raises(SourceFailed, match="circle"):
        pull_all(pull, drive_account(graph.url), tools())


def test_a_drive_that_is_not_there_stops_the_account(graph: Graph):
    with pytest.raises(Gone):
        pull_all(pull, drive_account(graph.url, drive="drives/another"), tools())


def test_a_window_brings_what_was_modified_in_it_and_not_told_yet(graph: Graph):
    drive, account = graph.service.drive, drive_account(graph.url)
    drive.page_size = 2
    folder = drive.make_folder("folder")
    ids = [drive.write(f"{n}", b"x", folder) for n in range(5)]
    window = Window(drive.entries[ids[1]].modified, drive.entries[ids[4]].modified)
    broken = pull_all(pull, account, tools(), window=window, pages_at_most=2)
    rest = pull_all(pull, account, tools(), broken.position, window=window)
    found = broken.candidates(onedrive) + rest.candidates(onedrive)
    assert sorted(c.event.data["path"] for c in found) == [f"OneDrive/folder/{n}" for n in (1, 2, 3)]
    polled = {c.event.id for c in pull_all(pull, account, tools()).candidates(onedrive)}
    assert {c.event.id for c in found} < polled
    known = MemoryKnown()
    pull_all(pull, account, tools(known=known))
    assert pull_all(pull, account, tools(known=known), window=window).candidates(onedrive) == []


def test_a_subscription_is_made_kept_renewed_and_made_anew(graph: Graph):
    account, time, made = drive_account(graph.url), TrialTime(), graph.service.subscriptions
    [created] = pull.audit(account, tools(time=time))
    assert created.state == "created"
    [subscription] = made.values()
    assert subscription["changeType"] == "updated"
    assert subscription["clientState"] == SECRET.decode()
    assert subscription["notificationUrl"].startswith("https://batuta.example.com/webhooks/arcsat/onedrive?")
    assert [s.state for s in pull.audit(account, tools(time=time))] == ["active"]
    time.advance(15 * 86_400)
    [renewed] = pull.audit(account, tools(time=time))
    assert renewed.state == "renewed"
    assert renewed.expires_at is not None
    assert created.expires_at is not None
    assert renewed.expires_at > created.expires_at
    made.clear()
    assert [s.state for s in pull.audit(account, tools(time=time))] == ["created"]


def test_another_secret_gets_another_subscription_and_the_old_one_goes(graph: Graph):
    old = drive_account(graph.url)
    pull.audit(old, tools())
    new = Account("arcsat", "onedrive", None, old.settings, old.credentials, (b"new", SECRET), old.public_url)
    assert [s.state for s in pull.audit(new, tools())] == ["created"]
    assert [s["clientState"] for s in graph.service.subscriptions.values()] == ["new"]


def test_an_address_that_cannot_be_reached_is_said(graph: Graph):
    graph.service.reachable = False
    [failing] = pull.audit(drive_account(graph.url), tools())
    assert failing.state == "failing"
    assert "ValidationError" in str(failing.detail)
    account = drive_account(graph.url)
    hidden = Account("arcsat", "onedrive", None, account.settings, account.credentials, account.secrets)
    assert pull.audit(hidden, tools()) == ()
    unnamed = Account(
        "arcsat", "onedrive", None, account.settings, account.credentials, (), account.public_url
    )
    [disabled] = pull.audit(unnamed, tools())
    assert disabled.state == "disabled"
    assert "secretRefs" in str(disabled.detail)


ROOT_ITEM = {"id": "R", "name": "root", "root": {}, "folder": {}, "parentReference": {"driveId": "d"}}
INBOX = {"id": "F", "name": "Inbox", "folder": {}, "parentReference": {"driveId": "d", "id": "R"}}


def item(parent: str = "F", version: str = "e1", hash: str = "AAA=") -> dict[str, Any]:
    """A file as a business drive's delta has it."""
    return {
        "id": "X", "name": "a.txt", "eTag": version, "size": 1, "lastModifiedDateTime": "2025-11-12T11:00:00Z",
        "file": {"hashes": {"quickXorHash": hash}}, "parentReference": {"driveId": "d", "id": parent},
    }  # fmt: skip


def read_saved(folder: Path, known: MemoryKnown, *pages: list[dict[str, Any]]) -> list[Any]:
    """What these pages tell once they are saved to files."""
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    for number, page in enumerate(pages, 9):
        (folder / f"page-{number}.json").write_text(
            json.dumps({"value": page, "@odata.nextLink": "https://x/"})
        )
    account, calls = files.as_poll(folder, Account("arcsat", "onedrive", None, UNBOUND, {}))
    return pull_all(pull, account, replace(tools(known=known), calls=calls)).candidates(onedrive)


UNBOUND = onedrive.SETTINGS.model_construct()


def test_saved_pages_are_read_as_a_poll_reads_them(tmp_path: Path):
    known, folder = MemoryKnown(), tmp_path / "pages"
    [created] = read_saved(folder, known, [item()], [ROOT_ITEM, INBOX])
    assert created.event.data["path"] == "OneDrive/Inbox/a.txt"
    assert created.event.id == "d:X:e1"
    assert read_saved(folder, known, [item()], [ROOT_ITEM]) == []
    assert types(read_saved(folder, known, [{"id": "F", "deleted": {}}])) == ["deleted"]


def test_saved_pages_get_the_labels_that_the_settings_give(tmp_path: Path):
    (tmp_path / "page.json").write_text(json.dumps({"value": [ROOT_ITEM, INBOX, item()]}))
    given = {"tenant": "t", "clientId": "c", "drive": "drives/d"}
    settings = onedrive.SETTINGS.model_validate(
        {**given, "labels": [{"path": "OneDrive/Inbox", "labels": ["in"]}]}
    )
    account, calls = files.as_poll(tmp_path, Account("arcsat", "onedrive", None, settings, {}))
    [created] = pull_all(pull, account, replace(tools(), calls=calls)).candidates(onedrive)
    assert created.event.data["labels"] == ["in"]


def test_files_that_hold_no_pages_are_said(tmp_path: Path):
    account = Account("arcsat", "onedrive", None, UNBOUND, {})
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text("{}")
    for name, said in (("empty", "no saved page"), ("broken.json", "no JSON"), ("other.json", "no page")):
        with pytest.raises(SourceFailed, match=said):
            files.as_poll(tmp_path / name, account)


def test_a_file_whose_folder_comes_later_is_held_or_stands_below_the_root_until_then(tmp_path: Path):
    known = MemoryKnown()
    [created] = read_saved(tmp_path / "1", known, [ROOT_ITEM, item()])
    assert created.event.data["path"] == "OneDrive/a.txt"
    [renamed] = read_saved(tmp_path / "2", known, [INBOX])
    assert renamed.event.type == "com.avila.file.renamed"
    assert renamed.event.data["previousPath"] == "OneDrive/a.txt"
    assert renamed.event.data["path"] == "OneDrive/Inbox/a.txt"


def test_a_folder_that_comes_a_round_later_still_gives_its_files_their_path(tmp_path: Path):
    known, position, told = MemoryKnown(), None, list[str]()
    account = drive_account("https://graph.example.com")
    for number, page in enumerate(([ROOT_ITEM, item()], [INBOX])):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps({"value": page}))
        calls = files.SavedPages(file, drive_settings("https://graph.example.com"))
        pulled = pull_all(pull, account, replace(tools(known=known), calls=calls), position)
        position = pulled.position
        told += [c.event.data["path"] for c in pulled.candidates(onedrive)]
    assert told == ["OneDrive/a.txt", "OneDrive/Inbox/a.txt"]


def test_a_file_that_goes_before_its_change_was_told_goes_as_it_was_told(tmp_path: Path):
    known = MemoryKnown()
    [created] = read_saved(tmp_path / "1", known, [ROOT_ITEM, INBOX, item()])
    deleted = {"id": "X", "deleted": {}}
    [gone] = read_saved(tmp_path / "2", known, [item("unknown", "e2", "BBB=")], [deleted])
    assert gone.event.type == "com.avila.file.deleted"
    assert gone.event.data["hash"] == created.event.data["hash"] == "quickxor:AAA="
    assert gone.event.data["path"] == "OneDrive/Inbox/a.txt"


def test_a_file_that_comes_back_with_the_version_it_had_is_told_again(tmp_path: Path):
    known, ids = MemoryKnown(), list[str]()
    for n in range(3):
        ids += [c.event.id for c in read_saved(tmp_path / f"{n}a", known, [ROOT_ITEM, INBOX, item()])]
        ids += [c.event.id for c in read_saved(tmp_path / f"{n}b", known, [{"id": "X", "deleted": {}}])]
    assert len(set(ids)) == len(ids) == 6
    assert ids[:2] == ["d:X:e1", "d:X:deleted:e1"]


def test_labels_come_from_folders_and_rules_each_once():
    rules = (
        LabelRule(path="OneDrive/inbox/Arkana", labels=("a", "arkana")),
        LabelRule(path="*.pdf", labels=("pdf",), pii=True),
    )
    settings = onedrive.SETTINGS.model_construct(labels=rules)
    assert settings.labels_of("OneDrive/Inbox/arkana/x/f.PDF") == ("arkana", "x", "a", "pdf")
    assert settings.labels_of("OneDrive/Inboxes/f") == ()
    assert settings.personal("OneDrive/f.pdf")
    assert not settings.personal("OneDrive/f.txt")


def test_names_of_files_are_searched_for_persons_and_say_so(graph: Graph, tmp_path: Path):
    graph.service.drive.write(
        "contrato 529.982.247-25.pdf", b"one", graph.service.drive.make_folder("ana@example.com")
    )
    [candidate] = pull_all(pull, drive_account(graph.url), tools()).candidates(onedrive)
    assert candidate.event.data["pii"] is True
    contract = Contracts.load().for_type(candidate.event.type)
    masker = Masker("arcsat", create_keys(tmp_path))
    plan = write_program(contract.root, contract.reference, {}).bind(masker)
    data, tally = plan.apply(candidate.event.data)
    assert "529.982" not in json.dumps(data)
    assert "ana@example.com" not in json.dumps(data)
    assert data["path"].startswith("OneDrive/[[EMAIL:")
    assert tally.dropped == 0


@pytest.mark.parametrize(
    ("credentials", "changes", "lacking"),
    [
        ({"clientSecret"}, {}, None),
        ({"clientSecret"}, {"drive": "me/drive"}, "settings.drive"),
        ({"clientSecret"}, {"tenant": "common"}, "settings.tenant"),
        ({"refreshToken"}, {"drive": "me/drive", "tenant": "common"}, None),
        (set(), {}, "credential"),
    ],
)
def test_settings_that_cannot_work_with_the_credentials_are_said(
    credentials: set[str], changes: dict[str, str], lacking: str | None
):
    said = drive_settings("https://graph.example.com", **changes).lacking(frozenset(credentials))
    assert said is None if lacking is None else lacking in str(said)
