"""What the developers did: pull requests, releases, issues."""

from datetime import datetime, timedelta
from random import Random

from simulation.model import DAYS, END, FIRST_DAY, Issue, PullRequest, Release, Shop, local, stream
from simulation.words import CHANGES, DEPENDENCIES, DEVELOPERS, ISSUE_TITLES

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


def _notes(*changes: str) -> str:
    listed = "".join(f"- {change}\n" for change in changes)
    return f"## Novidades\n\n{listed}\nObrigado a quem relatou.\n"


def _working_time(rng: Random) -> datetime:
    while True:
        day = FIRST_DAY + timedelta(days=rng.randrange(DAYS - 1))
        if day.weekday() < 5:
            return local(day, 9 * 3600 + rng.randrange(9 * 3600))
