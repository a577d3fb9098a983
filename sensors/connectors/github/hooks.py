"""The webhook of a GitHub account: made, switched on again, and its failed deliveries asked for once more.

GitHub repeats nothing by itself, and forgets deliveries after three days.
Protocol: docs.github.com/webhooks, "Handling failed webhook deliveries".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

from batuta.events.event import parse_time
from sensors.connectors.github import Settings
from sensors.connectors.github.rest import headers_of, json_list, json_object, next_page
from sensors.connectors.pulling import Account, Answer, Subscription, Tools, Unauthorized

ATTEMPTS: Final = 5
"""A delivery that we refused so often is not asked for again: something is wrong with it or with us."""
REMEMBERED: Final = timedelta(days=3)
_MOST_PAGES: Final = 100
_MAY: Final = 'give the token the permission "Webhooks: write", or look after the hook by hand'


def audit_hooks(account: Account, tools: Tools) -> tuple[Subscription, ...]:
    """How the account's hook stands; nothing where no address of ours is known (`BATUTA_PUBLIC_URL`)."""
    address = account.webhook_address()
    if address is None or account.name is None:
        return ()
    api = _Hooks(account, tools)
    try:
        hook = next((h for h in api.hooks() if _leads_to(h, address)), None)
        if hook is None:
            return (_make(api, account, address),)
        name, reference = "webhook", {"hook": hook["id"]}
        if not hook.get("active", True):
            api.send("PATCH", f"/{hook['id']}", {"active": True})
            return (
                Subscription(name, "renewed", "it was switched off and is on again", reference=reference),
            )
        asked, given_up = _ask_again(api, hook["id"], tools.clock())
    except Unauthorized:
        return (Subscription("webhook", "missing", f"the token may not see the webhooks: {_MAY}"),)
    if given_up:
        detail = f"{given_up} deliveries failed {ATTEMPTS} times; see `batuta quarantine list` and the gateway's log"
        return (Subscription(name, "failing", detail, reference=reference),)
    detail = f"{asked} failed deliveries asked for again" if asked else None
    return (Subscription(name, "active", detail, reference=reference),)


class _Hooks:
    """The hooks of a repository or an organization."""

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account = account
        self._tools = tools
        root = cast("Settings", account.settings).api_url
        owner = str(account.name)
        self._base = f"{root}/repos/{owner}/hooks" if "/" in owner else f"{root}/orgs/{owner}/hooks"

    def hooks(self) -> Iterator[dict[str, Any]]:
        for answer in self.pages("", {"per_page": "100"}):
            yield from json_list(answer)

    def pages(self, path: str, params: Mapping[str, str]) -> Iterator[Answer]:
        answer = self.send("GET", path, params=params)
        for _ in range(_MOST_PAGES):
            yield answer
            follows = next_page(answer)
            if follows is None or not follows.startswith(self._base):
                return
            answer = self._request("GET", follows)

    def send(
        self, method: str, path: str, json: Any = None, *, params: Mapping[str, str] | None = None
    ) -> Answer:
        return self._request(method, f"{self._base}{path}", json=json, params=params)

    def _request(self, method: str, url: str, **options: Any) -> Answer:
        return self._tools.calls.request(
            method, url, headers=headers_of(self._account), expect=(200, 201, 202), **options
        )


def _leads_to(hook: Mapping[str, Any], address: str) -> bool:
    return str(hook.get("config", {}).get("url", "")).rstrip("/") == address.rstrip("/")


def _make(api: _Hooks, account: Account, address: str) -> Subscription:
    """A hook for every event, signed with the account's first secret."""
    if not account.secrets:
        why = account.lacks or "name a secret in secretRefs"
        return Subscription("webhook", "missing", f"{why.rstrip('.')}; the hook is then made")
    config = {"url": address, "content_type": "json", "secret": account.secrets[0].decode()}
    answer = api.send("POST", "", {"name": "web", "active": True, "events": ["*"], "config": config})
    made = json_object(answer)
    return Subscription("webhook", "created", "there was none", reference={"hook": made["id"]})


def _ask_again(api: _Hooks, hook: int, now: datetime) -> tuple[int, int]:
    """Ask for deliveries that never succeeded; how many, and how many are given up."""
    attempts: dict[str, list[dict[str, Any]]] = {}
    for answer in api.pages(f"/{hook}/deliveries", {"per_page": "100"}):
        page = [d for d in json_list(answer) if parse_time(d["delivered_at"]) > now - REMEMBERED]
        for delivery in page:
            attempts.setdefault(delivery["guid"], []).append(delivery)
        if not page:
            break
    failed = [tries for tries in attempts.values() if not any(_arrived(t) for t in tries)]
    again = [tries for tries in failed if len(tries) < ATTEMPTS]
    for tries in again:
        newest = max(tries, key=lambda t: parse_time(t["delivered_at"]))
        api.send("POST", f"/{hook}/deliveries/{newest['id']}/attempts")
    return len(again), len(failed) - len(again)


def _arrived(delivery: Mapping[str, Any]) -> bool:
    return 200 <= int(delivery.get("status_code") or 0) < 300
