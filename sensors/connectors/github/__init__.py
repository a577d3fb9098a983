"""GitHub webhooks, and records of its REST API in the form of webhooks: verify and parse.

GitHub does not repeat a failed delivery on its own; a delivery that is asked for again keeps its id. Events
and actions this module has never heard of are read like any other: GitHub adds them without notice.
Protocol: docs.github.com/webhooks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import orjson
from pydantic import Field

from batuta.events.event import format_time
from batuta.events.types import lookup
from batuta.landing.model import Candidate, Delivery, Parsed, Rejected
from sensors.connectors import signature
from sensors.connectors.addresses import ServiceAddress
from sensors.connectors.pulling import FORM, ConnectorSettings
from sensors.connectors.reading import (
    JsonObject,
    build,
    json_object,
    moment_at,
    number_at,
    object_at,
    required_header,
    text_at,
)

NAME: Final = "github"
PUSH: Final = True
BACKFILL: Final[Literal["window", "scan"]] = "window"
MEDIA_TYPES: Final = frozenset({"application/json"})
SIGNATURE: Final = "x-hub-signature-256"
EVENT: Final = "x-github-event"
DELIVERY_ID: Final = "x-github-delivery"
ENTERPRISE_HOST: Final = "x-github-enterprise-host"
REQUIRED_HEADERS: Final = (EVENT, DELIVERY_ID)

RECORD: Final = "record"
"""Form of a pulled delivery: the payload a webhook would have had; its id is its entity and version."""

CREDENTIALS: Final[Mapping[str, str]] = MappingProxyType(
    {"token": "fine-grained token that reads the repositories; with Webhooks: write it also mends the hook"}
)

Stream: TypeAlias = Literal["issues", "releases", "deployments", "pushes"]
STREAMS: Final[tuple[Stream, ...]] = ("issues", "releases", "deployments", "pushes")

OTHER: Final = "other"
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FULL_NAME: Final = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9._-]+")
_LOGIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_ACCOUNT: Final = "an owner (avila-inc) or one repository (avila-inc/arcsat)"
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
# Members that are circumstances or persons, never what an event is about.
_CIRCUMSTANCES: Final = frozenset(
    {"repository", "organization", "installation", "enterprise", "sender", "changes"}
    | {
        "member",
        "membership",
        "user",
        "blocked_user",
        "invitation",
        "assignee",
        "requested_reviewer",
        "pusher",
    }
)
_TIMES: Final = ("updated_at", "completed_at", "submitted_at", "published_at", "created_at", "started_at")


class Settings(ConnectorSettings):
    """What may be set for an account, which is an owner (`avila-inc`) or one repository (`avila-inc/arcsat`)."""

    api_url: ServiceAddress = Field(default="https://api.github.com", description="Address of the REST API.")
    host: str = Field(default="github.com", description="Host of the pages; another for GitHub Enterprise.")
    repositories: tuple[str, ...] = Field(
        default=(), description="Names of an owner's repositories to fetch; without them, all."
    )
    streams: tuple[Stream, ...] = Field(default=STREAMS, description="What is fetched of each repository.")
    poll_seconds: int = Field(default=600, ge=10, description="Seconds between two polls.")
    lookback_hours: int = Field(default=24, ge=0, description="How far the first poll looks back.")

    def misnamed(self, account: str | None, *, fetched: bool) -> str | None:
        """What is fetched has to be named; webhooks may be of any repository."""
        if account is None:
            return f"fetching takes an account: {_ACCOUNT}" if fetched else None
        named = _LOGIN.fullmatch(account) or _FULL_NAME.fullmatch(account)
        return None if named else f"must be {_ACCOUNT}"


SETTINGS: Final = Settings


@dataclass(frozen=True, slots=True)
class _Thing:
    """The object an event is about, where its subject stands in it, and what its page is called.

    `within` is the object it belongs to, by which it goes in the log where that is what people follow.
    """

    member: str
    subject: str
    page: str
    within: str | None = None


_THINGS: Final[Mapping[str, _Thing]] = MappingProxyType(
    {
        "pull_request": _Thing("pull_request", "number", "pull"),
        "issues": _Thing("issue", "number", "issues"),
        "release": _Thing("release", "id", "releases"),
        "pull_request_review": _Thing("review", "id", "reviews"),
        "deployment": _Thing("deployment", "id", "deployments"),
        "deployment_status": _Thing("deployment_status", "id", "statuses", within="deployment"),
    }
)


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:
    """Check X-Hub-Signature-256: `sha256=` and the hex HMAC-SHA256 over the raw body. SHA-1 counts nothing.

    Raises:
        Unsigned, BadSignature, NoSecret: see `Connector.verify`.
    """
    signature.check_sha256(delivery.headers.get(SIGNATURE), "X-Hub-Signature-256", secrets, delivery.body)


def parse(delivery: Delivery) -> Parsed:
    """Read one webhook; a ping is counted and left out.

    Raises:
        Rejected: a header or an attribute is missing or wrong, the body is no JSON object.
    """
    name = _word(required_header(delivery, EVENT), EVENT)
    pulled = delivery.headers.get(FORM) == RECORD
    delivery_id = "" if pulled else required_header(delivery, DELIVERY_ID)
    payload = json_object(delivery.body)
    if name == "ping":
        return Parsed(candidates=(), dataset=OTHER, filtered=1, note="ping")
    _check_account(delivery, payload)

    event_type = f"com.github.{name}.{_action(name, payload)}"
    row = lookup(event_type)
    dataset = row.dataset if row is not None else OTHER
    source = _source(delivery, payload)
    subject = _subject(name, payload)
    moment = _time(name, payload)
    entity, version = _entity(name, source, subject, payload)
    if pulled and version is None:
        raise Rejected("identity", "a record needs an id and what tells its versions apart", field=name)
    event = build(
        id=f"{entity}@{version}" if pulled else delivery_id,
        source=source,
        type=event_type,
        time=moment or delivery.received_at,
        subject=subject,
        data=payload,
        extensions=None if moment else {"timebasis": "received"},
    )
    candidate = Candidate(event=event, dataset=dataset, connector=NAME, entity=entity, version=version)
    return Parsed(candidates=(candidate,), dataset=dataset)


def same_account(configured: str, named: str) -> bool:
    """Whether both name one owner or repository; case does not count."""
    return configured.strip().lower() == named.strip().lower()


def _word(text: str, field: str) -> str:
    if not _WORD.fullmatch(text):
        raise Rejected("event_name", "must be a lower-case word of letters, digits and _", field=field)
    return text


# Events without an action (deployments of older servers among them), and one whose action is its sender's free text.
_IMPLIED: Final[Mapping[str, str]] = MappingProxyType(
    {"push": "pushed", "deployment": "created", "deployment_status": "created"}
)
_FREE_ACTION: Final = "repository_dispatch"


def _action(event: str, payload: JsonObject) -> str:
    """The action, in the past tense already; an event without one is merely received."""
    action = payload.get("action")
    if action is None or event == _FREE_ACTION:
        return _IMPLIED.get(event, "received")
    if not isinstance(action, str):
        raise Rejected("shape", "must be a text", field="action")
    return _word(action, "action")


def _check_account(delivery: Delivery, payload: JsonObject) -> None:
    """A configured account is an owner or a repository; a payload that names neither cannot contradict it."""
    if delivery.account is None:
        return
    full_name = text_at(object_at(payload, "repository"), "full_name")
    names = [text_at(object_at(payload, "organization"), "login")]
    if full_name is not None:
        names += [full_name, full_name.partition("/")[0]]
    named = [name for name in names if name is not None]
    if named and not any(same_account(delivery.account, name) for name in named):
        raise Rejected(
            "account",
            "the delivery is of another account than the one configured for this address",
            field="repository",
        )


def _source(delivery: Delivery, payload: JsonObject) -> str:
    """One source per repository, from its full name.

    `repository.url` is the API's address in some events, the page's in others. What belongs to no repository
    is its organization's, its enterprise's, its app installation's, or the site's own.
    """
    host = delivery.headers.get(ENTERPRISE_HOST, "").strip().lower() or "github.com"
    if not _HOST.fullmatch(host):
        raise Rejected("headers", "must be a host name", field=ENTERPRISE_HOST)
    site = f"https://{host}"
    repository = object_at(payload, "repository")
    if repository:
        return f"{site}/{_name(repository, 'full_name', _FULL_NAME, 'repository')}"
    organization = object_at(payload, "organization")
    if organization:
        return f"{site}/{_name(organization, 'login', _LOGIN, 'organization')}"
    enterprise = text_at(object_at(payload, "enterprise"), "slug")
    if enterprise is not None and _LOGIN.fullmatch(enterprise):
        return f"{site}/enterprises/{enterprise}"
    installation = number_at(object_at(payload, "installation"), "id")
    return site if installation is None else f"{site}/settings/installations/{installation}"


def _name(member: JsonObject, field: str, form: re.Pattern[str], owner: str) -> str:
    name = text_at(member, field)
    if name is None or not form.fullmatch(name):
        raise Rejected("identity", "is missing or not a name GitHub allows", field=f"{owner}.{field}")
    return name


def _subject(event: str, payload: JsonObject) -> str | None:
    thing = _THINGS.get(event)
    if thing is not None:
        member = thing.within or thing.member
        number = number_at(object_at(payload, member), thing.subject)
        if number is None:
            raise Rejected("identity", "is missing or no whole number", field=f"{member}.{thing.subject}")
        return str(number)
    if event == "push":
        return text_at(payload, "ref")
    number = number_at(_about(event, payload), "id")
    return None if number is None else str(number)


def _about(event: str, payload: JsonObject) -> JsonObject:
    """The object an event is about: that of its own name, else the first that is no mere circumstance."""
    things = {
        name: value
        for name, value in payload.items()
        if name not in _CIRCUMSTANCES and isinstance(value, dict)
    }
    return things[event] if event in things else next(iter(things.values()), {})


def _time(event: str, payload: JsonObject) -> datetime | None:
    """When it happened by GitHub's account, None if the payload does not say."""
    if event == "push":
        return moment_at(object_at(payload, "head_commit"), "timestamp") or _pushed_at(payload)
    thing = _THINGS.get(event)
    about = object_at(payload, thing.member) if thing else _about(event, payload)
    if event == "release" and payload.get("action") == "published":
        return moment_at(about, "published_at", *_TIMES)
    return moment_at(about, *_TIMES) or moment_at(payload, "starred_at", *_TIMES)


def _pushed_at(payload: JsonObject) -> datetime | None:
    """`repository.pushed_at` is in seconds in a push, a text everywhere else."""
    repository = object_at(payload, "repository")
    seconds = number_at(repository, "pushed_at")
    if seconds is None:
        return moment_at(repository, "pushed_at")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _entity(
    event: str, source: str, subject: str | None, payload: JsonObject
) -> tuple[str | None, str | None]:
    """The second key: a page's address and its version. A deletion is no version of anything."""
    if event == "push":
        ends = text_at(payload, "before"), text_at(payload, "after")
        return (f"{source}/{subject}", "..".join(map(str, ends))) if subject and all(ends) else (None, None)
    thing = _THINGS.get(event)
    if thing is None or payload.get("action") in ("deleted", "transferred"):
        return None, None
    about = object_at(payload, thing.member)
    number = number_at(about, "id") if thing.within else subject
    entity = f"{source}/{thing.page}/{number}"
    content = _CONTENT.get(event)
    if content is not None:
        return entity, _digest(about, content)
    moment = moment_at(about, "updated_at", "created_at")
    return (entity, format_time(moment)) if moment and number is not None else (None, None)


# What has no dependable time of update: its version is a digest of what can change.
_CONTENT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "release": ("tag_name", "target_commitish", "name", "body", "draft", "prerelease", "published_at"),
        "pull_request_review": ("state", "body", "submitted_at"),
    }
)


def _digest(thing: Mapping[str, Any], fields: Sequence[str]) -> str:
    content = orjson.dumps([_folded(thing.get(name)) for name in fields])
    return hashlib.sha256(content).hexdigest()[:32]


def _folded(value: Any) -> Any:
    """Webhooks and REST write a review's state in different case, and an empty body as nothing or as a text."""
    return value.casefold() if isinstance(value, str) else value or None
