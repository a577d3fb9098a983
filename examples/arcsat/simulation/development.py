"""What the developers did: pull requests, reviews, releases, deployments, issues, incidents."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Literal

from simulation.model import (
    DAYS,
    END,
    FIRST_DAY,
    Deployment,
    DeploymentStatus,
    Issue,
    PullRequest,
    Release,
    Review,
    Shop,
    local,
    stream,
)
from simulation.words import (
    CHANGES,
    DEPENDENCIES,
    DEVELOPERS,
    INCIDENT_LABELS,
    INCIDENT_TITLES,
    ISSUE_TITLES,
)

BOT = "dependabot[bot]"


def pull_requests(seed: int, shop: Shop) -> tuple[PullRequest, ...]:
    """Pull requests: most are merged into main; some go elsewhere, are closed, open, or a robot's."""
    rng = stream(seed, shop.product, "pull requests")
    opened = sorted(_working_time(rng) for _ in range(shop.pull_requests))
    return tuple(_pull_request(rng, shop, 400 + index * 2, at) for index, at in enumerate(opened))


def _pull_request(rng: Random, shop: Shop, number: int, opened_at: datetime) -> PullRequest:
    bot = rng.random() < 0.15
    if bot:
        version = f"{rng.randrange(1, 9)}.{rng.randrange(20)}.{rng.randrange(9)}"
        title, head = f"Bump {rng.choice(DEPENDENCIES)} to {version}", f"dependabot/pip/bump-{number}"
        body = "Bumps the dependency. Release notes and changelog are in the commit message."
    else:
        title = rng.choice(CHANGES[shop.product])
        head = f"mudanca-{number}"
        steps = f"abrir a loja de homologação e repetir os passos da tarefa {number - 1}"
        body = f"{title}.\n\nComo testar: {steps}. Fecha #{number - 1}."
    fate = rng.random()
    closed_at = opened_at + timedelta(seconds=int(rng.lognormvariate(10.9, 1.1)) + 300)
    still_open = fate > 0.95 or closed_at > END
    pushes = sorted(opened_at + (closed_at - opened_at) * rng.random() for _ in range(rng.randrange(3)))
    return PullRequest(
        id=2_710_000_000 + shop.number * 1_000_000 + number * 977,
        number=number,
        title=title,
        body=body,
        author=BOT if bot else rng.choice(DEVELOPERS),
        bot=bot,
        base="release/1.x" if not bot and rng.random() < 0.08 else "main",
        head=head,
        opened_at=opened_at,
        pushes=tuple(at.replace(microsecond=0) for at in pushes if opened_at < at < min(closed_at, END)),
        closed_at=None if still_open else closed_at,
        merged=not still_open and fate < 0.84,
        additions=rng.randrange(2, 400),
        deletions=rng.randrange(200),
        files=rng.randrange(1, 14),
    )


def releases(seed: int, shop: Shop) -> tuple[Release, ...]:
    """A release every few days; every fifth is a pre-release (one is promoted later), the last a draft."""
    rng = stream(seed, shop.product, "releases")
    made: list[Release] = []
    for index in range(shop.releases):
        day = (index + 1) * (DAYS - 4) // shop.releases
        published_at = local(FIRST_DAY + timedelta(days=day), 14 * 3600 + rng.randrange(4 * 3600))
        prerelease, draft = index % 5 == 2, index == shop.releases - 1
        promoted = prerelease and index % 10 == 7
        made.append(
            Release(
                id=241_000_000 + shop.number * 1_000_000 + index * 1_013,
                tag=f"v2.{index}.0" + ("-rc.1" if prerelease else ""),
                body=_notes(*(rng.choice(CHANGES[shop.product]) for _ in range(2))),
                author=rng.choice(DEVELOPERS),
                created_at=published_at - timedelta(seconds=rng.randrange(600, 7200)),
                published_at=None if draft else published_at,
                prerelease=prerelease and not promoted,
                promoted_at=published_at + timedelta(hours=30) if promoted and not draft else None,
            )
        )
    return tuple(made)


def issues(seed: int, shop: Shop) -> tuple[Issue, ...]:
    """A few reports from users."""
    rng = stream(seed, shop.product, "issues")
    made: list[Issue] = []
    for index, opened_at in enumerate(
        sorted(_working_time(rng) for _ in range(max(4, shop.pull_requests // 8)))
    ):
        closed_at = opened_at + timedelta(seconds=rng.randrange(3600, 20 * 86_400))
        made.append(
            Issue(
                id=3_410_000_000 + shop.number * 1_000_000 + index * 811,
                number=401 + index * 2,
                title=rng.choice(ISSUE_TITLES),
                body=f"Aconteceu duas vezes esta semana. Podem me avisar em leitor{index}@example.org?",
                author=rng.choice(DEVELOPERS),
                opened_at=opened_at,
                closed_at=closed_at if closed_at <= END else None,
            )
        )
    return tuple(made)


def reviews(seed: int, shop: Shop, pulls: Sequence[PullRequest]) -> tuple[Review, ...]:
    """One or two reviews of most pull requests, by others; a robot's are read by one person, some not at all."""
    rng = stream(seed, shop.product, "reviews")
    made: list[Review] = []
    for pull in pulls:
        until = min(pull.closed_at or END, END)
        for place in range(rng.randrange(2) if pull.bot else rng.choice((0, 1, 1, 1, 2))):
            at = (pull.opened_at + (until - pull.opened_at) * rng.uniform(0.05, 0.95)).replace(microsecond=0)
            dismissed_at = at + timedelta(seconds=rng.randrange(60, 4 * 3600))
            dismissed = rng.random() < 0.06 and dismissed_at < until
            made.append(
                Review(
                    id=3_120_000_000 + shop.number * 1_000_000 + pull.number * 16 + place,
                    pull=pull,
                    author=rng.choice([name for name in DEVELOPERS if name != pull.author]),
                    state=rng.choices(("approved", "changes_requested", "commented"), (6, 2, 2))[0],
                    submitted_at=at,
                    dismissed_at=dismissed_at if dismissed else None,
                )
            )
    return tuple(made)


def deployments(seed: int, shop: Shop, released: Sequence[Release]) -> tuple[Deployment, ...]:
    """Each release goes to staging and, unless it stays a pre-release, to production; some fail and are tried again."""
    rng = stream(seed, shop.product, "deployments")
    made: list[Deployment] = []
    ids = iter(range(2_210_000_000 + shop.number * 1_000_000, 2_211_000_000 + shop.number * 1_000_000, 613))

    def deploy(
        release: Release, environment: Literal["staging", "production"], at: datetime, fails: bool
    ) -> datetime:
        begun = at + timedelta(seconds=rng.randrange(20, 60))
        ended = begun + timedelta(seconds=rng.randrange(120, 900))
        deployment = next(ids)
        made.append(
            Deployment(
                id=deployment,
                environment=environment,
                ref=release.tag,
                sha=hashlib.sha1(release.tag.encode(), usedforsecurity=False).hexdigest(),
                author=release.author,
                created_at=at,
                statuses=(
                    DeploymentStatus(deployment * 4, "in_progress", begun),
                    DeploymentStatus(deployment * 4 + 1, "failure" if fails else "success", ended),
                ),
            )
        )
        return ended

    for release in released:
        if release.published_at is None:
            continue
        deploy(release, "staging", release.published_at - timedelta(hours=2), rng.random() < 0.1)
        into_production = release.promoted_at or (None if release.prerelease else release.published_at)
        if into_production is None:
            continue
        fails = rng.random() < 0.15
        ended = deploy(release, "production", into_production + timedelta(minutes=5), fails)
        if fails:
            deploy(release, "production", ended + timedelta(seconds=rng.randrange(1200, 5400)), fails=False)
    return _replaced(made)


def _replaced(made: list[Deployment]) -> tuple[Deployment, ...]:
    """What succeeded becomes inactive when the next one of its environment has succeeded, as the vendor has it."""
    found = {deployment.id: deployment for deployment in made}
    standing: dict[str, Deployment] = {}
    for deployment in sorted(made, key=lambda item: item.created_at):
        last = deployment.statuses[-1]
        if last.state != "success":
            continue
        before = standing.get(deployment.environment)
        if before is not None:
            inactive = DeploymentStatus(before.id * 4 + 2, "inactive", last.at)
            found[before.id] = replace(before, statuses=(*before.statuses, inactive))
        standing[deployment.environment] = deployment
    return tuple(found.values())


def incidents(seed: int, shop: Shop, made: Sequence[Deployment]) -> tuple[Issue, ...]:
    """After every fourth deployment to production something breaks; one is noted as an incident only later."""
    rng = stream(seed, shop.product, "incidents")
    live = [item for item in made if item.environment == "production" and item.statuses[1].state == "success"]
    found: list[Issue] = []
    for index, deployment in enumerate(live[1::4]):
        opened_at = deployment.statuses[1].at + timedelta(seconds=rng.randrange(600, 20 * 3600))
        closed_at = opened_at + timedelta(seconds=rng.randrange(900, 9 * 3600))
        labelled_at = opened_at + timedelta(seconds=rng.randrange(120, 600))
        found.append(
            Issue(
                id=3_430_000_000 + shop.number * 1_000_000 + index * 811,
                number=201 + index,
                title=rng.choice(INCIDENT_TITLES),
                body=f"Começou depois de {deployment.ref}. Quem avisou: cliente{index}@example.org.",
                author=rng.choice(DEVELOPERS),
                opened_at=opened_at,
                closed_at=closed_at if closed_at <= END else None,
                labels=(INCIDENT_LABELS[index % len(INCIDENT_LABELS)], "loja"),
                labelled_at=labelled_at if index % 3 == 1 else None,
            )
        )
    return tuple(found)


def _notes(*changes: str) -> str:
    listed = "".join(f"- {change}\n" for change in changes)
    return f"## Novidades\n\n{listed}\nObrigado a quem relatou.\n"


def _working_time(rng: Random) -> datetime:
    while True:
        day = FIRST_DAY + timedelta(days=rng.randrange(DAYS - 1))
        if day.weekday() < 5:
            return local(day, 9 * 3600 + rng.randrange(9 * 3600))
