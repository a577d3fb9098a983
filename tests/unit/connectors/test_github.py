"""GitHub webhooks: known events, events nobody has heard of, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from batuta.landing.model import Candidate, Parsed, Rejected
from sensors.connectors import github
from tests.support.vendor_deliveries import RECEIVED_AT, REPOSITORY, delivery, pull_request, signed_github

SOURCE = "https://github.com/avila-inc/arcsat"
RELEASE = {
    "id": 17372790,
    "tag_name": "v1.0.0",
    "name": "First",
    "draft": False,
    "prerelease": False,
    "created_at": "2025-11-01T10:00:00Z",
    "published_at": "2025-11-12T10:00:00Z",
}


def parse(payload: Any, *, account: str | None = None, **options: Any) -> Parsed:
    headers, body = signed_github(payload, **options)
    return github.parse(delivery("github", headers, body, account=account))


def read(payload: Any, **options: Any) -> Candidate:
    [candidate] = parse(payload, **options).candidates
    return candidate


def rejection(payload: Any, **options: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        parse(payload, **options)
    return caught.value


def test_a_merged_pull_request_becomes_an_event_of_its_repository():
    candidate = read(pull_request())
    event = candidate.event
    assert event.type == "com.github.pull_request.closed"
    assert event.id == "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    assert event.source == SOURCE
    assert event.subject == "7"
    assert event.time == datetime(2025, 11, 12, 10, 59, tzinfo=UTC)
    assert not event.extensions
    assert candidate.dataset == "pull_requests"
    assert candidate.entity == f"{SOURCE}/pull/7"
    assert candidate.version == "2025-11-12T10:59:00Z"


def test_a_ping_is_counted_and_left_out():
    parsed = parse({"zen": "Keep it simple.", "hook_id": 1}, event="ping")
    assert (parsed.candidates, parsed.filtered, parsed.note) == ((), 1, "ping")


def test_one_repository_is_one_source_though_push_names_its_page():
    push = {
        "ref": "refs/heads/main",
        "after": "6dcb09b5b57875f334f61aebed695e2e4193db5e",
        "head_commit": {"id": "6dcb09b5", "timestamp": "2025-11-12T09:00:00-03:00"},
        "repository": {**REPOSITORY, "url": "https://github.com/avila-inc/arcsat", "pushed_at": 1762948800},
    }
    event = read(push, event="push").event
    assert (event.source, event.type, event.subject) == (SOURCE, "com.github.push.pushed", "refs/heads/main")
    assert event.time == datetime(2025, 11, 12, 12, tzinfo=UTC)
    deleted = read({**push, "head_commit": None}, event="push").event
    assert deleted.time == datetime.fromtimestamp(1762948800, UTC)


def test_a_release_is_dated_by_its_publication_and_versioned_by_its_content():
    candidate = read({"action": "published", "release": RELEASE, "repository": REPOSITORY}, event="release")
    assert candidate.event.time == datetime(2025, 11, 12, 10, tzinfo=UTC)
    assert candidate.event.subject == "17372790"
    assert candidate.dataset == "releases"
    again = read(
        {"action": "edited", "release": RELEASE | {"reactions": {"+1": 1}}, "repository": REPOSITORY},
        event="release",
    )
    renamed = read(
        {"action": "edited", "release": RELEASE | {"name": "1.0"}, "repository": REPOSITORY}, event="release"
    )
    assert again.version == candidate.version != renamed.version


def test_a_deletion_is_no_version_of_the_thing():
    candidate = read({"action": "deleted", "release": RELEASE, "repository": REPOSITORY}, event="release")
    assert (candidate.entity, candidate.version) == (None, None)


def test_an_issue_is_read():
    issue = {"number": 3, "updated_at": "2025-11-12T10:00:00Z"}
    candidate = read({"action": "opened", "issue": issue, "repository": REPOSITORY}, event="issues")
    assert (candidate.event.type, candidate.dataset) == ("com.github.issues.opened", "issues")
    assert candidate.entity == f"{SOURCE}/issues/3"


def test_an_unknown_event_and_an_unknown_action_are_read_like_any_other():
    thing = {
        "action": "frobbed",
        "frob": {"id": 5, "created_at": "2025-11-12T10:00:00Z"},
        "repository": REPOSITORY,
    }
    candidate = read(thing, event="frob")
    assert candidate.event.type == "com.github.frob.frobbed"
    assert (candidate.dataset, candidate.event.subject) == ("other", "5")
    assert candidate.event.time == datetime(2025, 11, 12, 10, tzinfo=UTC)
    assert read(pull_request(action="levitated")).event.type == "com.github.pull_request.levitated"
    assert read({"repository": REPOSITORY}, event="gollum").event.type == "com.github.gollum.received"


def test_the_time_of_receipt_stands_in_only_where_there_is_none_and_says_so():
    event = read({"ref": "v1", "ref_type": "tag", "repository": REPOSITORY}, event="create").event
    assert event.time == RECEIVED_AT
    assert event.extensions == {"timebasis": "received"}


@pytest.mark.parametrize(
    ("payload", "source"),
    [
        ({"organization": {"login": "avila-inc"}}, "https://github.com/avila-inc"),
        ({"enterprise": {"slug": "avila"}}, "https://github.com/enterprises/avila"),
        ({"installation": {"id": 12}}, "https://github.com/settings/installations/12"),
        ({"security_advisory": {"ghsa_id": "GHSA-1"}}, "https://github.com"),
        ({"repository": None, "sender": None}, "https://github.com"),
    ],
)
def test_what_belongs_to_no_repository_has_a_source_too(payload: dict[str, Any], source: str):
    assert read(payload, event="anything").event.source == source


def test_an_enterprise_server_is_another_site():
    event = read(pull_request(), headers={"x-github-enterprise-host": "GitHub.Example.com"}).event
    assert event.source == "https://github.example.com/avila-inc/arcsat"
    assert rejection(pull_request(), headers={"x-github-enterprise-host": "a/b"}).code == "headers"


def test_a_person_is_never_a_subject():
    payload = {"action": "added", "member": {"id": 99, "login": "dev"}, "repository": REPOSITORY}
    assert read(payload, event="member").event.subject is None


def test_the_configured_account_is_an_owner_or_a_repository():
    for account in ("avila-inc", "Avila-Inc/ArcSat"):
        assert read(pull_request(), account=account).event.source == SOURCE
    assert rejection(pull_request(), account="someone-else").code == "account"
    assert read({"zen": "x"}, event="meta", account="avila-inc").event.source == "https://github.com"


@pytest.mark.parametrize(
    ("payload", "options", "code"),
    [
        (b"{", {}, "json"),
        (b"payload=%7B%7D", {}, "json"),
        ([], {}, "shape"),
        (pull_request(action="Closed!"), {}, "event_name"),
        (pull_request() | {"action": 5}, {}, "shape"),
        (pull_request(), {"event": "pull request"}, "event_name"),
        (pull_request(), {"event": ""}, "headers"),
        (pull_request(), {"delivery_id": " "}, "headers"),
        (pull_request(pull_request=None), {}, "identity"),
        (pull_request(pull_request={"number": "7"}), {}, "identity"),
        (pull_request(repository={"full_name": "no owner"}), {}, "identity"),
        (pull_request(repository={"id": 1}), {}, "identity"),
        ({"organization": {"login": "../x"}}, {"event": "organization"}, "identity"),
    ],
)
def test_what_cannot_be_read_is_refused(payload: Any, options: dict[str, str], code: str):
    assert rejection(payload, **options).code == code
