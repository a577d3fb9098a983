"""The strict event: what CloudEvents allows gets in as it is, everything else is named and refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from batuta.events.event import Event, InvalidEvent, event_key, format_time, parse_time

GOOD: dict[str, Any] = {
    "id": "b6f6a4b0-7a0b-4d0d-9a7b-2a3c1f2e1a90",
    "source": "batuta.ingest.onedrive",
    "type": "com.avila.file.created",
    "time": "2025-11-12T11:00:00Z",
    "data": {"path": "OneDrive/Inbox/arkana/lojablock-2025-11-12.png", "pii": False},
}


def refused(**changes: Any) -> str:
    with pytest.raises(InvalidEvent) as caught:
        Event.create(**(GOOD | changes))
    return caught.value.field


def test_the_users_own_event_is_read_as_written() -> None:
    document = GOOD | {"specversion": "1.0", "datacontenttype": "application/json"}
    event = Event.from_json(document)
    assert event.time == datetime(2025, 11, 12, 11, tzinfo=UTC)
    assert event.to_json() == document


@pytest.mark.parametrize("name", ["id", "source", "type", "time", "data", "specversion"])
def test_nothing_is_invented_for_what_is_missing(name: str) -> None:
    document = GOOD | {"specversion": "1.0"}
    del document[name]
    with pytest.raises(InvalidEvent) as caught:
        Event.from_json(document)
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", 5),
        ("id", "a\x00b"),
        ("id", "a\nb"),
        ("id", "\ud800"),
        ("id", "x" * 3000),
        ("type", ""),
        ("type", "a\tb"),
        ("source", ""),
        ("source", "no spaces"),
        ("source", "100%"),
        ("source", "a:b^c"),
        ("source", "a#b#c"),
        ("time", "2024-11-12T11:00:00"),
        ("time", "2024-11-12"),
        ("time", "2025-02-30T11:00:00Z"),
        ("time", "2025-11-12T24:00:00Z"),
        ("time", "2025-11-12T11:00:00+24:00"),
        ("time", "２025-11-12T11:00:00Z"),
        ("time", datetime(2025, 11, 12, 11)),  # noqa: DTZ001
        ("time", 5),
        ("subject", ""),
        ("subject", "a\x7fb"),
        ("dataschema", "relative"),
        ("data", [1]),
        ("data", None),
        ("data", "text"),
    ],
)
def test_a_wrong_attribute_is_named_and_its_value_is_not(field: str, value: Any) -> None:
    with pytest.raises(InvalidEvent) as caught:
        Event.create(**(GOOD | {field: value}))
    assert caught.value.field == field
    assert not (isinstance(value, str) and len(value) > 3 and value in caught.value.message)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Upper", "x"),
        ("with_underscore", "x"),
        ("x" * 21, "x"),
        ("", "x"),
        ("ok", 1.5),
        ("ok", None),
        ("ok", 2**31),
        ("ok", ""),
        ("id", "x"),
    ],
)
def test_extensions_are_held_to_the_specification(name: str, value: Any) -> None:
    with pytest.raises(InvalidEvent):
        Event.create(**GOOD, extensions={name: value})


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1: 2}, object(), b"bytes", {"a": [{"b": float("nan")}]}]
)
def test_data_that_json_cannot_say_is_refused(value: Any) -> None:
    assert refused(data={"x": value}).startswith("data")


def test_data_of_any_depth_is_walked_without_recursion() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    attributes = dict[str, Any](GOOD)
    attributes["data"] = deep
    assert Event.create(**attributes).data is deep


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-11-12T11:00:00.123456789Z", datetime(2025, 11, 12, 11, 0, 0, 123456, UTC)),
        ("2025-11-12t11:00:00.1z", datetime(2025, 11, 12, 11, 0, 0, 100000, UTC)),
        ("2025-11-12T11:00:00-03:00", datetime(2025, 11, 12, 14, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_every_form_of_rfc_3339_is_understood(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


@given(st.from_regex(r"[0-9]{1,12}", fullmatch=True))
def test_a_fraction_of_any_length_is_cut_at_the_microsecond(fraction: str) -> None:
    moment = datetime(2025, 11, 12, 11, 0, 0, int(fraction.ljust(6, "0")[:6]), UTC)
    assert parse_time(f"2025-11-12T08:00:00.{fraction}-03:00") == moment


@given(st.datetimes(timezones=st.builds(lambda m: timezone(timedelta(minutes=m)), st.integers(-1439, 1439))))
def test_a_time_written_is_the_time_read(moment: datetime) -> None:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return
    assert parse_time(format_time(moment)) == moment


TEXT = st.text(min_size=1, max_size=20)
SOURCE = st.one_of(st.from_regex(r"[a-z]{1,8}(://[a-z0-9./-]{0,20})?", fullmatch=True), TEXT)
NAMES = st.one_of(st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True), TEXT)
VALUES = st.one_of(TEXT, st.booleans(), st.integers(-(2**31), 2**31 - 1))


@given(TEXT, SOURCE, TEXT, st.none() | TEXT, st.dictionaries(NAMES, VALUES, max_size=3))
def test_what_we_accept_the_reference_sdk_accepts_and_reads_back_the_same(
    id_: str, source: str, type_: str, subject: str | None, extensions: dict[str, Any]
) -> None:
    try:
        event = Event.create(
            id=id_,
            source=source,
            type=type_,
            time=GOOD["time"],
            data=GOOD["data"],
            subject=subject,
            extensions=extensions,
        )
    except InvalidEvent:
        return
    attributes = {name: value for name, value in event.to_json().items() if name != "data"}
    reference = CloudEvent(attributes | {"time": event.time}, event.data)
    again = JSONFormat().read(None, JSONFormat().write(reference))
    assert (
        Event.from_json(again.get_attributes() | {"time": format_time(event.time), "data": again.get_data()})
        == event
    )


def test_the_key_keeps_product_source_and_id_apart() -> None:
    assert event_key("a", "b", "c") != event_key("ab", "", "c")
    assert len(event_key("a", "b", "c")) == 16
