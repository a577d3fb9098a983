"""What the checks of connectors conclude from what is known."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sensors.liveness.channels import Channel, subscriptions
from sensors.liveness.completeness import Books, Page, Stretch, Sums, completeness
from sensors.liveness.gaps import Heard, Missed, gaps
from sensors.liveness.polling import Polled, polling
from sensors.liveness.verdict import Bound

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SHOP = Bound("arcsat", "loja.example.com", fetches=True)
PUSHED = Bound("arcsat", "", fetches=False)
WELL = Polled(
    "arcsat", "loja.example.com", NOW - MINUTE, NOW - MINUTE, NOW + MINUTE, 0, None, None, None, None
)
ACTIVE = Channel("arcsat", "loja.example.com", "orders/create", "active", None, None, NOW - MINUTE)
SEEN = {("arcsat", "loja.example.com"): NOW - MINUTE}


def test_an_account_that_is_polled_passes_and_is_shown() -> None:
    verdict = polling([SHOP], [WELL], NOW)
    assert verdict.passed
    assert verdict.text == "Nothing keeps 1 account from being polled."
    assert [row["account"] for row in verdict.evidence] == ["arcsat/loja.example.com"]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (replace(WELL, failures=3, problem="the vendor answers 500."), "fails .*: the vendor answers 500"),
        (replace(WELL, paused_until=NOW + timedelta(hours=7)), "paused by the vendor until 2026-03-02 19:00"),
        (replace(WELL, next_due_at=NOW - 31 * MINUTE), "was due .* look at the connector's sensor"),
        (replace(WELL, stopped_at=NOW), "without a reason"),
        (replace(WELL, last_attempt_at=None), "has never been polled"),
    ],
)
def test_an_account_that_is_not_polled_as_it_should_be_is_a_finding(state: Polled, said: str) -> None:
    verdict = polling([SHOP], [state], NOW)
    assert not verdict.passed
    assert not verdict.warns
    assert re.search(said, verdict.text)


@pytest.mark.parametrize(
    "state",
    [
        replace(WELL, failures=2, problem="the vendor answers 500"),
        replace(WELL, paused_until=NOW + timedelta(hours=5), next_due_at=NOW - timedelta(days=1)),
        replace(WELL, next_due_at=NOW - 5 * MINUTE),
    ],
)
def test_a_passing_trouble_is_no_finding(state: Polled) -> None:
    assert polling([SHOP], [state], NOW).passed


def test_an_account_that_the_vendor_has_ended_is_a_note() -> None:
    verdict = polling([SHOP], [replace(WELL, stopped_at=NOW, stopped_reason="the app is uninstalled")], NOW)
    assert verdict.passed
    assert "the app is uninstalled" in verdict.text


def test_an_account_of_which_nothing_is_known_is_a_finding_never_silence() -> None:
    assert not polling([SHOP], [], NOW).passed
    assert not subscriptions([SHOP], [], {}, NOW).passed
    assert not polling([replace(SHOP, fetches=False, unready="its token is missing")], [], NOW).passed


def test_deliveries_that_are_refused_are_a_finding_also_of_an_account_that_only_is_sent_to() -> None:
    verdict = subscriptions([replace(PUSHED, refuses="deliveries are refused: no file")], [], {}, NOW)
    assert not verdict.passed
    assert "deliveries are refused: no file." in verdict.text


def test_without_accounts_there_is_nothing_to_check_and_it_says_so() -> None:
    for verdict in (
        polling([PUSHED], [], NOW),
        subscriptions([], [], {}, NOW),
        completeness([], Books((), (), ()), set()),
        gaps([], [], [], NOW),
    ):
        assert verdict.passed
        assert verdict.text.startswith("There is nothing to check")


@pytest.mark.parametrize("state", ["active", "created", "renewed"])
def test_a_channel_that_stands_passes(state: str) -> None:
    far = replace(ACTIVE, state=state, expires_at=NOW + timedelta(days=2))
    verdict = subscriptions([SHOP], [far], SEEN, NOW)
    assert verdict.passed
    assert verdict.text == "All is well with 1 push channel of 1 account."


@pytest.mark.parametrize("state", ["missing", "failing", "disabled"])
def test_a_channel_that_does_not_stand_is_a_finding_with_what_to_do(state: str) -> None:
    verdict = subscriptions([SHOP], [replace(ACTIVE, state=state, detail="switch it on")], SEEN, NOW)
    assert verdict.findings == (f"arcsat/loja.example.com: orders/create is {state}: switch it on.",)


def test_a_channel_about_to_expire_and_audits_that_stopped_are_findings() -> None:
    soon = replace(ACTIVE, expires_at=NOW + timedelta(minutes=100))
    assert "expires at" in subscriptions([SHOP], [soon], SEEN, NOW).text
    long_ago = {("arcsat", "loja.example.com"): NOW - timedelta(hours=4)}
    assert "last looked at" in subscriptions([SHOP], [ACTIVE], long_ago, NOW).text


def test_books_that_add_up_pass_and_show_their_sums() -> None:
    sums = Sums("arcsat", "loja.example.com", "poll", 3, 10, 6, 2, 1, 1)
    verdict = completeness([SHOP], Books((sums,), (), ()), {("arcsat", "loja.example.com")})
    assert verdict.passed
    assert verdict.evidence[0]["counted"] == 10


def test_a_record_that_is_unaccounted_for_and_a_window_that_came_short_are_findings() -> None:
    page = Page("arcsat", "loja.example.com", 10, 9, NOW)
    short = Stretch("arcsat", "loja.example.com", NOW - timedelta(days=1), NOW, 90, 100, NOW)
    verdict = completeness([SHOP], Books((), (page,), (short,)), set())
    assert len(verdict.findings) == 2
    assert "9 are accounted for" in verdict.findings[0]
    assert "the source counts 100, 90 came" in verdict.findings[1]


def test_what_polls_had_to_bring_is_to_be_looked_at() -> None:
    missed = Missed("arcsat", "com.shopify.orders.updated", 4, NOW - timedelta(hours=5), NOW, "id-1")
    verdict = gaps([SHOP], [missed], [], NOW)
    assert not verdict.passed
    assert verdict.warns
    assert "com.shopify.orders.updated" in verdict.text


def test_silence_beyond_the_own_history_is_a_finding_and_a_short_history_is_not() -> None:
    hours = tuple(NOW - timedelta(hours=n) for n in range(24 * 40, 24 * 3, -1))
    heard = Heard("arcsat", hours[-1], hours)
    assert "silent since" in gaps([SHOP], [], [heard], NOW).text
    assert gaps([SHOP], [], [replace(heard, active_hours=hours[-30:])], NOW).passed


def test_a_verdict_is_the_same_while_the_matter_is() -> None:
    failing = replace(WELL, failures=3, problem="the vendor answers 500")
    first = polling([SHOP], [failing], NOW)
    later = polling([SHOP], [replace(failing, failures=9)], NOW + timedelta(hours=1))
    assert first.digest == later.digest
    assert first.digest != polling([SHOP], [WELL], NOW).digest
