"""GitHub's webhook bodies made from the simulated entities; shapes follow docs.github.com/webhooks."""

import hashlib
from datetime import datetime

from simulation.github_forms import API, SITE, Body, around, digest, repository, stamp, user
from simulation.model import (
    END,
    Deployment,
    DeploymentStatus,
    Issue,
    PullRequest,
    Release,
    Review,
    Shop,
)


def _author(pull: PullRequest) -> Body:
    return user(pull.author, "Bot" if pull.bot else "User")


def pull_request_body(shop: Shop, pull: PullRequest, action: str, at: datetime) -> Body:
    """A pull request as it stood at a moment."""
    author = _author(pull)
    closed = action == "closed"
    pushed = sum(push <= at for push in pull.pushes)
    head_sha = digest(pull.id, "head", pushed)
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
        "merge_commit_sha": digest(pull.id, "merge") if merged else None,
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
        "head": {
            "label": f"{owner['login']}:{pull.head}",
            "ref": pull.head,
            "sha": head_sha,
            "user": owner,
            "repo": project,
        },
        "base": {
            "label": f"{owner['login']}:{pull.base}",
            "ref": pull.base,
            "sha": digest(pull.id, "base"),
            "user": owner,
            "repo": project,
        },
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
        body |= {"before": digest(pull.id, "head", pushed - 1), "after": head_sha}
    return body | around(shop, at, author)


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
    return {"action": action, "release": document} | around(shop, at, author)


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
        "labels": _labels(shop, issue, at),
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
    return {"action": action, "issue": document} | around(shop, at, author)


def _labels(shop: Shop, issue: Issue, at: datetime) -> list[Body]:
    """The labels an issue had at a moment."""
    given = issue.labelled_at is None or at >= issue.labelled_at
    return [
        {
            "id": int(digest("label", shop.repository, name)[:8], 16),
            "node_id": f"LA_kwDOL{digest('label', shop.repository, name)[:8]}",
            "url": f"{API}/repos/{shop.repository}/labels/{name}",
            "name": name,
            "color": "d73a4a",
            "default": False,
            "description": None,
        }
        for name in (issue.labels if given else ())
    ]


def review_body(shop: Shop, review: Review, action: str, at: datetime) -> Body:
    """A review of a pull request as it stood at a moment."""
    author = user(review.author)
    pull = pull_request_body(shop, review.pull, "synchronize", at)["pull_request"]
    page = f"{SITE}/{shop.repository}/pull/{review.pull.number}#pullrequestreview-{review.id}"
    document = {
        "id": review.id,
        "node_id": f"PRR_kwDOL{review.id:x}",
        "user": author,
        "body": None,
        "commit_id": pull["head"]["sha"],
        "submitted_at": stamp(review.submitted_at),
        "state": "dismissed" if action == "dismissed" else review.state,
        "html_url": page,
        "pull_request_url": pull["url"],
        "author_association": "MEMBER",
        "_links": {"html": {"href": page}, "pull_request": {"href": pull["url"]}},
    }
    return {"action": action, "review": document, "pull_request": pull} | around(shop, at, author)


def deployment_body(shop: Shop, deployment: Deployment) -> Body:
    """A deployment when it was asked for."""
    at = deployment.created_at
    return {
        "action": "created",
        "deployment": _deployment(shop, deployment, at),
        "workflow": None,
        "workflow_run": None,
    } | around(shop, at, user(deployment.author))


def deployment_status_body(shop: Shop, deployment: Deployment, status: DeploymentStatus) -> Body:
    """A step of a deployment, with the deployment as it stood then."""
    about = _deployment(shop, deployment, status.at)
    home = about["url"]
    document = {
        "url": f"{home}/statuses/{status.id}",
        "id": status.id,
        "node_id": f"DES_kwDOL{status.id:x}",
        "state": status.state,
        "creator": user(deployment.author),
        "description": "",
        "environment": deployment.environment,
        "target_url": "",
        "created_at": stamp(status.at),
        "updated_at": stamp(status.at),
        "deployment_url": home,
        "repository_url": f"{API}/repos/{shop.repository}",
        "environment_url": "",
        "log_url": "",
    }
    return {
        "action": "created",
        "deployment_status": document,
        "deployment": about,
        "check_run": None,
        "workflow": None,
        "workflow_run": None,
    } | around(shop, status.at, user(deployment.author))


def _deployment(shop: Shop, deployment: Deployment, at: datetime) -> Body:
    home = f"{API}/repos/{shop.repository}/deployments/{deployment.id}"
    return {
        "url": home,
        "id": deployment.id,
        "node_id": f"DE_kwDOL{deployment.id:x}",
        "task": "deploy",
        "original_environment": deployment.environment,
        "environment": deployment.environment,
        "description": None,
        "created_at": stamp(deployment.created_at),
        "updated_at": stamp(at),
        "statuses_url": f"{home}/statuses",
        "repository_url": f"{API}/repos/{shop.repository}",
        "creator": user(deployment.author),
        "sha": deployment.sha,
        "ref": deployment.ref,
        "payload": {},
        "transient_environment": False,
        "production_environment": deployment.environment == "production",
        "performed_via_github_app": None,
    }


def push_body(shop: Shop, pull: PullRequest) -> Body:
    """The push that a merge makes."""
    if pull.closed_at is None:
        raise ValueError("a pull request that is open has made no push")
    sha = digest(pull.id, "merge")
    person = {"name": pull.author, "email": f"{pull.head}@example.org", "username": pull.author}
    commit = {
        "id": sha,
        "tree_id": digest(sha, "tree"),
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
    surroundings = around(shop, pull.closed_at, user("marina-avila"))
    surroundings["repository"]["url"] = f"{SITE}/{shop.repository}"
    surroundings["repository"]["pushed_at"] = int(pull.closed_at.timestamp())
    return {
        "ref": f"refs/heads/{pull.base}",
        "before": digest(pull.id, "base"),
        "after": sha,
        "pusher": {"name": "marina-avila", "email": "marina@example.org"},
        "created": False,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": f"{SITE}/{shop.repository}/compare/{digest(pull.id, 'base')[:12]}...{sha[:12]}",
        "commits": [commit],
        "head_commit": commit,
    } | surroundings


def ping_body(shop: Shop, at: datetime) -> Body:
    """The first thing a new webhook sends."""
    hook = {
        "type": "Repository",
        "id": 512_000_000 + shop.number,
        "name": "web",
        "active": True,
        "events": ["issues", "pull_request", "push", "release", "star", "workflow_run"],
        "config": {
            "content_type": "json",
            "insecure_ssl": "0",
            "secret": "********",
            "url": f"https://batuta.example.com/webhooks/{shop.product}/github",
        },
        "updated_at": stamp(at),
        "created_at": stamp(at),
    }
    return {
        "zen": "Half measures are as bad as nothing at all.",
        "hook_id": hook["id"],
        "hook": hook,
    } | around(shop, at, user("marina-avila"))


def star_body(shop: Shop, login: str, at: datetime) -> Body:
    """Somebody starred the repository: an event that nothing reads yet."""
    return {"action": "created", "starred_at": stamp(at)} | around(shop, at, user(login))


def workflow_run_body(shop: Shop, pull: PullRequest) -> Body:
    """A check finished: an event that nothing reads yet."""
    at = pull.closed_at or END
    run = {
        "id": pull.id + 15_000_000_000,
        "name": "testes",
        "head_branch": pull.head,
        "head_sha": digest(pull.id, "head", 0),
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
    return {
        "action": "completed",
        "workflow_run": run,
        "workflow": {"id": 91_000_001, "name": "testes", "state": "active"},
    } | around(shop, at, _author(pull))
