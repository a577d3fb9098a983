"""GitHub's webhook bodies made from the simulated entities: every payload carries the full repository and its people."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from simulation.model import END, Issue, PullRequest, Release, Shop

API = "https://api.github.com"
SITE = "https://github.com"
Body = dict[str, Any]


def serialize(body: object) -> bytes:
    """Compact JSON as GitHub writes it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def stamp(at: datetime | None) -> str | None:
    """A time in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def _digest(*parts: object) -> str:
    return hashlib.sha1("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def user(login: str, kind: str = "User") -> Body:
    """A user, robot or organization with all its addresses."""
    number = int(_digest("user", login)[:7], 16)
    path = login.replace("[", "%5B").replace("]", "%5D")
    home = f"{API}/users/{path}"
    return {
        "login": login,
        "id": number,
        "node_id": f"MDQ6VXNlcj{number}",
        "avatar_url": f"https://avatars.githubusercontent.com/u/{number}?v=4",
        "gravatar_id": "",
        "url": home,
        "html_url": f"{SITE}/apps/{path}" if kind == "Bot" else f"{SITE}/{path}",
        "followers_url": f"{home}/followers",
        "following_url": f"{home}/following{{/other_user}}",
        "gists_url": f"{home}/gists{{/gist_id}}",
        "starred_url": f"{home}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{home}/subscriptions",
        "organizations_url": f"{home}/orgs",
        "repos_url": f"{home}/repos",
        "events_url": f"{home}/events{{/privacy}}",
        "received_events_url": f"{home}/received_events",
        "type": kind,
        "user_view_type": "public",
        "site_admin": False,
    }


_REPOSITORY_PATHS = {
    "forks_url": "forks", "keys_url": "keys{/key_id}", "collaborators_url": "collaborators{/collaborator}", "teams_url": "teams", "hooks_url": "hooks",
    "issue_events_url": "issues/events{/number}", "events_url": "events", "assignees_url": "assignees{/user}", "branches_url": "branches{/branch}",
    "tags_url": "tags", "blobs_url": "git/blobs{/sha}", "git_tags_url": "git/tags{/sha}", "git_refs_url": "git/refs{/sha}", "trees_url": "git/trees{/sha}",
    "statuses_url": "statuses/{sha}", "languages_url": "languages", "stargazers_url": "stargazers", "contributors_url": "contributors",
    "subscribers_url": "subscribers", "subscription_url": "subscription", "commits_url": "commits{/sha}", "git_commits_url": "git/commits{/sha}",
    "comments_url": "comments{/number}", "issue_comment_url": "issues/comments{/number}", "contents_url": "contents/{+path}",
    "compare_url": "compare/{base}...{head}", "merges_url": "merges", "archive_url": "{archive_format}{/ref}", "downloads_url": "downloads",
    "issues_url": "issues{/number}", "pulls_url": "pulls{/number}", "milestones_url": "milestones{/number}",
    "notifications_url": "notifications{?since,all,participating}", "labels_url": "labels{/name}", "releases_url": "releases{/id}",
    "deployments_url": "deployments",
}  # fmt: skip


def repository(shop: Shop, at: datetime) -> Body:
    """The repository as every payload carries it."""
    owner, name = shop.repository.split("/")
    home = f"{API}/repos/{shop.repository}"
    return {
        "id": shop.repository_id,
        "node_id": f"R_kgDOL{shop.repository_id:x}",
        "name": name,
        "full_name": shop.repository,
        "private": True,
        "owner": user(owner, "Organization"),
        "html_url": f"{SITE}/{shop.repository}",
        "description": f"Loja e serviços de {shop.name}",
        "fork": False,
        "url": home,
        **{field: f"{home}/{path}" for field, path in _REPOSITORY_PATHS.items()},
        "created_at": "2024-03-04T12:00:00Z",
        "updated_at": stamp(at),
        "pushed_at": stamp(at),
        "git_url": f"git://github.com/{shop.repository}.git",
        "ssh_url": f"git@github.com:{shop.repository}.git",
        "clone_url": f"{SITE}/{shop.repository}.git",
        "svn_url": f"{SITE}/{shop.repository}",
        "homepage": None,
        "size": 18_412,
        "stargazers_count": 3,
        "watchers_count": 3,
        "language": "Python",
        "has_issues": True,
        "has_projects": False,
        "has_downloads": True,
        "has_wiki": False,
        "has_pages": False,
        "has_discussions": False,
        "forks_count": 0,
        "mirror_url": None,
        "archived": False,
        "disabled": False,
        "open_issues_count": 9,
        "license": None,
        "allow_forking": False,
        "is_template": False,
        "web_commit_signoff_required": False,
        "topics": ["loja", "astronomia"],
        "visibility": "private",
        "forks": 0,
        "open_issues": 9,
        "watchers": 3,
        "default_branch": "main",
        "custom_properties": {},
    }


def _around(shop: Shop, at: datetime, sender: Body) -> Body:
    owner = shop.repository.split("/")[0]
    organization = {
        "login": owner,
        "id": 171_204_000,
        "node_id": "O_kgDOCjRj4A",
        "url": f"{API}/orgs/{owner}",
        "repos_url": f"{API}/orgs/{owner}/repos",
        "events_url": f"{API}/orgs/{owner}/events",
        "hooks_url": f"{API}/orgs/{owner}/hooks",
        "issues_url": f"{API}/orgs/{owner}/issues",
        "members_url": f"{API}/orgs/{owner}/members{{/member}}",
        "public_members_url": f"{API}/orgs/{owner}/public_members{{/member}}",
        "avatar_url": "https://avatars.githubusercontent.com/u/171204000?v=4",
        "description": None,
    }
    return {"repository": repository(shop, at), "organization": organization, "sender": sender}


def _author(pull: PullRequest) -> Body:
    return user(pull.author, "Bot" if pull.bot else "User")


def pull_request_body(shop: Shop, pull: PullRequest, action: str, at: datetime) -> Body:
    """A pull request as it stood at a moment."""
    author = _author(pull)
    closed = action == "closed"
    pushed = sum(push <= at for push in pull.pushes)
    head_sha = _digest(pull.id, "head", pushed)
    home = f"{API}/repos/{shop.repository}/pulls/{pull.number}"
    page = f"{SITE}/{shop.repository}/pull/{pull.number}"
    issue = f"{API}/repos/{shop.repository}/issues/{pull.number}"
    owner = user(shop.repository.split("/")[0], "Organization")
    project = repository(shop, at)
    merged = closed and pull.merged
    document: Body = {
        "url": home,
        "id": pull.id,
        "node_id": f"PR_kwDOL{pull.id:x}",
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": issue,
        "number": pull.number,
        "state": "closed" if closed else "open",
        "locked": False,
        "title": pull.title,
        "user": author,
        "body": pull.body,
        "created_at": stamp(pull.opened_at),
        "updated_at": stamp(at),
        "closed_at": stamp(pull.closed_at) if closed else None,
        "merged_at": stamp(pull.closed_at) if merged else None,
        "merge_commit_sha": _digest(pull.id, "merge") if merged else None,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "labels": [],
        "milestone": None,
        "draft": False,
        "commits_url": f"{home}/commits",
        "review_comments_url": f"{home}/comments",
        "review_comment_url": f"{API}/repos/{shop.repository}/pulls/comments{{/number}}",
        "comments_url": f"{issue}/comments",
        "statuses_url": f"{API}/repos/{shop.repository}/statuses/{head_sha}",
        "head": {"label": f"{owner['login']}:{pull.head}", "ref": pull.head, "sha": head_sha, "user": owner, "repo": project},
        "base": {"label": f"{owner['login']}:{pull.base}", "ref": pull.base, "sha": _digest(pull.id, "base"), "user": owner, "repo": project},
        "_links": {
            "self": {"href": home},
            "html": {"href": page},
            "issue": {"href": issue},
            "comments": {"href": f"{issue}/comments"},
            "review_comments": {"href": f"{home}/comments"},
            "commits": {"href": f"{home}/commits"},
        },
        "author_association": "CONTRIBUTOR" if pull.bot else "MEMBER",
        "auto_merge": None,
        "active_lock_reason": None,
        "merged": merged,
        "mergeable": None if closed else True,
        "rebaseable": None if closed else True,
        "mergeable_state": "unknown" if closed else "clean",
        "merged_by": user("marina-avila") if merged else None,
        "comments": 0,
        "review_comments": pull.number % 4,
        "maintainer_can_modify": False,
        "commits": 1 + pushed,
        "additions": pull.additions,
        "deletions": pull.deletions,
        "changed_files": pull.files,
    }
    body: Body = {"action": action, "number": pull.number, "pull_request": document}
    if action == "synchronize":
        body |= {"before": _digest(pull.id, "head", pushed - 1), "after": head_sha}
    return body | _around(shop, at, author)


def release_body(shop: Shop, release: Release, action: str, at: datetime) -> Body:
    """A release as it stood at a moment."""
    home = f"{API}/repos/{shop.repository}/releases"
    author = user(release.author)
    published = release.published_at if action != "created" else None
    prerelease = release.prerelease or (release.promoted_at is not None and at < release.promoted_at)
    tarball = f"{API}/repos/{shop.repository}"
    asset_id = release.id - 20_000_000
    document = {
        "url": f"{home}/{release.id}",
        "assets_url": f"{home}/{release.id}/assets",
        "upload_url": f"https://uploads.github.com/repos/{shop.repository}/releases/{release.id}/assets{{?name,label}}",
        "html_url": f"{SITE}/{shop.repository}/releases/tag/{release.tag}",
        "id": release.id,
        "author": author,
        "node_id": f"RE_kwDOL{release.id:x}",
        "tag_name": release.tag,
        "target_commitish": "main",
        "name": f"{shop.name} {release.tag.removeprefix('v')}",
        "draft": published is None,
        "immutable": False,
        "prerelease": prerelease,
        "created_at": stamp(release.created_at),
        "updated_at": stamp(at),
        "published_at": stamp(published),
        "assets": [
            {
                "url": f"{home}/assets/{asset_id}",
                "id": asset_id,
                "name": f"{shop.product}-{release.tag}.tar.gz",
                "label": None,
                "uploader": author,
                "content_type": "application/gzip",
                "state": "uploaded",
                "size": 1_840_213,
                "digest": "sha256:" + hashlib.sha256(release.tag.encode()).hexdigest(),
                "download_count": 0,
                "created_at": stamp(release.created_at),
                "updated_at": stamp(release.created_at),
            }
        ],
        "tarball_url": f"{tarball}/tarball/{release.tag}" if published else None,
        "zipball_url": f"{tarball}/zipball/{release.tag}" if published else None,
        "body": release.body,
    }
    return {"action": action, "release": document} | _around(shop, at, author)


def issue_body(shop: Shop, issue: Issue, action: str, at: datetime) -> Body:
    """An issue as it stood at a moment."""
    home = f"{API}/repos/{shop.repository}/issues/{issue.number}"
    author = user(issue.author)
    closed = action == "closed"
    document = {
        "url": home,
        "repository_url": f"{API}/repos/{shop.repository}",
        "labels_url": f"{home}/labels{{/name}}",
        "comments_url": f"{home}/comments",
        "events_url": f"{home}/events",
        "html_url": f"{SITE}/{shop.repository}/issues/{issue.number}",
        "id": issue.id,
        "node_id": f"I_kwDOL{issue.id:x}",
        "number": issue.number,
        "title": issue.title,
        "user": author,
        "labels": [],
        "state": "closed" if closed else "open",
        "locked": False,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": 0,
        "created_at": stamp(issue.opened_at),
        "updated_at": stamp(at),
        "closed_at": stamp(issue.closed_at) if closed else None,
        "author_association": "MEMBER",
        "active_lock_reason": None,
        "body": issue.body,
        "reactions": {"url": f"{home}/reactions", "total_count": 0, "+1": 0, "-1": 0},
        "timeline_url": f"{home}/timeline",
        "state_reason": "completed" if closed else None,
    }
    return {"action": action, "issue": document} | _around(shop, at, author)


def push_body(shop: Shop, pull: PullRequest) -> Body:
    """The push that a merge makes."""
    assert pull.closed_at is not None
    sha = _digest(pull.id, "merge")
    person = {"name": pull.author, "email": f"{pull.head}@example.org", "username": pull.author}
    commit = {
        "id": sha,
        "tree_id": _digest(sha, "tree"),
        "distinct": True,
        "message": f"{pull.title} (#{pull.number})",
        "timestamp": stamp(pull.closed_at),
        "url": f"{SITE}/{shop.repository}/commit/{sha}",
        "author": person,
        "committer": {"name": "GitHub", "email": "noreply@example.org", "username": "web-flow"},
        "added": [],
        "removed": [],
        "modified": [f"loja/parte_{part}.py" for part in range(pull.files)],
    }
    around = _around(shop, pull.closed_at, user("marina-avila"))
    around["repository"]["url"] = f"{SITE}/{shop.repository}"
    around["repository"]["pushed_at"] = int(pull.closed_at.timestamp())
    return {
        "ref": f"refs/heads/{pull.base}",
        "before": _digest(pull.id, "base"),
        "after": sha,
        "pusher": {"name": "marina-avila", "email": "marina@example.org"},
        "created": False,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": f"{SITE}/{shop.repository}/compare/{_digest(pull.id, 'base')[:12]}...{sha[:12]}",
        "commits": [commit],
        "head_commit": commit,
    } | around


def ping_body(shop: Shop, at: datetime) -> Body:
    """The first thing a new webhook sends."""
    hook = {
        "type": "Repository",
        "id": 512_000_000 + shop.number,
        "name": "web",
        "active": True,
        "events": ["issues", "pull_request", "push", "release", "star", "workflow_run"],
        "config": {"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": f"https://batuta.example.com/webhooks/{shop.product}/github"},
        "updated_at": stamp(at),
        "created_at": stamp(at),
    }
    return {"zen": "Half measures are as bad as nothing at all.", "hook_id": hook["id"], "hook": hook} | _around(shop, at, user("marina-avila"))


def star_body(shop: Shop, login: str, at: datetime) -> Body:
    """Somebody starred the repository: an event that nothing reads yet."""
    return {"action": "created", "starred_at": stamp(at)} | _around(shop, at, user(login))


def workflow_run_body(shop: Shop, pull: PullRequest) -> Body:
    """A check finished: an event that nothing reads yet."""
    at = pull.closed_at or END
    run = {
        "id": pull.id + 15_000_000_000,
        "name": "testes",
        "head_branch": pull.head,
        "head_sha": _digest(pull.id, "head", 0),
        "run_number": pull.number,
        "event": "pull_request",
        "status": "completed",
        "conclusion": "success" if pull.number % 7 else "failure",
        "workflow_id": 91_000_001,
        "url": f"{API}/repos/{shop.repository}/actions/runs/{pull.id}",
        "created_at": stamp(pull.opened_at),
        "updated_at": stamp(at),
        "actor": _author(pull),
    }
    return {"action": "completed", "workflow_run": run, "workflow": {"id": 91_000_001, "name": "testes", "state": "active"}} | _around(shop, at, _author(pull))
