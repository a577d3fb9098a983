"""Waiting for mail (IDLE, RFC 2177): a wake-up and nothing more, for what has come is found by the poll."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from batuta.telemetry import get_logger
from sensors.connectors.email.imap import Session
from sensors.connectors.email.settings import ALL, EmailSettings
from sensors.connectors.pulling import Account, SourceFailed

REISSUE_S: Final = 540
"""After so long IDLE is ended and begun anew: routers forget silent connections after ten minutes."""
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 600.0

_log = get_logger(__name__)


def watch_mailbox(
    account: Account,
    settings: EmailSettings,
    stop: threading.Event,
    woken: Callable[[], None],
    sign_in: Callable[[], Session],
) -> None:
    """Call `woken` when the first of the folders has news, until `stop` is set; connections that break are made anew.

    A server that cannot IDLE is left to the polls.
    """
    pause = FIRST_PAUSE_S
    while not stop.is_set():
        try:
            with sign_in() as session:
                if not session.idles:
                    stop.wait()
                    return
                session.examine("INBOX" if settings.folders == ALL else settings.folders[0])
                # What came while nobody waited.
                woken()
                pause = FIRST_PAUSE_S
                _wait(session, stop, woken)
        except SourceFailed as error:
            _log.info("mailbox not watched", product=account.product, account=account.name, why=error.message)
            stop.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


def _wait(session: Session, stop: threading.Event, woken: Callable[[], None]) -> None:
    while not stop.is_set():
        if session.idle(REISSUE_S, stop):
            woken()
