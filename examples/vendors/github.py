"""A stand-in for GitHub's REST API: repositories, issues, pull requests, releases, deployments, activity, hooks.

Pages by Link header, lists in the documented orders, ETags, rate limits in headers; a hook delivers signed webhooks
and remembers what failed. Data is made up; `python -m examples.vendors github` serves one repository of it.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.vendors.serving import Served

TOKEN: Final = "made-up-token"  # noqa: S105 - nobody's
Json = dict[str, Any]


class GitHub(Served):
    """One repository and its hooks, to be changed by tests and by hand."""

    def __init__(self, repository: str = "avila-inc/arcsat", *, port: int = 0, issues: bool = True) -> None:
        self.repository = repository
        self.owner = repository.partition("/")[0]
        self.has_issues = issues
        self.items: dict[int, Json] = {}
        """Issues and pull requests, by number; the latter have `base`."""
        self.reviews: dict[int, list[Json]] = {}
        self.releases: list[Json] = []
        self.deployments: list[Json] = []
        self.statuses: dict[int, list[Json]] = {}
        self.activity: list[Json] = []
        self.hooks: list[Json] = []
        self.attempts: list[Json] = []
        """Deliveries of all hooks, newest first."""
        self.bodies: dict[str, tuple[str, bytes]] = {}
        self.circular = False
        self.broken: tuple[str, ...] = ()
        """Names of further repositories of the owner that are listed and give nothing."""
        at = f"/repos/{repository}"
        routes = [
            (at, self._repository),
            (f"/orgs/{self.owner}/repos", self._repositories),
            (f"{at}/issues", self._issues),
            (f"{at}/pulls", self._pulls),
            (f"{at}/pulls/{{number:int}}", self._pull),
            (f"{at}/pulls/{{number:int}}/reviews", self._reviews),
            (f"{at}/releases", self._releases),
            (f"{at}/deployments", self._deployments),
            (f"{at}/deployments/{{number:int}}/statuses", self._statuses),
            (f"{at}/activity", self._activity),
        ]
        super().__init__(
            Starlette(
                routes=[
                    *(Route(path, self._guarded(handler)) for path, handler in routes),
                    Route(f"{at}/hooks", self._guarded(self._hooks), methods=["GET", "POST"]),
                    Route(f"{at}/hooks/{{hook:int}}", self._guarded(self._edit_hook), methods=["PATCH"]),
                    Route(f"{at}/hooks/{{hook:int}}/deliveries", self._guarded(self._deliveries)),
                    Route(
                        f"{at}/hooks/{{hook:int}}/deliveries/{{number:int}}/attempts",
                        self._guarded(self._attempt),
                        methods=["POST"],
                    ),
                ]
            ),
            port,
        )

    def issue(self, number: int, at: datetime, **changes: Any) -> Json:
        """Open or change an issue."""
        return self._put(number, at, {"title": f"Issue {number}", "comments": 0} | changes)

    def pull(self, number: int, at: datetime, **changes: Any) -> Json:
        """Open or change a pull request; `merged_at` closes it."""
        base = {
            "title": f"Change {number}",
            "draft": False,
            "merged_at": None,
            "base": {"ref": "main"},
            "head": {"sha": hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()},
            "merged": bool(changes.get("merged_at")),
        }
        closed = {"state": "closed", "closed_at": changes["merged_at"]} if changes.get("merged_at") else {}
        return self._put(number, at, base | closed | changes)

    def _put(self, number: int, at: datetime, fields: Json) -> Json:
        before = self.items.get(number, {"created_at": stamp(at), "state": "open", "closed_at": None})
        person = {"login": "ana-dev", "id": 4711, "type": "User"}
        fixed = {"id": 9000 + number, "number": number, "user": person, "updated_at": stamp(at)}
        self.items[number] = before | fields | fixed
        return self.items[number]

    def send(self, event: str, payload: Json, *, guid: str | None = None) -> None:
        """Deliver an event to every active hook, as GitHub does: once, whatever comes of it."""
        guid = guid or str(uuid.uuid4())
        body = json.dumps(payload | {"repository": self._about()}).encode()
        self.bodies[guid] = (event, body)
        for hook in self.hooks:
            if hook["active"]:
                self._deliver(hook, guid, redelivery=False)

    def _deliver(self, hook: Json, guid: str, *, redelivery: bool) -> None:
        event, body = self.bodies[guid]
        secret = hook["config"].get("secret", "").encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "GitHub-Hookshot/0000000",
            "x-github-event": event,
            "x-github-delivery": guid,
            "x-hub-signature-256": f"sha256={hmac.digest(secret, body, 'sha256').hex()}",
        }
        try:
            status = httpx.post(
                hook["config"]["url"], content=body, headers=headers, timeout=10, trust_env=False
            ).status_code
        except httpx.HTTPError:
            status = 502
        delivery = {
            "id": 1_000 + len(self.attempts),
            "guid": guid,
            "delivered_at": stamp(datetime.now(UTC)),
            "redelivery": redelivery,
            "status_code": status,
            "status": "OK" if status < 300 else "Invalid HTTP Response",
            "event": event,
            "hook_id": hook["id"],
        }
        self.attempts.insert(0, delivery)

    def _about(self) -> Json:
        return {
            "id": 42,
            "name": self.repository.partition("/")[2],
            "full_name": self.repository,
            "private": True,
            "default_branch": "main",
            "has_issues": self.has_issues,
        }

    def _guarded(self, handler: Any) -> Any:
        async def guarded(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return JSONResponse({"message": "Bad credentials"}, 401)
            return await handler(request)

        return guarded

    async def _repository(self, _: Request) -> Response:
        return JSONResponse(self._about())

    async def _repositories(self, request: Request) -> Response:
        others = [self._about() | {"full_name": name, "name": name.partition("/")[2]} for name in self.broken]
        return self._page(request, [*others, self._about()])

    async def _issues(self, request: Request) -> Response:
        if not self.has_issues:
            return JSONResponse({"message": "Issues are disabled for this repo"}, 410)
        since = request.query_params.get("since", "")
        found = [_as_issue(item) for item in self.items.values() if item["updated_at"] >= since]
        return self._page(request, _sorted(request, found))

    async def _pulls(self, request: Request) -> Response:
        found = [_listed(item) for item in self.items.values() if "base" in item]
        return self._page(request, _sorted(request, found))

    async def _pull(self, request: Request) -> Response:
        item = self.items.get(request.path_params["number"])
        return JSONResponse(item) if item and "base" in item else JSONResponse({"message": "Not Found"}, 404)

    async def _reviews(self, request: Request) -> Response:
        return self._page(request, self.reviews.get(request.path_params["number"], []))

    async def _releases(self, request: Request) -> Response:
        newest = sorted(self.releases, key=lambda r: r["created_at"], reverse=True)
        digest = hashlib.sha256(json.dumps(newest).encode()).hexdigest()
        tag = f'W/"{digest[:32]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        answer = self._page(request, newest)
        answer.headers["etag"] = tag
        return answer

    async def _deployments(self, request: Request) -> Response:
        return self._page(request, sorted(self.deployments, key=lambda d: d["created_at"], reverse=True))

    async def _statuses(self, request: Request) -> Response:
        return self._page(request, self.statuses.get(request.path_params["number"], [])[::-1])

    async def _activity(self, request: Request) -> Response:
        return self._page(request, sorted(self.activity, key=lambda a: a["timestamp"], reverse=True))

    async def _hooks(self, request: Request) -> Response:
        if request.method == "POST":
            hook = await request.json() | {"id": 300 + len(self.hooks)}
            self.hooks.append(hook)
            return JSONResponse(_without_secret(hook), 201)
        return self._page(request, [_without_secret(hook) for hook in self.hooks])

    async def _edit_hook(self, request: Request) -> Response:
        hook = next(h for h in self.hooks if h["id"] == request.path_params["hook"])
        hook.update(await request.json())
        return JSONResponse(_without_secret(hook))

    async def _deliveries(self, request: Request) -> Response:
        return self._page(request, self.attempts)

    async def _attempt(self, request: Request) -> Response:
        hook = next(h for h in self.hooks if h["id"] == request.path_params["hook"])
        made = next(a for a in self.attempts if a["id"] == request.path_params["number"])
        from starlette.concurrency import run_in_threadpool

        await run_in_threadpool(self._deliver, hook, made["guid"], redelivery=True)
        return JSONResponse({}, 202)

    def _page(self, request: Request, items: Sequence[Json]) -> JSONResponse:
        """One page of a list, with the address of the next."""
        number = int(request.query_params.get("page", "1"))
        size = min(int(request.query_params.get("per_page", "30")), 100)
        shown = items[(number - 1) * size : number * size]
        headers = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4999"}
        if number * size < len(items) or self.circular:
            follows = request.url.include_query_params(page=number if self.circular else number + 1)
            headers["link"] = f'<{follows}>; rel="next"'
        return JSONResponse(shown, headers=headers)


def stamp(at: datetime) -> str:
    """A time as GitHub writes it: UTC, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_issue(item: Json) -> Json:
    """How the list of issues shows an item; a pull request is hardly more than its number there."""
    if "base" not in item:
        return item
    shown = {k: v for k, v in item.items() if k not in ("base", "head", "merged", "merged_at")}
    return shown | {"pull_request": {"merged_at": item["merged_at"]}}


def _listed(item: Json) -> Json:
    return {k: v for k, v in item.items() if k != "merged"}


def _sorted(request: Request, items: list[Json]) -> list[Json]:
    key = {"updated": "updated_at", "created": "created_at"}[request.query_params.get("sort", "created")]
    descending = request.query_params.get("direction", "desc") == "desc"
    return sorted(items, key=lambda item: (item[key], item["number"]), reverse=descending)


def _without_secret(hook: Mapping[str, Any]) -> Json:
    return dict(hook) | {"config": {**hook["config"], "secret": "********"}}


def serve(arguments: Sequence[str]) -> None:
    """Serve a repository with a little history until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.vendors github", description=__doc__)
    parser.add_argument("--port", type=int, default=8702)
    parser.add_argument("--repository", default="avila-inc/arcsat")
    options = parser.parse_args(arguments)
    vendor = GitHub(options.repository, port=options.port)
    now = datetime.now(UTC)
    for number in range(1, 8):
        opened = now - timedelta(hours=20 - number)
        vendor.pull(number, opened)
        vendor.pull(number, opened + timedelta(hours=2), merged_at=stamp(opened + timedelta(hours=2)))
        vendor.reviews[number] = [
            {"id": 70 + number, "state": "APPROVED", "body": "", "submitted_at": stamp(opened)}
        ]
    vendor.issue(20, now - timedelta(hours=1), title="Frete errado no carrinho")
    released = stamp(now - timedelta(minutes=30))
    vendor.releases.append(
        {"id": 501, "tag_name": "v1.0.0", "name": "1.0.0", "body": "", "draft": False, "prerelease": False}
        | {"target_commitish": "main", "created_at": released, "published_at": released}
    )
    with vendor:
        print(f"GitHub's stand-in: {vendor.url}, token {TOKEN}, repository {vendor.repository}")
        vendor.wait()
