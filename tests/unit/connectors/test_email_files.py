"""Mail in files: one message, mbox, Maildir, folders of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from batuta.landing.capture import BadLine
from batuta.landing.model import Delivery, Rejected
from sensors.connectors import email
from sensors.connectors.email import files
from sensors.connectors.pulling import Account

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ACCOUNT = Account("arcsat", "email", "vendas", email.SETTINGS.model_construct(), {})


def mail(number: int, text: str = "oi") -> bytes:
    return f"From: a@example.com\nSubject: {number}\n\n{text}\n".encode()


def subjects(path: Path) -> list[str]:
    found: list[str] = []
    for item in files.read(path, ACCOUNT, NOW):
        assert isinstance(item, Delivery)
        found += [c.event.data["subject"] for c in email.parse(item).candidates]
    return found


def problems(path: Path) -> list[str]:
    return [item.message for item in files.read(path, ACCOUNT, NOW) if isinstance(item, BadLine)]


def test_one_message(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail(1))
    assert subjects(tmp_path / "a.eml") == ["1"]
    (found,) = files.read(tmp_path / "a.eml", ACCOUNT, NOW)
    assert isinstance(found, Delivery)
    event = email.parse(found).candidates[0].event
    assert event.id == event.data["sha256"]
    assert (event.time, event.extensions["timebasis"]) == (NOW, "received")


def test_an_mbox_is_split_at_its_separators_only(tmp_path: Path) -> None:
    separator = b"From a@example.com Mon Mar  2 10:00:00 2026\n"
    tricky = "Dear all,\n\nFrom now on we meet at 10.\n\n>From me\n>>From you"
    (tmp_path / "box").write_bytes(
        separator + mail(1, tricky) + b"\n" + b"From - Mon, 02 Mar 2026 10:00:00 +0000\n" + mail(2) + b"\n"
    )
    assert subjects(tmp_path / "box") == ["1", "2"]
    first, second = (d for d in files.read(tmp_path / "box", ACCOUNT, NOW) if isinstance(d, Delivery))
    assert first.body == mail(1, tricky.replace(">From me", "From me").replace(">>From", ">From"))
    assert second.body == mail(2)


def test_a_maildir_with_its_folders(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / ".Enviadas"):
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True)
    (tmp_path / "cur" / "1.host:2,FS").write_bytes(mail(1))
    (tmp_path / "new" / "2.host").write_bytes(mail(2))
    (tmp_path / "tmp" / "3.host").write_bytes(mail(3))
    (tmp_path / ".Enviadas" / "cur" / "4.host:2,S").write_bytes(mail(4))
    assert subjects(tmp_path) == ["1", "2", "4"]
    headers = [d.headers for d in files.read(tmp_path, ACCOUNT, NOW) if isinstance(d, Delivery)]
    assert [(h["folder"], h["flags"]) for h in headers] == [
        ("INBOX", "flagged seen"),
        ("INBOX", ""),
        ("Enviadas", "seen"),
    ]


def test_folders_of_files(tmp_path: Path) -> None:
    (tmp_path / "2025").mkdir()
    (tmp_path / "2025" / "b.eml").write_bytes(mail(2))
    (tmp_path / "a.EML").write_bytes(mail(1))
    (tmp_path / "notes.txt").write_bytes(b"no mail")
    assert subjects(tmp_path) == ["1", "2"]


def test_what_is_no_mail_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.eml").write_bytes(b"\n")
    (tmp_path / "outlook.eml").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + b"\x00" * 100)
    assert problems(tmp_path) == ["is empty, so it is no mail", problems(tmp_path / "outlook.eml")[0]]
    assert ".eml" in problems(tmp_path / "outlook.eml")[0]
    (tmp_path / "x").mkdir()
    assert "no mail" in problems(tmp_path / "x")[0]


def test_a_file_without_any_header_is_held() -> None:
    delivery = ACCOUNT.delivery(email.FILE, b"\x89PNG\r\n\x1a\n just bytes", NOW)
    with pytest.raises(Rejected) as rejected:
        email.parse(delivery)
    assert rejected.value.code == "mime"
