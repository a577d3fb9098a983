"""Mails as they come: whatever they hold they are read, and people's names go no further."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batuta.contracts.contract import Contracts
from batuta.keys import create_keys
from batuta.landing.model import Candidate, Delivery, Rejected
from batuta.landing.prepare import Preparation
from batuta.policy.decision import DefaultPolicy
from sensors.connectors import email
from sensors.connectors.email import change_body
from sensors.connectors.email.message import read_message
from sensors.connectors.pulling import FORM

RECEIVED_AT = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
PLACE = {
    "host": "mail.example.com",
    "user": "vendas@example.com",
    "folder": "Clientes/Maria Silva",
    "role": "other",
    "uidvalidity": "7",
    "uid": "42",
    "flags": "seen",
    "internaldate": "2026-03-02T12:00:00Z",
}
SIMPLE = (
    b"Received: from x by mail.example.com; Mon, 2 Mar 2026 12:00:00 +0000\r\n"
    b"From: =?utf-8?q?Jo=C3=A3o?= <Joao@Example.com>\r\nTo: Ana <ana@example.com>, bia@example.com\r\n"
    b"Subject: =?utf-8?b?T2zDoQ==?= tudo bem\r\nMessage-ID: <1@example.com>\r\n"
    b"Date: Mon, 2 Mar 2026 08:59:00 -0300\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nOl\xc3\xa1!\r\n"
)


def delivered(body: bytes, form: str = email.MESSAGE, **headers: str) -> Delivery:
    named = {FORM: form} | PLACE | headers
    return Delivery("arcsat", "email", "vendas", named, body, RECEIVED_AT)


def candidate(body: bytes, form: str = email.MESSAGE, **headers: str) -> Candidate:
    (found,) = email.parse(delivered(body, form, **headers)).candidates
    return found


def data(raw: bytes) -> dict[str, Any]:
    return read_message(raw).data


def test_a_mail_becomes_an_event_whose_time_is_the_servers() -> None:
    found = candidate(SIMPLE)
    event = found.event
    assert (event.id, event.type, event.subject) == ("7:42:received", "com.avila.email.received", "7:42")
    assert event.time == datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    assert event.data["subject"] == "Olá tudo bem"
    assert event.data["from"] == ["Joao@Example.com"]
    assert event.data["to"] == ["ana@example.com", "bia@example.com"]
    assert event.data["message_id"] == "1@example.com"
    assert event.data["text"] == "Olá!"
    assert event.data["sent_at"] == "2026-03-02T11:59:00Z"
    assert event.data["received_hops"] == 1
    assert found.hashed == {"source"}


def test_nothing_that_landing_writes_names_a_person(tmp_path: Path) -> None:
    preparation = Preparation(Contracts.load(), DefaultPolicy(), create_keys(tmp_path))
    prepared = preparation.prepare(delivered(SIMPLE), email.parse)
    assert prepared.held is None
    written = " ".join(f"{row.source} {row.subject} {row.data.decode()}" for row in prepared.rows).lower()
    # A pseudonym may spell a short name by chance.
    written = re.sub(r"\b[a-z]?\d+:[\w-]{20,}|sha256:[0-9a-f]+", "", written)
    for word in ("joao", "joão", "ana", "bia", "vendas@", "maria", "1@example.com"):
        assert word not in written
    assert "imap://mail.example.com/" in written


@pytest.mark.parametrize(
    ("form", "change", "id"),
    [
        (email.PLACED, "place", "7:42:place"),
        (email.FLAGS, "flags", "7:42:flags:m9"),
        (email.DELETED, None, "7:42:deleted"),
    ],
)
def test_what_becomes_of_a_mail_lands_under_its_contract(
    form: str, change: str | None, id: str, tmp_path: Path
) -> None:
    body = change_body("2026-03-02T12:30:00Z", "m9" if form == email.FLAGS else None)
    found = candidate(body, form)
    assert found.event.id == id
    assert found.event.data.get("change") == change
    preparation = Preparation(Contracts.load(), DefaultPolicy(), create_keys(tmp_path))
    assert preparation.prepare(delivered(body, form), email.parse).held is None


def test_a_mail_is_known_by_its_content_wherever_it_lies() -> None:
    here, there = candidate(SIMPLE), candidate(SIMPLE, folder="INBOX", uid="1", uidvalidity="3")
    assert here.event.source != there.event.source
    assert (here.entity, here.version) == (there.entity, there.version)
    from_file = candidate(SIMPLE.replace(b"\r\n", b"\n"), email.FILE)
    assert (from_file.entity, from_file.version) == (here.entity, here.version)


@pytest.mark.parametrize("missing", ["host", "user", "folder", "uid", "uidvalidity"])
def test_a_mail_that_lies_nowhere_is_rejected(missing: str) -> None:
    with pytest.raises(Rejected):
        email.parse(delivered(SIMPLE, **{missing: ""}))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"yesterday",
        b"Mon, 99 Foo 2026 99:99:99 +9999",
        b"(((((",
        b"=?utf-8?q?",
        b"Mon, 2 Mar 99999999999999999999 10:00:00 +0000",
    ],
)
def test_a_date_that_is_none_costs_the_date_alone(value: bytes) -> None:
    found = candidate(b"Date: " + value + b"\r\nSubject: x\r\n\r\ntext")
    assert (found.event.data["sent_at"], found.event.data["text"]) == (None, "text")
    assert found.event.time == datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        (b"=?utf-8?q?Ol=C3?= =?utf-8?q?=A1?=", "Olá"),
        (b"=?utf-8?b?!!!?= fim", " fim"),
        (b"=?utf-8?b?a?= fim", "=?utf-8?b?a?= fim"),
        (b"=?x-none?q?abc?=", "abc"),
        (b"=?iso-8859-1?q?=E1?= fim", "á fim"),
        (b"caf\xe9", "café"),
        (b"caf\xc3\xa9", "café"),
        (b"a\r\n  b", "a  b"),
    ],
)
def test_subjects_are_decoded_as_far_as_they_can_be(header: bytes, subject: str) -> None:
    assert data(b"Subject: " + header + b"\r\n\r\n")["subject"] == subject


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        (b"iso-8859-1", b"\xe1gua", "água"),
        (b"x-unknown", "água".encode(), "água"),
        (b"x-unknown", b"\xe1gua", "água"),
        (b"utf-8", b"\xe1gua", "água"),
        (b"punycode", b"\xe1gua", "água"),
        (b"\x00", b"agua", "agua"),
        (b"utf-8", "Профиль ".encode() + b"\xff", "Профиль \ufffd"),
    ],
)
def test_texts_are_read_whatever_charset_they_claim(charset: bytes, content: bytes, text: str) -> None:
    assert data(b"Content-Type: text/plain; charset=" + charset + b"\r\n\r\n" + content)["text"] == text


def test_html_becomes_text_and_links_are_left_out() -> None:
    raw = (
        b"Content-Type: text/html; charset=utf-8\r\n\r\n<style>p{}</style><p>Oi <b>Ana</b> &amp; Bia</p>"
        b'<a href="https://x.example.com/u/joao">aqui</a><script>if (a<b) x()</script><br>fim<!-- nada -->'
    )
    assert data(raw)["text"] == "Oi Ana & Bia\naqui\nfim"


def multipart(*parts: bytes, kind: bytes = b"mixed") -> bytes:
    head = b"From: a@example.com\r\nContent-Type: multipart/" + kind + b"; boundary=b\r\n\r\n"
    return head + b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


def test_plain_text_goes_before_html_and_attachments_are_listed_by_hash() -> None:
    raw = multipart(
        b"Content-Type: text/html\r\n\r\n<p>html</p>",
        b"Content-Type: text/plain\r\n\r\nplain",
        b"Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.b64encode(b"tnef"),
        b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text",
        b'Content-Disposition: attachment; filename="=?utf-8?q?rela=C3=A7=C3=A3o.csv?="\r\n\r\na,b',
    )
    found = data(raw)
    assert (found["text"], found["text_from"]) == ("plain", "plain")
    listed = {a["media_type"]: a for a in found["attachments"]}
    assert set(listed) == {"application/ms-tnef", "message/rfc822", "text/plain"}
    assert listed["text/plain"]["filename"] == "relação.csv"
    assert listed["application/ms-tnef"]["size"] == 4
    assert listed["message/rfc822"]["size"] > 0


def test_repeated_headers_are_all_read_and_the_first_subject_counts() -> None:
    found = data(b"To: a@example.com\r\nTo: b@example.com\r\nSubject: 1\r\nSubject: 2\r\n\r\n")
    assert found["to"] == ["a@example.com", "b@example.com"]
    assert found["subject"] == "1"


def test_authentication_results_count_from_the_trusted_server_alone() -> None:
    raw = (
        b"Authentication-Results: mx.example.com 1; spf=pass smtp.mailfrom=x@y (dkim=fail); dkim=fail\r\n"
        b"Authentication-Results: evil.example.net; spf=pass; dkim=pass; dmarc=pass\r\n"
        b"Authentication-Results: mx.example.com; spf=fail; dmarc=pass\r\n"
        b"DKIM-Signature: v=1; a=rsa-sha256; d=Example.COM; s=x; bh=y; b=z\r\n\r\n"
    )
    found = read_message(raw, trusted="MX.example.com").data
    assert found["authentication"] == {
        "server": "mx.example.com",
        "spf": "pass",
        "dkim": "fail",
        "dmarc": "pass",
    }
    assert [claim["server"] for claim in found["untrusted_authentication"]] == ["evil.example.net"]
    assert found["dkim_domains"] == ["example.com"]
    assert read_message(raw).data["authentication"] is None


def test_lists_and_machines_are_told_from_people() -> None:
    assert data(b"List-Id: <x.example.com>\r\n\r\n")["mailing_list"]
    assert data(b"Precedence: bulk\r\n\r\n")["bulk"]
    assert data(b"Auto-Submitted: auto-replied (vacation)\r\n\r\n")["auto_submitted"] == "auto-replied"
    assert data(b"Auto-Submitted: no\r\n\r\n")["auto_submitted"] is None


def nested(depth: int) -> bytes:
    return b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth)
    )


@pytest.mark.parametrize(
    "raw",
    [
        nested(5000),
        multipart(*[b"\r\nx"] * 5000),
        b"To: " + b"(" * 200_000 + b"\r\n\r\n",
        b"To: " + b'"' * 200_000 + b"\r\n\r\n",
        b"Subject: " + b"=?" * 200_000 + b"\r\n\r\n",
        b"Content-Type: text/plain" + b";" * 500_000 + b"\r\n\r\nhi",
        b"Content-Type: text/html\r\n\r\n" + b"<!--" * 200_000,
        b"Content-Type: text/html\r\n\r\n" + b"<![CDATA[" * 100_000,
        b"Content-Type: text/html\r\n\r\n" + b'<a b="' * 100_000,
        b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a-\xe9" * 200_000,
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n" + b"\xff~~~\r\n" * 50_000,
        b"\x00" * 100_000,
    ],
    ids=lambda raw: repr(raw[:40]),
)
@pytest.mark.timeout(120)
def test_a_mail_that_is_built_to_be_read_for_ever_is_read(raw: bytes) -> None:
    # Quadratic work on any of these takes many minutes, and ends at the time limit.
    orjson.dumps(candidate(raw).event.data)


def test_a_mail_too_deep_to_be_read_lands_with_its_headers() -> None:
    found = data(b"Subject: x\r\n" + nested(50))
    assert (found["subject"], found["complete"], found["defects"]) == ("x", False, ["TooDeep"])


FRAGMENTS = st.sampled_from(
    [
        b"From: ",
        b"To: a@example.com, ",
        b"Date: ",
        b"Subject: =?utf-8?b?",
        b"?=",
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"--b",
        b"--b--",
        b"Content-Type: multipart/mixed; boundary=b",
        b"Content-Type: multipart/alternative",
        b"Content-Type: message/rfc822",
        b"Content-Type: message/delivery-status",
        b"Content-Type: message/external-body; access-type=x",
        b"Content-Type: text/html; charset=",
        b"Content-Type: text/plain; charset*0*=utf-16''%00; charset*1=x",
        b"Content-Disposition: attachment; filename*=utf-8''%ff%00; filename=\"",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Transfer-Encoding: x-uuencode",
        b"begin 644 x\r\n~~~~",
        b"<",
        b">",
        b"<script>",
        b"&#xd800;",
        b"&#0;",
        b"\x00",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"=D8=00",
        b"utf-16",
        b"utf-7",
        b"idna",
        b" ",
        b";",
        b":",
        b"(",
        b'"',
        b"Authentication-Results: x; spf=",
        b"References: <a@b>",
    ]
)
MAILS = st.one_of(
    st.binary(max_size=400),
    st.lists(st.one_of(FRAGMENTS, st.binary(max_size=6)), max_size=40).map(b"".join),
)


@pytest.fixture(scope="module")
def preparation(tmp_path_factory: pytest.TempPathFactory) -> Preparation:
    return Preparation(Contracts.load(), DefaultPolicy(), create_keys(tmp_path_factory.mktemp("keys")))


@settings(max_examples=200, deadline=None)
@given(raw=MAILS)
@example(raw=b"Content-Type: message/rfc822\r\n\r\n\x00\xff")
@example(raw=b"Content-Type: text/html\r\n\r\n&#xd800;&#0;")
@example(raw=b"Subject: \xed\xa0\x80 =?utf-8?b?7aCA?=\r\n\r\n\xed\xa0\x80")
def test_any_bytes_that_a_server_gives_land(preparation: Preparation, raw: bytes) -> None:
    prepared = preparation.prepare(delivered(raw), email.parse)
    assert prepared.held is None
    assert len(prepared.rows) == 1


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(SIMPLE)), cut=st.integers(0, 40), put=st.binary(max_size=8))
def test_a_mail_with_any_damage_lands(preparation: Preparation, at: int, cut: int, put: bytes) -> None:
    raw = SIMPLE[:at] + put + SIMPLE[at + cut :]
    assert preparation.prepare(delivered(raw), email.parse).held is None


@settings(max_examples=200, deadline=None)
@given(
    form=st.sampled_from(["message", "file", "placed", "flags", "deleted", "none", ""]),
    body=st.one_of(MAILS, st.just(b"{}"), st.just(b'{"at": 1, "again": "\\u0000", "sha256": []}')),
    headers=st.dictionaries(st.sampled_from([*PLACE, "size", "whole", "trusted"]), st.text(max_size=12)),
)
def test_whatever_a_delivery_says_it_is_read_or_rejected(
    form: str, body: bytes, headers: dict[str, str]
) -> None:
    try:
        email.parse(delivered(body, form, **headers))
    except Rejected:
        pass
