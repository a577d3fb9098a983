"""Polls, backfills and watches mailboxes, over IMAP or Microsoft Graph as their settings say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, cast

from sensors.connectors.email import graph, imap_backfill, imap_pull, watching
from sensors.connectors.email.imap import Session
from sensors.connectors.email.settings import EmailSettings
from sensors.connectors.email.signing_in import login_of
from sensors.connectors.graph import client
from sensors.connectors.pulling import Account, Page, Subscription, Tools, Window

POLL_SECONDS: Final = 300
limits: Final = client.limits
_SIGN_IN_S: Final = 60.0


def poll(account: Account, position: Any, tools: Tools) -> Iterator[Page]:
    """See `Puller.poll`."""
    settings = _settings(account)
    if settings.kind == "graph":
        return graph.poll(account, settings, position, tools)
    return imap_pull.poll(account, settings, position, tools)


def backfill(account: Account, window: Window, position: Any, tools: Tools) -> Iterator[Page]:
    """See `Puller.backfill`."""
    settings = _settings(account)
    if settings.kind == "graph":
        return graph.backfill(account, settings, window, position, tools)
    return imap_backfill.backfill(account, settings, window, position, tools)


def audit(account: Account, tools: Tools) -> tuple[Subscription, ...]:
    """See `Puller.audit`: IMAP has no push channel, but a server that can IDLE wakes the account."""
    settings = _settings(account)
    if settings.kind == "graph":
        return graph.audit(account, settings, tools)
    with imap_pull.connect(account, settings, tools) as session:
        able, lacking = imap_pull.audit_note(session, settings)
        waits = "active" if session.idles else "missing"
    channel = Subscription(name="IDLE", state=waits, detail=able)
    if lacking:
        return channel, Subscription(name="folders", state="missing", detail=lacking)
    return (channel,)


def watch(account: Account, stop: threading.Event, woken: Callable[[], None]) -> None:
    """Call `woken` whenever the mailbox has news, until `stop` is set; reads nothing."""
    settings = _settings(account)
    if settings.kind == "graph":
        stop.wait()
        return
    watching.watch_mailbox(account, settings, stop, woken, lambda: _session(account, settings))


def _session(account: Account, settings: EmailSettings) -> Session:
    """A session for waiting. A renewed refresh token is left to the poll, which keeps it."""
    from sensors.pull.calls import HttpCalls, http_client

    with http_client() as client:
        calls = HttpCalls(client, clock=lambda: datetime.now(UTC), deadline=time.monotonic() + _SIGN_IN_S)
        login = login_of(account, settings, calls, lambda name, secret: None)
    return Session(settings, login, datetime.now(UTC))


def _settings(account: Account) -> EmailSettings:
    return cast("EmailSettings", account.settings)
