"""GitHub over REST: what changed since the last poll, what a window holds, whether the hook is well.

Issues and pull requests share one list that can be asked for by time of update. It is walked by that time and never by
page number: what is updated meanwhile moves to its end, and everything behind it one place forward.
Protocol: docs.github.com/rest; facts in reference/connectors.md 2.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from batuta.events.event import format_time, parse_time
from sensors.connectors.github import Stream
from sensors.connectors.github.hooks import audit_hooks
from sensors.connectors.github.rest import (
    MOST_PAGES,
    PAGE,
    Api,
    Found,
    Record,
    json_list,
    json_object,
    limits,
)
from sensors.connectors.pulling import (
    Account,
    OutOfTime,
    Page,
    Permanent,
    RateLimited,
    SourceFailed,
    Subscription,
    Tools,
    Window,
)

__all__ = ["audit", "backfill", "limits", "poll"]

OVERLAP: Final = timedelta(minutes=5)
"""Rows may become visible a little out of order; what is read twice is a duplicate."""
_LATE_STATUS: Final = timedelta(days=7)


def poll(account: Account, position: Any, tools: Tools) -> Iterator[Page]:
    """What changed since `position`: per repository and stream the time, or the tag, up to which was read."""
    api = Api(account, tools)
    places: dict[str, dict[str, str]] = {k: dict(v) for k, v in (position or {}).get("places", {}).items()}
    begun = tools.clock()
    first = begun - timedelta(hours=api.settings.lookback_hours)
    repositories = _rotated(api.repositories(), (position or {}).get("last"))
    failed: list[tuple[str, SourceFailed]] = []
    for repository in repositories:
        name = cast("str", repository["full_name"])
        place = places.setdefault(name, {})
        try:
            for stream in api.settings.streams:
                for records, reached in _changes(api, repository, stream, place.get(stream), first, begun):
                    place[stream] = reached
                    if records:
                        yield Page(api.deliveries(records, repository), _standing(places, None))
                if not tools.time_left():
                    break
        except (RateLimited, OutOfTime):
            raise
        except SourceFailed as error:
            # Those behind it are not to wait for one that always fails.
            failed.append((name, error))
        yield Page((), _standing(places, name))
        if not tools.time_left():
            break
    if failed:
        raise _of_some(failed, len(repositories))


def _of_some(failed: list[tuple[str, SourceFailed]], asked: int) -> SourceFailed:
    """What went wrong with some of an owner's repositories; with the only one, its own error."""
    name, first = failed[0]
    if asked == 1:
        return first
    others = f", and so do {len(failed) - 1} others" if len(failed) > 1 else ""
    return SourceFailed(
        f"{name} fails ({first.message}){others}; {asked} repositories were asked for",
        hint=first.hint
        or "Everything else was read; settings.repositories names those that are to be fetched.",
    )


def _standing(places: dict[str, dict[str, str]], last: str | None) -> dict[str, Any]:
    return {"last": last, "places": {name: dict(place) for name, place in places.items()}}


def backfill(account: Account, window: Window, position: Any, tools: Tools) -> Iterator[Page]:
    """What was last changed within the window, repository by repository, stream by stream."""
    api = Api(account, tools)
    done = set((position or {}).get("done", ()))
    resumed: Mapping[str, str] = (position or {}).get("at", {})
    for repository in api.repositories():
        for stream in api.settings.streams:
            step = f"{repository['full_name']} {stream}"
            if step in done:
                continue
            since = parse_time(resumed[step]) if step in resumed else window.start
            for records, last in _window(api, repository, stream, Window(since, window.end), window.start):
                at = {step: format_time(last)} if last else {}
                yield Page(api.deliveries(records, repository), {"done": sorted(done), "at": at})
                if not tools.time_left():
                    return
            done.add(step)
            yield Page((), {"done": sorted(done)})


def audit(account: Account, tools: Tools) -> tuple[Subscription, ...]:
    """The repository's or organization's webhook: there, active, failed deliveries asked for again."""
    return audit_hooks(account, tools)


Changes = Iterator[tuple[list[Found], str]]


def _changes(
    api: Api, repository: Record, stream: Stream, place: str | None, first: datetime, begun: datetime
) -> Changes:
    """The news of one stream, with the place to go on from: a time, or for releases the list's tag."""
    if stream == "releases":
        yield from _new_releases(api, repository, place, first)
        return
    since = parse_time(place) if place else first
    window = Window(since - OVERLAP, begun)
    reached = since
    for records, last in _window(api, repository, stream, window, since):
        reached = max(reached, last or reached)
        yield records, format_time(reached)
    yield [], format_time(max(reached, begun))


def _window(
    api: Api, repository: Record, stream: Stream, window: Window, fresh: datetime
) -> Iterator[tuple[list[Found], datetime | None]]:
    """Records of a stream within a window, with the time reached where it can be gone on from.

    Args:
        api: The API.
        repository: The repository.
        stream: Which records.
        window: Which span of time.
        fresh: What was opened or closed after this is told as opened or closed.
    """
    name = cast("str", repository["full_name"])
    if stream == "issues":
        yield from _issues(api, name, window, fresh)
    elif stream == "releases":
        for page in api.pages(f"/repos/{name}/releases", {}):
            yield [_release(r) for r in page if _within(window, r, "published_at", "created_at")], None
    elif stream == "deployments":
        yield from _deployments(api, name, window)
    else:
        yield _pushes(api, name, window), None


def _issues(
    api: Api, name: str, window: Window, fresh: datetime
) -> Iterator[tuple[list[Found], datetime | None]]:
    for items in _by_update(api, name, window):
        found: list[Found] = []
        for item in items:
            if "pull_request" in item:
                found += _pull_request(api, name, item, fresh)
            else:
                found.append(Found("issues", _lately(item, fresh), {"issue": item}))
        yield found, parse_time(items[-1]["updated_at"])


def _by_update(api: Api, name: str, window: Window) -> Iterator[list[Record]]:
    """Issues and pull requests of a window in the order of their update, in pages."""
    since, page, seen = window.start, 1, set[tuple[int, str]]()
    for _ in range(MOST_PAGES):
        query = {
            "state": "all",
            "sort": "updated",
            "direction": "asc",
            "since": format_time(since),
            "per_page": str(PAGE),
            "page": str(page),
        }
        answer = api.get(f"/repos/{name}/issues", query, expect=(200, 410))
        if answer.status == 410:
            yield from _pulls_by_update(api, name, window)
            return
        items = json_list(answer)
        fresh = [item for item in items if (item["number"], item["updated_at"]) not in seen]
        seen.update((item["number"], item["updated_at"]) for item in items)
        inside = [item for item in fresh if parse_time(item["updated_at"]) < window.end]
        if inside:
            yield inside
        if len(items) < PAGE or len(inside) < len(fresh):
            return
        last = parse_time(items[-1]["updated_at"])
        since, page = (last, 1) if last > since else (since, page + 1)
    raise Permanent(f"more than {MOST_PAGES} pages of issues", hint="backfill in smaller windows")


def _pulls_by_update(api: Api, name: str, window: Window) -> Iterator[list[Record]]:
    """A repository without issues has no list of them; its pull requests are listed newest first."""
    found: list[Record] = []
    query = {"state": "all", "sort": "updated", "direction": "desc"}
    for page in api.pages(f"/repos/{name}/pulls", query):
        found += [
            {"number": r["number"], "updated_at": r["updated_at"], "pull_request": {}}
            for r in page
            if _within(window, r, "updated_at")
        ]
        if any(parse_time(r["updated_at"]) < window.start for r in page):
            break
    found.sort(key=lambda r: (r["updated_at"], r["number"]))
    for start in range(0, len(found), PAGE):
        yield found[start : start + PAGE]


def _pull_request(api: Api, name: str, item: Record, fresh: datetime) -> list[Found]:
    """The whole of a pull request, which the list does not have, and its reviews."""
    answer = api.get(f"/repos/{name}/pulls/{item['number']}", expect=(200, 404))
    if answer.status == 404:
        return []
    pull = json_object(answer)
    found = [Found("pull_request", _lately(pull, fresh), {"number": pull["number"], "pull_request": pull})]
    about = {"id": pull.get("id"), "number": pull["number"]}
    for page in api.pages(f"/repos/{name}/pulls/{item['number']}/reviews", {}):
        found += [
            Found("pull_request_review", "submitted", {"review": review, "pull_request": about})
            for review in page
            if review.get("submitted_at")
        ]
    return found


def _new_releases(api: Api, repository: Record, tag: str | None, first: datetime) -> Changes:
    """The newest releases, if the list has changed since its tag. GitHub gives them no time of update."""
    answer = api.get(
        f"/repos/{repository['full_name']}/releases",
        {"per_page": str(PAGE)},
        headers={"if-none-match": tag} if tag else {},
        expect=(200, 304),
    )
    if answer.status == 304:
        return
    listed = json_list(answer)
    if tag is None:
        listed = [
            r for r in listed if _within(Window(first, datetime.max.replace(tzinfo=UTC)), r, *_RELEASED)
        ]
    yield [_release(r) for r in reversed(listed)], answer.headers.get("etag", "")


_RELEASED: Final = ("published_at", "created_at")


def _release(record: Record) -> Found:
    action = "created" if record.get("draft") else "prereleased" if record.get("prerelease") else "published"
    return Found("release", action, {"release": record})


def _deployments(api: Api, name: str, window: Window) -> Iterator[tuple[list[Found], datetime | None]]:
    """Deployments and their statuses; listed newest first, so their end is where all are older."""
    for page in api.pages(f"/repos/{name}/deployments", {}):
        found: list[Found] = []
        for record in page:
            if not _within(window, record, "updated_at", "created_at"):
                continue
            found.append(Found("deployment", "created", {"deployment": record}))
            for statuses in api.pages(f"/repos/{name}/deployments/{record['id']}/statuses", {}):
                found += [
                    Found("deployment_status", "created", {"deployment": record, "deployment_status": status})
                    for status in reversed(statuses)
                ]
        yield found, None
        if page and all(parse_time(r["created_at"]) < window.start - _LATE_STATUS for r in page):
            return


def _pushes(api: Api, name: str, window: Window) -> list[Found]:
    """Pushes from the repository's activity, which goes back further than any webhook."""
    found: list[Found] = []
    for page in api.pages(f"/repos/{name}/activity", {}):
        found += [_push(record) for record in page if _within(window, record, "timestamp")]
        if any(parse_time(record["timestamp"]) < window.start for record in page):
            break
    return found[::-1]


def _push(record: Record) -> Found:
    kind = record.get("activity_type")
    payload = {
        "ref": record.get("ref"),
        "before": record.get("before"),
        "after": record.get("after"),
        "created": kind == "branch_creation",
        "deleted": kind == "branch_deletion",
        "forced": kind == "force_push",
        "head_commit": {"id": record.get("after"), "timestamp": record.get("timestamp")},
        "sender": record.get("actor"),
    }
    return Found("push", None, payload)


def _lately(record: Record, since: datetime) -> str:
    """What happened to it since then, as far as its state tells."""
    if _after(record.get("closed_at"), since):
        return "closed"
    return "opened" if _after(record.get("created_at"), since) else "updated"


def _after(text: str | None, moment: datetime) -> bool:
    return text is not None and parse_time(text) >= moment


def _within(window: Window, record: Record, *names: str) -> bool:
    text = next((record[name] for name in names if record.get(name)), None)
    return text is not None and window.start <= parse_time(text) < window.end


def _rotated(repositories: list[Record], last: str | None) -> list[Record]:
    """The repositories, beginning behind the one that was read last."""
    names = [repository["full_name"] for repository in repositories]
    start = names.index(last) + 1 if last in names else 0
    return repositories[start:] + repositories[:start]
