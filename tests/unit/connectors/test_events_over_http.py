"""CloudEvents over HTTP: the three modes, strictness, and the reference SDK as second opinion."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from batuta.events.event import Event, parse_time
from batuta.landing.model import Delivery, Rejected
from sensors.connectors import events
from tests.support.vendor_deliveries import cloud_event, delivery

JSON_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON_DATA = st.dictionaries(
    JSON_TEXT, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | JSON_TEXT, max_size=4
)
# What a String attribute may hold; a header cannot carry surrounding space, so neither do these.
ATTRIBUTE = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"]), min_size=1, max_size=30
).filter(lambda text: text == text.strip())
SOURCES = st.sampled_from(["https://a.example/x", "/local", "urn:x:1", "batuta.ingest.onedrive"])


def structured(document: Any, content_type: str = events.STRUCTURED) -> Delivery:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return delivery("events", {"content-type": content_type}, body)


def batch(*documents: Any) -> Delivery:
    return structured(list(documents), events.BATCH)


def malformed(sent: Delivery) -> list[tuple[int, str]]:
    with pytest.raises(events.Malformed) as caught:
        events.parse(sent)
    return [(problem.index, problem.field) for problem in caught.value.problems]


def only_event(sent: Delivery) -> Event:
    [candidate] = events.parse(sent).candidates
    return candidate.event


def test_a_structured_event_is_read():
    parsed = events.parse(structured(cloud_event()))
    [candidate] = parsed.candidates
    assert (candidate.dataset, candidate.connector, parsed.dataset) == ("spend", "events", "spend")
    assert candidate.event.data == cloud_event()["data"]


def test_a_file_s_line_needs_no_content_type():
    assert only_event(delivery("events", {}, orjson.dumps(cloud_event()))).type == "com.batuta.spend.recorded"


def test_a_type_of_one_s_own_goes_to_other():
    [candidate] = events.parse(structured(cloud_event(type="com.avila.file.created"))).candidates
    assert candidate.dataset == "other"


def test_the_user_s_own_example_is_read_as_written():
    event = only_event(
        structured(
            {
                "specversion": "1.0",
                "id": "b6f6a4b0-7a0b-4d0d-9a7b-2a3c1f2e1a90",
                "source": "batuta.ingest.onedrive",
                "type": "com.avila.file.created",
                "time": "2025-11-12T11:00:00Z",
                "datacontenttype": "application/json",
                "data": {
                    "path": "OneDrive/Inbox/arkana/lojablock-2025-11-12.png",
                    "labels": ["arkana"],
                    "pii": False,
                },
            }
        )
    )
    assert (event.source, event.time) == ("batuta.ingest.onedrive", parse_time("2025-11-12T11:00:00Z"))


def test_a_batch_is_read_in_order_and_may_be_empty():
    parsed = events.parse(batch(cloud_event("a"), cloud_event("b")))
    assert [candidate.event.id for candidate in parsed.candidates] == ["a", "b"]
    assert events.parse(batch()).candidates == ()


def test_a_batch_is_split_into_deliveries_that_read_the_same():
    sent = batch(cloud_event("a"), cloud_event("b"))
    apart = [only_event(one) for one in events.split(sent)]
    assert apart == [candidate.event for candidate in events.parse(sent).candidates]


def test_binary_mode_takes_attributes_from_headers():
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/sensors/caf%C3%A9%20",
        "ce-type": "com.avila.x.done",
        "ce-time": "2025-11-12T11:00:00Z",
        "ce-subject": '"quoted \\"text\\""',
        "ce-traceparent": "00-abc",
    }
    sent = delivery("events", headers | {"ce-source": "/sensors"}, b'{"a": 1}')
    event = only_event(sent)
    assert (event.id, event.subject, event.data) == ("1", 'quoted "text"', {"a": 1})
    assert event.extensions == {"traceparent": "00-abc"}
    assert malformed(delivery("events", headers, b"{}")) == [(0, "source")]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"{}"),
        ({"ce-id": "%ff"}, b"{}"),
        ({"ce-id": "1", "ce-datacontenttype": "application/json"}, b"{}"),
        ({"ce-id": "1", "ce-data": "{}"}, b"{}"),
        ({"ce-id": "1"}, b"{"),
    ],
)
def test_binary_mode_refuses_what_it_cannot_read(headers: dict[str, str], body: bytes):
    with pytest.raises(Rejected):
        events.parse(delivery("events", {"content-type": "application/json"} | headers, body))


def test_all_problems_of_all_events_are_reported_at_once():
    bad = {"specversion": "0.3", "id": "", "source": "a b", "type": 5, "data": [], "Shout": "x"}
    assert malformed(batch(cloud_event(), bad, "text")) == [
        (1, "time"),
        (1, "specversion"),
        (1, "id"),
        (1, "source"),
        (1, "type"),
        (1, "data"),
        (1, "extensions"),
        (2, "event"),
    ]


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type", "time", "data"])
def test_nothing_missing_is_invented(missing: str):
    document = cloud_event()
    del document[missing]
    assert malformed(structured(document)) == [(0, missing)]
    assert malformed(structured(cloud_event() | {missing: None})) == [(0, missing)]


@pytest.mark.parametrize(
    "event_type", ["com.shopify.orders.created", "com.github.release.published", "com.github.x.y"]
)
def test_a_vendor_s_types_come_in_through_its_connector_only(event_type: str):
    assert malformed(structured(cloud_event(type=event_type))) == [(0, "type")]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (structured(b""), "json"),
        (structured(b"{"), "json"),
        (structured(b'{"id": "\xff"}'), "json"),
        (structured(b'{"id": NaN}'), "json"),
        (structured(b"{}", events.BATCH), "shape"),
        (structured(b"[" * 5000), "json"),
    ],
)
def test_a_body_that_is_no_event_is_refused(sent: Delivery, code: str):
    with pytest.raises(Rejected) as caught:
        events.parse(sent)
    assert caught.value.code == code


@given(identifier=ATTRIBUTE, source=SOURCES, subject=ATTRIBUTE | st.none(), data=JSON_DATA)
def test_what_the_reference_sdk_writes_is_read_back_the_same_in_both_modes(
    identifier: str, source: str, subject: str | None, data: dict[str, Any]
):
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": identifier,
        "source": source,
        "type": "com.avila.thing.done",
        "time": parse_time("2025-11-12T11:00:00Z"),
        "datacontenttype": "application/json",
    }
    if subject is not None:
        attributes["subject"] = subject
    written = CloudEvent(attributes, data)
    for message in (to_structured_event(written), to_binary_event(written)):
        headers = {name.lower(): value for name, value in message.headers.items()}
        event = only_event(delivery("events", headers, message.body))
        assert (event.id, event.source, event.subject, event.data) == (identifier, source, subject, data)
        assert event.time == attributes["time"]
