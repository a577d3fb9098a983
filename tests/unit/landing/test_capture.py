"""Files of captured deliveries: read line by line, what is wrong is said with its line."""

import base64
import io
import json
from datetime import UTC, datetime

import pytest

from batuta.landing.capture import BadLine, CaptureForm, read_captures
from batuta.landing.model import Delivery

NOW = datetime(2025, 11, 12, tzinfo=UTC)


def read(
    content: bytes, *, events: bool = False, trusted: bool = False, most: int = 1000
) -> list[Delivery | BadLine]:
    form = CaptureForm("arcsat", "shopify", None, events=events, trusted=trusted, max_body_bytes=most)
    return [item for _, item in read_captures(io.BytesIO(content), form, NOW)]


def test_the_body_is_the_very_bytes_that_were_signed() -> None:
    body = '{"name":  "Ação \\u00e7 \\n"}'
    encoded = base64.b64encode(b"\xff\x00").decode()
    lines = [{"headers": {"X-Topic": "a"}, "body": body}, {"headers": {}, "body_base64": encoded}]
    text, binary = read(b"\n\n".join(json.dumps(line).encode() for line in lines))
    assert isinstance(text, Delivery)
    assert isinstance(binary, Delivery)
    assert text.body == body.encode()
    assert dict(text.headers) == {"x-topic": "a"}
    assert binary.body == b"\xff\x00"


def test_a_body_given_as_an_object_needs_trust() -> None:
    line = b'{"headers": {}, "body": {"id": 1}}'
    assert "--trusted" in str(read(line)[0])
    delivery = read(line, trusted=True)[0]
    assert isinstance(delivery, Delivery)
    assert delivery.body == b'{"id":1}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"not json", "is not valid JSON"),
        (b"\xff", "is not valid JSON"),
        (b"[]", "must be an object"),
        (b"{}", "headers must be an object of texts"),
        (b'{"headers": {"a": 1}, "body": ""}', "headers must be an object of texts"),
        (b'{"headers": {}}', "needs a body or a body_base64"),
        (b'{"headers": {}, "body": "", "body_base64": ""}', "and not both"),
        (b'{"headers": {}, "body": 5}', "body must be the raw text"),
        (b'{"headers": {}, "body_base64": "?"}', "must be base64"),
        (b'{"headers": {}, "body_base64": 5}', "must be base64"),
        (b'{"headers": {}, "body": "%s"}' % (b"x" * 1001), "the body is larger than 1000 bytes"),
    ],
)
def test_a_line_that_is_no_delivery_is_named_and_the_next_one_is_read(line: bytes, message: str) -> None:
    bad, good = read(b'\n%b\n{"headers": {}, "body": "ok"}' % line)
    assert isinstance(bad, BadLine)
    assert bad.number == 2
    assert message in bad.message
    assert isinstance(good, Delivery)


def test_a_line_without_end_is_skipped_in_pieces() -> None:
    huge = b'{"headers": {}, "body": "%b"}' % (b"x" * 300_000)
    bad, good = read(huge + b'\n{"headers": {}, "body": "ok"}')
    assert isinstance(bad, BadLine)
    assert "longer than the largest body" in bad.message
    assert isinstance(good, Delivery)


def test_lines_of_events_are_taken_as_they_are() -> None:
    first, second = read(b'\xef\xbb\xbf{"id": "1"}\r\n\r\n{"id": "2"}', events=True)
    assert isinstance(first, Delivery)
    assert isinstance(second, Delivery)
    assert (first.body, second.body) == (b'{"id": "1"}', b'{"id": "2"}')
