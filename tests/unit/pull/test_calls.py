"""HTTP to vendors over real sockets: what is tried again, what is waited for, what is said when it fails."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest

from batuta.errors import BatutaError
from sensors.connectors.pulling import Answer, OutOfTime, RateLimited, SourceFailed, Tools, Unauthorized
from sensors.pull.calls import GRACE_S, TRIES
from tests.support.pulling import NOW, TrialTime, tools
from tests.support.toy_vendor import Fault, ToyVendor

SECRET = "shhh-very-secret"


@pytest.fixture
def vendor() -> Iterator[ToyVendor]:
    with ToyVendor() as running:
        running.records = [1, 2, 3]
        yield running


@pytest.fixture
def time() -> TrialTime:
    return TrialTime()


@pytest.fixture
def made(time: TrialTime) -> Tools:
    return tools(time=time)


def get(made: Tools, vendor: ToyVendor, **options: object) -> Answer:
    """Ask with a secret in header, path and query."""
    return made.calls.request(
        "GET",
        f"{vendor.url}/people/person@example.com",
        headers={"authorization": f"Bearer {SECRET}"},
        params={"key": SECRET},
        **options,  # pyright: ignore[reportArgumentType]
    )


@contextmanager
def answering(*answers: bytes, hold: threading.Event | None = None) -> Iterator[str]:
    """A server that sends these bytes, one per connection, and hangs up; or holds the line."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for content in answers:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            with taken:
                taken.recv(65_536)
                taken.sendall(content)
                if hold is not None:
                    hold.wait(20)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        if hold is not None:
            hold.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
TORN = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf"


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 520])
def test_a_passing_failure_is_tried_again(
    vendor: ToyVendor, made: Tools, time: TrialTime, status: int
) -> None:
    vendor.faults = [Fault(status), Fault(status)]

    assert get(made, vendor).status == 200
    assert time.waits == [0.5, 1.0]


@pytest.mark.parametrize("status", [500, 503])
def test_a_lasting_failure_is_given_up(vendor: ToyVendor, made: Tools, status: int) -> None:
    vendor.faults = [Fault(status)] * 10

    with pytest.raises(SourceFailed, match=f"^127.0.0.1 answers {status}$"):
        get(made, vendor)
    assert len(vendor.requests) == TRIES


@pytest.mark.parametrize("status", [400, 404, 410, 301])
def test_an_answer_that_is_not_expected_is_not_tried_again(
    vendor: ToyVendor, made: Tools, status: int
) -> None:
    vendor.faults = [Fault(status, {"location": "https://elsewhere.example/"})]
    with pytest.raises(SourceFailed, match=f"answers {status}"):
        get(made, vendor)

    vendor.faults = [Fault(status)]
    assert get(made, vendor, expect=(200, status)).status == status
    assert len(vendor.requests) == 2


@pytest.mark.parametrize(
    ("status", "after", "waits"),
    [
        (429, "7", [7.0]),
        (503, "7", [7.0]),
        (529, "7", [7.0]),
        (403, "7", [7.0]),
        (429, "Mon, 02 Mar 2026 12:00:40 GMT", [40.0]),
        (429, "Mon, 02 Mar 2026 11:00:00 GMT", [1.0]),
        (429, "0", [1.0]),
        (429, None, [2.0]),
        (429, "soon", [2.0]),
        (529, None, [2.0]),
    ],
)
def test_a_vendor_is_left_alone_as_long_as_it_asks(
    vendor: ToyVendor, made: Tools, time: TrialTime, status: int, after: str | None, waits: list[float]
) -> None:
    vendor.faults = [Fault(status, {} if after is None else {"retry-after": after})]

    assert get(made, vendor).status == 200
    assert time.waits == pytest.approx(waits)


def test_without_a_word_from_the_vendor_each_rest_is_twice_the_last(
    vendor: ToyVendor, made: Tools, time: TrialTime
) -> None:
    vendor.faults = [Fault(429)] * 4
    get(made, vendor)

    assert time.waits == [2, 4, 8, 16]


def test_a_rest_beyond_the_deadline_is_the_callers_to_take(vendor: ToyVendor, time: TrialTime) -> None:
    vendor.faults = [Fault(429, {"retry-after": "601"})]

    with pytest.raises(RateLimited) as caught:
        get(tools(time=time, budget_s=600), vendor)
    assert caught.value.until == NOW + timedelta(seconds=601)
    assert time.waits == []


def test_the_vendors_own_headers_make_the_next_call_wait(vendor: ToyVendor, time: TrialTime) -> None:
    def limits(answer: Answer) -> float | None:
        return 12.0 if answer.status == 200 else None

    made = tools(time=time, limits=limits)
    get(made, vendor)
    assert time.waits == []
    get(made, vendor)
    assert time.waits == [12.0]


def test_the_vendors_own_headers_tell_a_limit_from_a_refusal(vendor: ToyVendor, time: TrialTime) -> None:
    def limits(answer: Answer) -> float | None:
        return 30.0 if answer.headers.get("x-remaining") == "0" else None

    made = tools(time=time, limits=limits)
    vendor.faults = [Fault(403, {"X-Remaining": "0"})]
    assert get(made, vendor, expect=(200, 403)).status == 200
    assert time.waits == [30.0]
    vendor.faults = [Fault(403, {"X-Remaining": "5"})]
    assert get(made, vendor, expect=(200, 403)).status == 403


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told_apart(vendor: ToyVendor, made: Tools, status: int) -> None:
    vendor.faults = [Fault(status)]

    with pytest.raises(Unauthorized, match=rf"^127.0.0.1 refuses the credentials \({status}\)$"):
        get(made, vendor)
    assert len(vendor.requests) == 1


def test_a_torn_answer_is_asked_for_again(made: Tools, time: TrialTime) -> None:
    with answering(TORN, b"", OK) as url:
        assert made.calls.request("POST", url, json={"a": 1}).body == b"ok"
    assert len(time.waits) == 2


def test_a_torn_stream_is_not_begun_again(made: Tools) -> None:
    torn = b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 100_000
    with answering(b"", torn, OK) as url:
        chunks = made.calls.stream(url, max_bytes=10**6)
        assert next(chunks).startswith(b"xxx")
        with pytest.raises(SourceFailed, match=r"127\.0\.0\.1 broke the connection off"):
            list(chunks)


def test_a_stream_that_is_left_early_lets_go_of_its_connection(vendor: ToyVendor, made: Tools) -> None:
    vendor.records = list(range(1, 1000))
    vendor.page_size = 1000
    for _ in range(110):
        next(made.calls.stream(f"{vendor.url}/records", max_bytes=10**6))

    assert get(made, vendor).status == 200


def test_nobody_listens(made: Tools, time: TrialTime) -> None:
    with answering() as url:
        pass
    with pytest.raises(SourceFailed, match=r"127\.0\.0\.1 cannot be reached"):
        made.calls.request("GET", url)
    assert len(time.waits) == TRIES - 1


def test_a_server_that_says_nothing_is_not_waited_for_beyond_the_deadline() -> None:
    hold = threading.Event()
    with (
        answering(b"HTTP/1.1 200 OK\r\n", hold=hold) as url,
        pytest.raises(SourceFailed, match="does not answer in time"),
    ):
        tools(budget_s=0.01).calls.request("GET", url)


def test_after_the_deadline_nothing_is_asked(vendor: ToyVendor, time: TrialTime) -> None:
    made = tools(time=time, budget_s=5)
    time.advance(5)

    with pytest.raises(OutOfTime):
        get(made, vendor)
    assert vendor.requests == []


def test_an_answer_that_drips_beyond_the_deadline_is_left(time: TrialTime) -> None:
    big = b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200_000
    made = tools(time=time, budget_s=5)
    with answering(big) as url:
        chunks = made.calls.stream(url, max_bytes=10**6)
        next(chunks)
        time.advance(5 + GRACE_S + 1)
        with pytest.raises(OutOfTime):
            list(chunks)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_body_larger_than_allowed_is_not_read(made: Tools, compressed: bool) -> None:
    import gzip

    body = gzip.compress(b"x" * 5_000_000) if compressed else b"x" * 50_000
    encoding = b"content-encoding: gzip\r\n" if compressed else b""
    head = b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n" % (encoding, len(body))
    with (
        answering(head + body) as url,
        pytest.raises(SourceFailed, match=r"more than 10000 bytes"),
    ):
        made.calls.request("GET", url, max_bytes=10_000)


def test_parameters_are_added_to_those_an_address_has(vendor: ToyVendor, made: Tools) -> None:
    made.calls.request(
        "GET", f"{vendor.url}/records?after=1&cursor=a%2Fb", params={"limit": "2", "after": "2"}
    )
    made.calls.request("GET", f"{vendor.url}/records?after=1&cursor=a%2Fb")

    paths = [path for _, path, _ in vendor.requests]
    assert paths == ["/records?after=2&cursor=a%2Fb&limit=2", "/records?after=1&cursor=a%2Fb"]


def test_cookies_are_not_kept(vendor: ToyVendor, made: Tools) -> None:
    vendor.faults = [Fault(200, {"set-cookie": "session=of-another-account; Path=/"})]
    get(made, vendor)
    get(made, vendor)

    assert "cookie" not in vendor.requests[1][2]


def test_a_followed_redirect_to_another_host_carries_no_credentials(vendor: ToyVendor, made: Tools) -> None:
    with ToyVendor() as other:
        vendor.faults = [Fault(302, {"location": f"{other.url}/records"})]
        assert get(made, vendor, follow_redirects=True).status == 200

    assert "authorization" in vendor.requests[0][2]
    assert "authorization" not in other.requests[0][2]


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1/", {"authorization": f"Bearer {SECRET}\n"}),
        ("http://127.0.0.1/", {"authorization": f"Bearer {SECRET}é€"}),
        (f"http://[::{SECRET}/", {}),
        (f"gopher://vendor.example/{SECRET}", {}),
        (f"/{SECRET}", {}),
        (f"http://vendor.example:{SECRET}/", {}),
    ],
)
def test_a_request_that_cannot_be_sent_is_a_sentence_without_its_secret(
    made: Tools, url: str, headers: dict[str, str]
) -> None:
    with pytest.raises(SourceFailed) as caught:
        made.calls.request("GET", url, headers=headers)

    assert_discreet(caught.value)


@pytest.mark.parametrize("fault", [Fault(404), Fault(401), Fault(429, {"retry-after": "99999"}), Fault(500)])
def test_no_message_and_no_log_says_more_than_host_and_status(
    vendor: ToyVendor, made: Tools, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    vendor.faults = [fault] * 10
    with caplog.at_level(logging.INFO), pytest.raises(SourceFailed) as caught:
        get(made, vendor)

    assert_discreet(caught.value)
    assert SECRET not in caplog.text
    assert "person" not in caplog.text


def assert_discreet(error: BaseException | None) -> None:
    """Neither the error nor what it was raised from repeats what was sent."""
    assert isinstance(error, BatutaError)
    while error is not None:
        assert SECRET not in f"{error!r} {getattr(error, 'hint', '')}"
        assert "person@example.com" not in f"{error!r}"
        error = error.__context__


def test_a_pause_that_fits_is_waited_and_another_is_not(time: TrialTime) -> None:
    made = tools(time=time, budget_s=10)
    made.calls.pause(4, "the cost budget is spent")
    made.calls.pause(0, "nothing")
    assert time.waits == [4]

    with pytest.raises(RateLimited, match="the cost budget is spent") as caught:
        made.calls.pause(7, "the cost budget is spent")
    assert caught.value.until == time.clock() + timedelta(seconds=7)
