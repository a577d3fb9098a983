"""GitHub's REST API as one account sees it: lists by the pages it names, and records in the form of webhooks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

import orjson

from batuta.landing.model import Delivery
from sensors.connectors.answers import object_of, objects_of
from sensors.connectors.github import ENTERPRISE_HOST, EVENT, RECORD, Settings
from sensors.connectors.pulling import Account, Answer, Gone, Permanent, SourceFailed, Tools

PAGE: Final = 100
MOST_PAGES: Final = 1000
_NEXT: Final = re.compile(r'<([^>]+)>;\s*rel="next"')
_SECONDARY_LIMIT_S: Final = 60.0
_LIMITED: Final = (b"rate limit", b"abuse detection")

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A record, which event it is, and how it is called there."""

    event: str
    action: str | None
    record: Mapping[str, Any]


class Api:
    """The REST API, as one account sees it."""

    def __init__(self, account: Account, tools: Tools) -> None:
        self.account = account
        self.tools = tools
        self.settings = cast("Settings", account.settings)
        self._root = self.settings.api_url

    def get(self, path: str, params: Mapping[str, str] | None = None, **options: Any) -> Answer:
        """One answer; `path` begins with / or is a whole address that GitHub gave."""
        url = path if path.startswith("http") else f"{self._root}{path}"
        if not url.startswith(f"{self._root}/"):
            raise Permanent("GitHub names a next page at another address", hint="check settings.apiUrl")
        headers = headers_of(self.account) | options.pop("headers", {})
        return self.tools.calls.request("GET", url, headers=headers, params=params, **options)

    def pages(self, path: str, params: Mapping[str, str]) -> Iterator[list[Record]]:
        """The pages of a list, by the addresses GitHub gives; one that comes back is an error, not a loop."""
        answer = self.get(path, dict(params) | {"per_page": str(PAGE)})
        seen = {answer.url}
        for _ in range(MOST_PAGES):
            yield json_list(answer)
            follows = next_page(answer)
            if follows is None:
                return
            if follows in seen:
                raise SourceFailed("GitHub's pages go in a circle; the next poll begins again")
            seen.add(follows)
            answer = self.get(follows)
        raise Permanent(f"a list of more than {MOST_PAGES} pages", hint="backfill it in smaller windows")

    def repositories(self) -> list[Record]:
        """The account's repositories, each with its default branch."""
        named = (self.account.name or "").strip("/")
        if not named:
            raise Permanent(
                "the account is missing", hint="name an owner or a repository in spec.connectors[].account"
            )
        if "/" in named:
            return [self._repository(named)]
        if self.settings.repositories:
            return [self._repository(f"{named}/{name}") for name in self.settings.repositories]
        found = self.get(f"/orgs/{named}/repos", {"per_page": "1"}, expect=(200, 404))
        path = f"/orgs/{named}/repos" if found.status == 200 else f"/users/{named}/repos"
        return [repository for page in self.pages(path, {"sort": "full_name"}) for repository in page]

    def _repository(self, name: str) -> Record:
        answer = self.get(f"/repos/{name}", expect=(200, 301, 404, 410, 451))
        if answer.status == 301:
            raise Permanent(f"{name} has been renamed or moved", hint="write its present name as the account")
        if answer.status != 200:
            raise Gone(
                f"{name} is not there, or the token may not see it", hint="check the name and the token"
            )
        return json_object(answer)

    def deliveries(self, found: Iterable[Found], repository: Record) -> tuple[Delivery, ...]:
        """Records in the form of webhooks."""
        about = {
            key: repository.get(key) for key in ("id", "name", "full_name", "private", "default_branch")
        } | {"owner": {"login": str(repository["full_name"]).partition("/")[0]}}
        now = self.tools.clock()
        headers = {ENTERPRISE_HOST: self.settings.host}
        return tuple(
            self.account.delivery(
                RECORD,
                orjson.dumps({"action": item.action, **item.record, "repository": about}),
                now,
                **{EVENT.replace("-", "_"): item.event},
                **{name.replace("-", "_"): value for name, value in headers.items()},
            )
            for item in found
        )


def headers_of(account: Account) -> dict[str, str]:
    """What every request carries."""
    token = account.credentials.get("token")
    headers = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
    return headers | ({"authorization": f"Bearer {token.decode()}"} if token else {})


def json_list(answer: Answer) -> list[Record]:
    """The objects of a list."""
    return objects_of(answer, "GitHub")


def json_object(answer: Answer) -> Record:
    """One object."""
    return object_of(answer, "GitHub")


def next_page(answer: Answer) -> str | None:
    """The address of the page behind this one."""
    follows = _NEXT.search(answer.headers.get("link", ""))
    return follows[1] if follows else None


def limits(answer: Answer) -> float | None:
    """Seconds GitHub asks to wait because of this answer; None where a 403 is a refusal and no limit.

    A secondary limit may come as a plain 403 that only its text tells from a refusal.
    """
    if answer.status not in (403, 429):
        return None
    headers = answer.headers
    if headers.get("retry-after", "").isdigit():
        return float(headers["retry-after"])
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
        sent = headers.get("date")
        now = _http_date(sent) if sent else datetime.now(UTC)
        return max(1.0, int(headers["x-ratelimit-reset"]) - now.timestamp())
    said = answer.body.lower()
    limited = answer.status == 429 or any(words in said for words in _LIMITED)
    return _SECONDARY_LIMIT_S if limited else None


def _http_date(text: str) -> datetime:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return datetime.now(UTC)
