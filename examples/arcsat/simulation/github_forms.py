"""What GitHub's payloads have in common: people, the repository with its many addresses, the organization."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from simulation.model import Shop

API = "https://api.github.com"
SITE = "https://github.com"
Body = dict[str, Any]


def serialize(body: object) -> bytes:
    """Compact JSON as GitHub writes it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def stamp(at: datetime | None) -> str | None:
    """A time in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def digest(*parts: object) -> str:
    """A made-up commit id."""
    return hashlib.sha1("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def user(login: str, kind: str = "User") -> Body:
    """A user, robot or organization with all its addresses."""
    number = int(digest("user", login)[:7], 16)
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
    "forks_url": "forks",
    "keys_url": "keys{/key_id}",
    "collaborators_url": "collaborators{/collaborator}",
    "teams_url": "teams",
    "hooks_url": "hooks",
    "issue_events_url": "issues/events{/number}",
    "events_url": "events",
    "assignees_url": "assignees{/user}",
    "branches_url": "branches{/branch}",
    "tags_url": "tags",
    "blobs_url": "git/blobs{/sha}",
    "git_tags_url": "git/tags{/sha}",
    "git_refs_url": "git/refs{/sha}",
    "trees_url": "git/trees{/sha}",
    "statuses_url": "statuses/{sha}",
    "languages_url": "languages",
    "stargazers_url": "stargazers",
    "contributors_url": "contributors",
    "subscribers_url": "subscribers",
    "subscription_url": "subscription",
    "commits_url": "commits{/sha}",
    "git_commits_url": "git/commits{/sha}",
    "comments_url": "comments{/number}",
    "issue_comment_url": "issues/comments{/number}",
    "contents_url": "contents/{+path}",
    "compare_url": "compare/{base}...{head}",
    "merges_url": "merges",
    "archive_url": "{archive_format}{/ref}",
    "downloads_url": "downloads",
    "issues_url": "issues{/number}",
    "pulls_url": "pulls{/number}",
    "milestones_url": "milestones{/number}",
    "notifications_url": "notifications{?since,all,participating}",
    "labels_url": "labels{/name}",
    "releases_url": "releases{/id}",
    "deployments_url": "deployments",
}


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


def around(shop: Shop, at: datetime, sender: Body) -> Body:
    """What every payload ends with: repository, organization, sender."""
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
