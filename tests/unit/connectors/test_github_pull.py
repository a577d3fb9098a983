"""GitHub over REST, against a stand-in that pages, limits and fails as the documentation says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batuta.landing.model import Delivery
from examples.vendors.github import TOKEN, GitHub, stamp
from examples.vendors.serving import Fault
from sensors.connectors import github
from sensors.connectors.github import pull
from sensors.connectors.pulling import Account, Gone, RateLimited, SourceFailed, Unauthorized, Window
from tests.support.pulling import NOW, Pulled, TrialTime, pull_all, tools

HOUR = timedelta(hours=1)


@pytest.fixture
def vendor() -> Iterator[GitHub]:
    with GitHub() as served:
        yield served


def account(vendor: GitHub, **options: Any) -> Account:
    settings = github.Settings.model_validate({"apiUrl": vendor.url} | options.pop("settings", {}))
    return Account(
        "arcsat",
        "github",
        options.pop("name", vendor.repository),
        settings,
        {"token": options.pop("token", TOKEN).encode()},
        (b"hook-secret",),
        options.pop("public_url", None),
    )


def poll(vendor: GitHub, position: Any = None, *, time: TrialTime | None = None, **options: Any) -> Pulled:
    return pull_all(pull, account(vendor, **options), tools(time=time, limits=pull.limits), position)


def found(pulled: Pulled) -> list[tuple[str, str, str | None]]:
    return [(c.event.type, c.event.id, c.version) for c in pulled.candidates(github)]


def test_a_pull_request_is_fetched_whole_with_its_reviews(vendor: GitHub):
    vendor.pull(7, NOW - HOUR, merged_at=stamp(NOW - HOUR))
    vendor.reviews[7] = [{"id": 1, "state": "APPROVED", "body": "ok", "submitted_at": stamp(NOW - HOUR)}]
    first, review = poll(vendor).candidates(github)
    assert first.event.type == "com.github.pull_request.closed"
    assert first.event.data["pull_request"]["merged"] is True
    assert first.event.id == f"https://github.com/avila-inc/arcsat/pull/7@{stamp(NOW - HOUR)}"
    assert review.event.type == "com.github.pull_request_review.submitted"
    assert review.dataset == "reviews"


def test_what_a_webhook_brought_and_what_a_poll_finds_are_one_version(vendor: GitHub):
    item = vendor.pull(7, NOW - HOUR)
    hook = github.parse(
        Delivery(
            "arcsat",
            "github",
            None,
            {"x-github-event": "pull_request", "x-github-delivery": "guid-1"},
            _json(
                {"action": "opened", "pull_request": item, "repository": {"full_name": "avila-inc/arcsat"}}
            ),
            NOW,
        )
    ).candidates[0]
    [polled] = [c for c in poll(vendor).candidates(github) if c.dataset == "pull_requests"]
    assert (polled.entity, polled.version) == (hook.entity, hook.version)
    assert polled.event.source == hook.event.source


def test_a_second_poll_asks_only_for_what_is_new(vendor: GitHub):
    vendor.issue(1, NOW - HOUR)
    time = TrialTime()
    first = poll(vendor, time=time)
    time.advance(3600)
    vendor.issue(2, NOW + timedelta(minutes=50))
    second = poll(vendor, first.position, time=time)
    assert [c.event.subject for c in first.candidates(github)] == ["1"]
    assert [c.event.subject for c in second.candidates(github)] == ["2"]


def test_a_time_without_any_news_is_not_asked_for_again_nor_lost(vendor: GitHub):
    time = TrialTime()
    first = poll(vendor, time=time)
    time.advance(3 * 86_400)
    vendor.issue(1, NOW + HOUR)
    assert [c.event.subject for c in poll(vendor, first.position, time=time).candidates(github)] == ["1"]


def test_many_changes_within_one_second_are_all_read(vendor: GitHub):
    for number in range(1, 251):
        vendor.issue(number, NOW - HOUR)
    assert {c.event.subject for c in poll(vendor).candidates(github)} == {str(n) for n in range(1, 251)}


def test_an_item_that_moves_to_the_end_while_pages_are_read_hides_no_other(vendor: GitHub):
    for number in range(1, 151):
        vendor.issue(number, NOW - HOUR + timedelta(seconds=number))
    seen: set[str | None] = set()
    time = TrialTime()
    for page in pull.poll(account(vendor), None, tools(time=time, limits=pull.limits)):
        seen |= {c.event.subject for d in page.deliveries for c in github.parse(d).candidates}
        vendor.issue(1, NOW - timedelta(minutes=1))
    assert seen == {str(n) for n in range(1, 151)}


def test_a_repository_without_issues_still_has_pull_requests():
    with GitHub(issues=False) as vendor:
        for number in range(1, 4):
            vendor.pull(number, NOW - HOUR)
        assert [c.event.subject for c in poll(vendor).candidates(github)] == ["1", "2", "3"]


def test_unchanged_releases_cost_an_empty_answer(vendor: GitHub):
    released = {"id": 1, "tag_name": "v1", "draft": False, "prerelease": False}
    vendor.releases.append(released | {"created_at": stamp(NOW - HOUR), "published_at": stamp(NOW - HOUR)})
    first = poll(vendor)
    assert [kind for kind, _, _ in found(first)] == ["com.github.release.published"]
    assert found(poll(vendor, first.position)) == []
    vendor.releases[0] = vendor.releases[0] | {"name": "First"}
    changed = poll(vendor, first.position)
    assert len(found(changed)) == 1
    assert found(changed)[0][2] != found(first)[0][2]


def test_deployments_come_with_their_statuses_and_pushes_from_the_activity(vendor: GitHub):
    at = stamp(NOW - HOUR)
    vendor.deployments.append(
        {"id": 5, "sha": "a", "environment": "production", "created_at": at, "updated_at": at}
    )
    vendor.statuses[5] = [{"id": 50, "state": "success", "created_at": at, "updated_at": at}]
    push = {"ref": "refs/heads/main", "before": "a" * 40, "after": "b" * 40, "timestamp": at}
    vendor.activity.append(push | {"activity_type": "push", "actor": {"login": "ana-dev", "id": 1}})
    kinds = {c.event.type: c for c in poll(vendor).candidates(github)}
    assert kinds["com.github.deployment_status.created"].event.subject == "5"
    pushed = kinds["com.github.push.pushed"]
    assert (pushed.event.subject, pushed.version) == ("refs/heads/main", f"{'a' * 40}..{'b' * 40}")


def test_a_window_holds_what_was_last_changed_in_it_and_goes_on_where_it_broke_off(vendor: GitHub):
    for number in range(1, 301):
        vendor.issue(number, NOW - timedelta(days=60) + timedelta(hours=number))
    window = Window(NOW - timedelta(days=60), NOW - timedelta(days=60) + timedelta(hours=251))
    box = tools(limits=pull.limits)
    begun = pull_all(pull, account(vendor), box, window=window, pages_at_most=1)
    rest = pull_all(pull, account(vendor), box, begun.position, window=window)
    numbers = {c.event.subject for p in (begun, rest) for c in p.candidates(github)}
    assert numbers == {str(n) for n in range(1, 251)}
    assert len(begun.deliveries) + len(rest.deliveries) < 300


def test_an_owner_stands_for_its_repositories_and_each_gets_its_turn(vendor: GitHub):
    vendor.issue(1, NOW - HOUR)
    pulled = poll(vendor, name="avila-inc")
    assert [c.event.source for c in pulled.candidates(github)] == ["https://github.com/avila-inc/arcsat"]
    assert pulled.position["last"] == "avila-inc/arcsat"


def test_a_repository_that_always_fails_is_named_and_holds_up_none_behind_it(vendor: GitHub):
    vendor.issue(1, NOW - HOUR)
    vendor.broken = ("avila-inc/aardvark",)
    ours, read = account(vendor, name="avila-inc"), list[str]()

    def fetch(position: Any) -> Any:
        for page in pull.poll(ours, position, tools(limits=pull.limits)):
            position = page.position
            read.extend(str(c.event.subject) for d in page.deliveries for c in github.parse(d).candidates)
        return position

    with pytest.raises(SourceFailed, match=r"avila-inc/aardvark fails .*404.*2 repositories"):
        fetch(None)
    assert read == ["1"]


def test_a_limit_is_waited_for_and_beyond_the_deadline_handed_on(vendor: GitHub):
    time = TrialTime()
    vendor.issue(1, NOW - HOUR)
    vendor.fail_next(
        Fault(
            403,
            {
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": str(int(NOW.timestamp()) + 90),
                "date": "Mon, 02 Mar 2026 12:00:00 GMT",
            },
        )
    )
    assert len(poll(vendor, time=time).deliveries) == 1
    assert sum(time.waits) >= 90
    vendor.fail_next(Fault(429, {"retry-after": "7200"}))
    with pytest.raises(RateLimited) as limited:
        poll(vendor)
    assert limited.value.until >= NOW + 2 * HOUR - timedelta(minutes=1)


@pytest.mark.parametrize(
    "said",
    [
        b'{"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}',
        b'{"message": "You have triggered an abuse detection mechanism. Please wait a few minutes."}',
    ],
)
def test_a_limit_that_only_the_text_tells_from_a_refusal_is_waited_for(vendor: GitHub, said: bytes):
    time = TrialTime()
    vendor.issue(1, NOW - HOUR)
    vendor.fail_next(Fault(403, {"x-ratelimit-remaining": "4999"}, body=said))
    assert len(poll(vendor, time=time).deliveries) == 1
    assert sum(time.waits) >= 60


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(404), Gone),
        (Fault(301, {"location": "/repositories/42"}), SourceFailed),
        (Fault(403, body=b'{"message": "Resource not accessible by personal access token"}'), Unauthorized),
        (Fault(200, body=b"<html>"), SourceFailed),
    ],
)
def test_a_refusal_is_a_sentence(vendor: GitHub, fault: Fault, expected: type[Exception]):
    vendor.fail_next(*[fault] * 8)
    with pytest.raises(expected):
        poll(vendor)


def test_torn_answers_and_server_errors_are_tried_again(vendor: GitHub):
    vendor.issue(1, NOW - HOUR)
    vendor.fail_next(Fault(torn=True, path="/issues"), Fault(502, path="/releases"))
    assert [c.event.subject for c in poll(vendor).candidates(github)] == ["1"]


def test_pages_that_go_in_a_circle_end(vendor: GitHub):
    vendor.circular = True
    with pytest.raises(SourceFailed, match="circle"):
        pull_all(pull, account(vendor), tools(), window=Window(NOW - HOUR, NOW))


def test_a_wrong_token_is_said_so(vendor: GitHub):
    with pytest.raises(Unauthorized):
        poll(vendor, token="another")


def _audit(vendor: GitHub, **options: Any) -> list[tuple[str, str]]:
    time = TrialTime(datetime.now(UTC))
    found = pull.audit(account(vendor, **options), tools(time=time, limits=pull.limits))
    return [(s.state, s.detail or "") for s in found]


def test_a_missing_hook_is_made_and_one_that_was_switched_off_is_on_again(vendor: GitHub):
    assert _audit(vendor) == []
    assert _audit(vendor, public_url="https://ears.example.com")[0][0] == "created"
    assert (
        vendor.hooks[0]["config"]["url"] == "https://ears.example.com/webhooks/arcsat/github/avila-inc/arcsat"
    )
    assert vendor.hooks[0]["config"]["secret"] == "hook-secret"
    vendor.hooks[0]["active"] = False
    assert _audit(vendor, public_url="https://ears.example.com")[0][0] == "renewed"
    assert vendor.hooks[0]["active"] is True
    assert _audit(vendor, public_url="https://ears.example.com") == [("active", "")]


def test_failed_deliveries_are_asked_for_again_and_not_for_ever(vendor: GitHub):
    address = "http://127.0.0.1:9"
    _audit(vendor, public_url=address)
    vendor.send("issues", {"action": "opened", "issue": vendor.issue(1, NOW)}, guid="guid-1")
    for attempt in range(2, 6):
        assert "1 failed deliveries asked for again" in _audit(vendor, public_url=address)[0][1]
        assert len(vendor.attempts) == attempt
    assert _audit(vendor, public_url=address)[0][0] == "failing"
    assert len(vendor.attempts) == 5
    assert {a["guid"] for a in vendor.attempts} == {"guid-1"}


def _json(document: Any) -> bytes:
    import orjson

    return orjson.dumps(document)
