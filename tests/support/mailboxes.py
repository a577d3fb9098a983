"""Mailboxes for tests: a real dovecot where it is installed, and accounts that point at it."""

from __future__ import annotations

from typing import Any

import pytest

from examples.vendors.imap import HOST, PASSWORD, USER, Dovecot, program
from sensors.connectors import email
from sensors.connectors.pulling import Account
from tests.support.pulling import Pulled

NOT_INSTALLED = "dovecot is not installed"
needs_dovecot = pytest.mark.skipif(program() is None, reason=NOT_INSTALLED)


def mailbox(port: int, *, name: str | None = "vendas", user: str = USER, **settings: Any) -> Account:
    """An account at the server that listens on `port` of this machine."""
    form = email.SETTINGS(host=HOST, port=port, tls="none", user=user, **settings)
    return Account("arcsat", "email", name, form, {"password": PASSWORD.encode()})


def told(pulled: Pulled) -> list[tuple[str, str, str]]:
    """What happened: (received, updated or deleted; what changed; subject), in order."""
    events = [found.event for found in pulled.candidates(email)]
    return [
        (e.type.rpartition(".")[2], e.data.get("change", ""), str(e.data.get("subject", ""))) for e in events
    ]


def empty(server: Dovecot) -> None:
    """Remove every folder and mail."""
    client = server.client()
    kind, listed = client.list()
    assert kind == "OK"
    client.select("INBOX")
    client.uid("STORE", "1:*", "+FLAGS", "\\Deleted")
    client.expunge()
    client.unselect()
    for line in listed:
        name = line.decode().rpartition('"/" ')[2] if isinstance(line, bytes) else ""
        if name and name.strip('"') != "INBOX":
            client.delete(name)
    client.logout()
