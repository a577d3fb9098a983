"""WhatsApp's media: fetched while there, held against their hash, kept encrypted; and the subscription."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from batuta.landing.reader import LoggedEvent
from examples.vendors import whatsapp as meta
from examples.vendors.serving import Fault
from sensors.connectors import whatsapp
from sensors.connectors.pulling import Account
from sensors.connectors.whatsapp import pull
from tests.support.landing_trials import open_landing
from tests.support.pulling import NOW, MemoryBlobs, Pulled, pull_all, tools


@pytest.fixture
def vendor() -> Iterator[meta.WhatsApp]:
    with meta.WhatsApp() as served:
        yield served


def account(vendor: meta.WhatsApp, **settings: Any) -> Account:
    form = whatsapp.Settings.model_validate({"apiUrl": vendor.url, "fetchMedia": True} | settings)
    return Account("arcsat", "whatsapp", meta.NUMBER_ID, form, {"accessToken": b"made-up"})


def logged(batch: int, message: dict[str, Any]) -> LoggedEvent:
    [candidate] = whatsapp.parse(account_delivery(meta.delivery(message))).candidates
    event = candidate.event
    return LoggedEvent(
        batch, "arcsat", event.source, event.id, event.type, event.subject, event.time, NOW, "whatsapp", "messages",
        "", dict(event.data), None, b"", None,
    )  # fmt: skip


def account_delivery(body: bytes) -> Any:
    from batuta.landing.model import Delivery

    return Delivery("arcsat", "whatsapp", None, {}, body, NOW)


def poll(vendor: meta.WhatsApp, log: list[LoggedEvent], blobs: MemoryBlobs, position: Any = None) -> Pulled:
    def landed(after_batch: int, types: Sequence[str], limit: int) -> Sequence[LoggedEvent]:
        return [event for event in log if event.batch > after_batch and event.type in types][:limit]

    box = dataclasses.replace(tools(blobs=blobs), landed=landed)
    return pull_all(pull, account(vendor), box, position)


def test_a_medium_is_kept_when_it_is_what_the_message_spoke_of(vendor: meta.WhatsApp):
    vendor.media |= {"9000001": b"foto", "9000002": b"something else"}
    log = [logged(n, meta.media_message(n, b"foto", NOW)) for n in (1, 2, 3)]
    log.append(logged(4, meta.text_message(4, "oi", NOW)))
    blobs = MemoryBlobs()
    pulled = poll(vendor, log, blobs)
    told = [
        (c.event.id, c.event.data["verified"], c.event.data["missing"]) for c in pulled.candidates(whatsapp)
    ]
    assert told == [
        ("media:9000001", True, None),
        ("media:9000002", False, "other_content"),
        ("media:9000003", False, "expired"),
    ]
    assert [content for content, _ in blobs.contents.values()] == [b"foto"]
    assert pulled.position == {"batch": 4}
    assert poll(vendor, log, blobs, pulled.position).pages == []


def test_a_medium_that_cannot_be_had_holds_up_no_other(vendor: meta.WhatsApp, tmp_path: Path):
    vendor.media |= {"9000001": b"film", "9000002": b"gone meanwhile", "9000003": b"foto"}
    vendor.sizes["9000001"] = pull.MOST_BYTES + 1
    vendor.fail_next(Fault(404, path="/content/9000002"))
    contents = {1: b"film", 2: b"gone meanwhile", 3: b"foto"}
    log = [logged(n, meta.media_message(n, content, NOW)) for n, content in contents.items()]
    pulled = poll(vendor, log, MemoryBlobs())
    told = [(c.event.data["verified"], c.event.data["missing"]) for c in pulled.candidates(whatsapp)]
    assert told == [(False, "too_large"), (False, "expired"), (True, None)]
    assert not [path for _, path, _ in vendor.requests if path == "/content/9000001"]
    landing = open_landing(tmp_path)
    assert [landing.prepare(one, whatsapp.parse).held for one in pulled.deliveries] == [None] * 3
    assert pulled.position == {"batch": 3}


def test_nothing_is_fetched_unless_it_is_wanted(vendor: meta.WhatsApp):
    assert pull_all(pull, account(vendor, fetchMedia=False), tools()).pages == []
    assert vendor.requests == []


def test_an_app_that_is_not_subscribed_becomes_so(vendor: meta.WhatsApp):
    ours = account(vendor, businessAccount=meta.BUSINESS)
    assert [s.state for s in pull.audit(ours, tools())] == ["created"]
    assert [s.state for s in pull.audit(ours, tools())] == ["active"]
    assert pull.audit(account(vendor), tools()) == ()
