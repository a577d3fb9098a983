"""The mail: what a mail program gets, and how the mail server's address is read."""

import email
import re
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage

import pytest

from batuta.reports.mail import compose, message_id, plain_text, write_letter
from batuta.reports.page import build_report
from batuta.reports.smtp import MailServer, MailServerUnfit
from tests.support.review import review_inputs

AT = datetime(2025, 11, 13, 9, 0, tzinfo=UTC)
TO = ("nicolas@example.com", "ana@example.org")


@pytest.fixture(scope="module")
def message() -> EmailMessage:
    inputs = review_inputs()
    letter = write_letter(inputs, build_report(inputs))
    composed = compose(letter, "batuta@example.com", TO, "<abc@example.com>", AT)
    read = email.message_from_bytes(composed.as_bytes(), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def test_headers_name_day_sender_recipients_and_an_automatic_origin(message: EmailMessage) -> None:
    assert message["Subject"] == "arcsat: revisão diária de 12/11/2025"
    assert message["From"] == "BATUTA <batuta@example.com>"
    assert message["To"] == ", ".join(TO)
    assert message["Message-ID"] == "<abc@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"] == "Thu, 13 Nov 2025 09:00:00 +0000"


def test_the_charts_are_pictures_that_the_html_names_by_content_id(message: EmailMessage) -> None:
    html = message.get_body(("html",))
    assert html is not None
    wanted = set(re.findall(r'src="cid:([^"]+)"', html.get_content()))
    pictures = {
        part["Content-ID"].strip("<>"): part
        for part in message.walk()
        if part.get_content_type() == "image/png"
    }
    assert wanted == set(pictures)
    assert wanted
    for part in pictures.values():
        picture = part.get_payload(decode=True)
        assert isinstance(picture, bytes)
        assert picture.startswith(b"\x89PNG")
    assert "<svg" not in html.get_content()


def test_the_whole_page_is_attached(message: EmailMessage) -> None:
    (attached,) = message.iter_attachments()
    assert attached.get_filename() == "arcsat-2025-11-12.html"
    assert "Fatos e linhagem" in attached.get_content()


def test_the_plain_text_stands_on_its_own(message: EmailMessage) -> None:
    body = message.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "* 1 pedido não confere (R$ 1.234,56 em risco)" in text
    assert re.search(r"Título de LTV +R\$ 1\.234,56 +\(\+37,2 % em 7 dias\)", text)
    assert max(len(line) for line in text.splitlines()) <= 78
    assert "<" not in text
    assert "{{" not in text


def test_the_text_of_an_empty_day_says_so() -> None:
    inputs = review_inputs(analyses={}, held=(), series=())
    assert "Nada que peça atenção hoje." in plain_text(inputs, build_report(inputs))


def test_a_message_id_is_of_what_goes_to_whom() -> None:
    first = message_id(("p", "arcsat", "2025-11-12", "email", "d"), "batuta@example.com")
    assert first == message_id(("p", "arcsat", "2025-11-12", "email", "d"), "batuta@example.com")
    assert first != message_id(("p", "arcsat", "2025-11-13", "email", "d"), "batuta@example.com")
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", first)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://localhost", MailServer("localhost", 25, False, False, None, None)),
        ("smtps://u:p%40ss@mail.example.com", MailServer("mail.example.com", 465, True, False, "u", "p@ss")),
        (
            "smtp://u:p@mail.example.com:587?starttls=1",
            MailServer("mail.example.com", 587, False, True, "u", "p"),
        ),
        (
            "smtp://mail.example.com:587?starttls=0",
            MailServer("mail.example.com", 587, False, False, None, None),
        ),
    ],
)
def test_an_smtp_address_is_read(url: str, expected: MailServer) -> None:
    assert MailServer.from_url(url) == expected


@pytest.mark.parametrize(
    "url", ["mail.example.com", "http://x", "smtp://", "smtp://h:port", "smtp://geheim@h"]
)
def test_a_bad_smtp_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(MailServerUnfit) as raised:
        MailServer.from_url(url)
    assert "BATUTA_SMTP_URL" in raised.value.message
    assert "geheim" not in raised.value.message + (raised.value.hint or "")


def test_a_password_is_not_in_the_representation() -> None:
    assert "geheim" not in repr(MailServer.from_url("smtp://u:geheim@h"))
