"""The review as a mail: plain text, HTML with its charts by content id, and the whole page attached.

The same review gives the same message but for its boundaries; the Message-ID comes from what is delivered to whom, so
that a mail sent twice in a crash is recognised as one.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from batuta.reports import charts
from batuta.reports.figures import review_charts
from batuta.reports.formats import long_date
from batuta.reports.ledger import plain_words
from batuta.reports.model import Picture, Review, ReviewInputs
from batuta.reports.page import PageModel
from batuta.reports.told import kpi_rows, told
from batuta.reports.words import words_of

WIDTH: Final = 76
SHOWN_MISMATCHES: Final = 5
SHOWN_CHARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says, before it has sender and recipients."""

    subject: str
    text: str
    html: str
    pictures: tuple[Picture, ...]
    attachment_name: str
    attachment: str


def write_letter(inputs: ReviewInputs, review: Review) -> Letter:
    """The mail of a review."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pictures = tuple(
        Picture(c.name, charts.png(replace(c, size="mail")), c.description)
        for c in review_charts(inputs)[:SHOWN_CHARTS]
    )
    environment = Environment(
        loader=PackageLoader("batuta.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    model = PageModel(inputs)
    rendered = environment.get_template("daily_review_mail.html.j2").render(
        page=model,
        words=model.words,
        inputs=inputs,
        notices=[notice.plain(model.locale) for notice in review.notices],
        pictures=pictures,
        titles={chart.name: chart.title for chart in review_charts(inputs)},
        plain=plain_words,
        shown=SHOWN_MISMATCHES,
    )
    return Letter(
        subject=review.subject,
        text=plain_text(inputs, review),
        html=rendered,
        pictures=pictures,
        attachment_name=f"{inputs.product.name}-{inputs.business_date.isoformat()}.html",
        attachment=review.html,
    )


def plain_text(inputs: ReviewInputs, review: Review) -> str:
    """The review in plain text."""
    words, locale = words_of(inputs.product.locale), inputs.product.locale
    model = PageModel(inputs)
    said: list[str] = [
        f"{inputs.product.name} - {words['report']}",
        long_date(inputs.business_date, locale),
        "",
        *_heading(words["summary"]),
    ]
    if review.notices:
        said += [f"* {notice.plain(locale)}" for notice in review.notices]
    else:
        said.append(words["nothing_to_note"])
    said += ["", *_heading(words["kpis"]), *_kpi_lines(model)]
    for title, paragraphs in told(inputs):
        said += ["", *_heading(title)]
        for paragraph in paragraphs:
            said += [*textwrap.wrap(paragraph, WIDTH), ""]
        said.pop()
    said += [
        "",
        "-- ",
        *textwrap.wrap(words["attached"], WIDTH),
        *textwrap.wrap(words["written_by_template"], WIDTH),
    ]
    said += [model.freshness]
    return "\n".join(line.replace("\N{NO-BREAK SPACE}", " ") for line in said) + "\n"


def _heading(title: str) -> list[str]:
    return [title, "-" * len(title)]


def _kpi_lines(model: PageModel) -> list[str]:
    rows = kpi_rows(model)
    names = max((len(name) for name, _, _ in rows), default=0)
    values = max((len(value) for _, value, _ in rows), default=0)
    return [f"{name:<{names}}  {value:>{values}}  {moved}".rstrip() for name, value, moved in rows]


def message_id(identity: Sequence[str], sender: str) -> str:
    """The Message-ID of a delivery: the same at every attempt."""
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32]
    return f"<{digest}@{sender.rpartition('@')[2] or 'localhost'}>"


def compose(
    letter: Letter, sender: str, recipients: Sequence[str], identifier: str, at: datetime
) -> EmailMessage:
    """The message, ready to be sent.

    Args:
        letter: what it says.
        sender: address in From.
        recipients: addresses in To.
        identifier: its Message-ID.
        at: its Date.
    """
    message = EmailMessage()
    message["Subject"] = letter.subject
    message["From"] = Address(display_name="BATUTA", addr_spec=sender)
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = identifier
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    page = message.get_payload()[1]  # pyright: ignore[reportArgumentType]
    for picture in letter.pictures:
        page.add_related(  # pyright: ignore[reportAttributeAccessIssue]
            picture.png,
            maintype="image",
            subtype="png",
            cid=f"<{picture.name}@batuta>",
            filename=f"{picture.name}.png",
            disposition="inline",
        )
    message.add_attachment(letter.attachment, subtype="html", filename=letter.attachment_name)
    return message
