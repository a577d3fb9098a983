"""Delivers a review once: claimed in the database first, sent then, settled last.

A delivery is of one pipeline, product, day, channel and list of recipients, however many pages that day had. A claim
whose process died is taken up once more, with the same Message-ID; a failure is tried again by later runs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from batuta.reports.mail import Letter, compose, message_id
from batuta.reports.smtp import MailNotSent, MailServer, MailServerUnfit, send
from batuta.reports.store import ReportNotWritten, write_whole
from batuta.settings import Settings
from batuta.telemetry import get_logger

if TYPE_CHECKING:
    import psycopg

DeliveryState: TypeAlias = Literal["sending", "sent", "written", "failed"]

STALE: Final = timedelta(minutes=15)
ATTEMPTS: Final = 5
STALE_ATTEMPTS: Final = 2
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be delivered to whom; `channel` is `email`."""

    pipeline: str
    product: str
    business_date: date
    channel: str
    recipients: tuple[str, ...]
    report: str

    @property
    def recipients_digest(self) -> str:
        """The list of recipients, whatever its order and case, without naming them."""
        listed = "\n".join(sorted({recipient.strip().lower() for recipient in self.recipients}))
        return "sha256:" + hashlib.sha256(listed.encode()).hexdigest()

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it one delivery."""
        day = self.business_date.isoformat()
        return (self.pipeline, self.product, day, self.channel, self.recipients_digest)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a delivery stands; `now` says whether this call made it."""

    state: DeliveryState
    now: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Claim:
    message_id: str
    standing: Delivered | None
    """How it stands where there is nothing to do."""


def deliver(
    conn: psycopg.Connection[Any],
    settings: Settings,
    errand: Errand,
    letter: Callable[[], Letter],
    clock: Callable[[], datetime],
) -> Delivered:
    """Send the mail of a day, or write it to the outbox where no mail server is set, unless that was done before.

    Args:
        conn: An idle connection of the writer role.
        settings: Mail server, sender, outbox.
        errand: What goes to whom.
        letter: Makes the mail; only called where it is to be sent.
        clock: Aware UTC time.

    Returns:
        How it stands. A mail that could not be sent is `failed` with its reason; nothing is raised for it.
    """
    claim = _claim(conn, errand, message_id(errand.identity, settings.mail_from), clock())
    if claim.standing is not None:
        return claim.standing
    try:
        state, error = _hand_over(settings, errand, letter(), claim.message_id, clock())
    except (MailNotSent, MailServerUnfit, ReportNotWritten) as failure:
        state, error = "failed", failure.message
        get_logger("reports").error(
            "mail_failed", pipeline=errand.pipeline, product=errand.product, reason=error
        )
    with conn.transaction():
        conn.execute(
            "update batuta.report_deliveries set state = %s, error = %s, updated_at = %s where " + _KEY,
            (state, error, clock(), *_key(errand)),
        )
    return Delivered(state, now=True, error=error)


def _hand_over(
    settings: Settings, errand: Errand, letter: Letter, identifier: str, at: datetime
) -> tuple[DeliveryState, str | None]:
    message = compose(letter, settings.mail_from, errand.recipients, identifier, at)
    if settings.smtp_url is None:
        name = "-".join((errand.product, errand.business_date.isoformat(), errand.pipeline, identifier[1:9]))
        write_whole(settings.outbox_dir / f"{_UNFIT.sub('-', name)}.eml", message.as_bytes())
        return "written", None
    server = MailServer.from_url(settings.smtp_url.get_secret_value())
    refused = send(server, message, settings.mail_from, errand.recipients)
    return (
        "sent",
        f"{server.host} refused {refused} of {len(errand.recipients)} recipients" if refused else None,
    )


_KEY: Final = (
    "pipeline = %s and product = %s and business_date = %s and channel = %s and recipients_digest = %s"
)


def _key(errand: Errand) -> Sequence[Any]:
    return (errand.pipeline, errand.product, errand.business_date, errand.channel, errand.recipients_digest)


def _claim(conn: psycopg.Connection[Any], errand: Errand, identifier: str, now: datetime) -> _Claim:
    """Take the delivery for this process, in a transaction of its own."""
    with conn.transaction():
        taken = conn.execute(
            "insert into batuta.report_deliveries "
            "(pipeline, product, business_date, channel, recipients_digest, report, state, message_id, updated_at) "
            "values (%s, %s, %s, %s, %s, %s, 'sending', %s, %s) on conflict do nothing returning message_id",
            (*_key(errand), errand.report, identifier, now),
        ).fetchone()
        if taken is not None:
            return _Claim(identifier, None)
        row = conn.execute(
            "select state, message_id, attempts, error, updated_at from batuta.report_deliveries "
            "where " + _KEY + " for update",
            _key(errand),
        ).fetchone()
        if row is None:
            raise RuntimeError("a delivery vanished while it was claimed")
        state, known, attempts, error, updated_at = row
        stale = state == "sending" and now - updated_at > STALE
        if stale and attempts >= STALE_ATTEMPTS:
            error = "two attempts ended without a word; it is not known whether the mail went out"
            conn.execute(
                "update batuta.report_deliveries set state = 'failed', attempts = %s, error = %s, updated_at = %s "
                "where " + _KEY,
                (ATTEMPTS, error, now, *_key(errand)),
            )
            return _Claim(known, Delivered("failed", now=False, error=error))
        if not stale and not (state == "failed" and attempts < ATTEMPTS):
            return _Claim(known, Delivered(state, now=False, error=error))
        conn.execute(
            "update batuta.report_deliveries set state = 'sending', attempts = attempts + 1, report = %s, "
            "error = null, updated_at = %s where " + _KEY,
            (errand.report, now, *_key(errand)),
        )
        return _Claim(known, None)
