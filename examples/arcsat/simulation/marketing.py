"""What acquiring customers costs, what customers are asked and say of the shop, and what a dollar costs."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from simulation.model import (
    DAYS,
    END,
    FIRST_DAY,
    LAST_DAY,
    Answer,
    Invitation,
    Order,
    Rate,
    Shop,
    Spend,
    local,
    stream,
    uuid_from,
)
from simulation.people import cpf
from simulation.words import CITIES, COMMENTS

CHANNELS = (("meta_ads", 46), ("google_ads", 38), ("tiktok_ads", 16))
MONTHLY: tuple[tuple[str, Literal["salary", "tool", "agency"], int], ...] = (
    ("equipe", "salary", 55),
    ("automacao", "tool", 6),
    ("estudio-norte", "agency", 15),
)


def spend(seed: int, shop: Shop) -> tuple[Spend, ...]:
    """Media by week and channel; salaries, tools and agency by month, reaching beyond the period's ends."""
    rng = stream(seed, shop.product, "spend")
    made: list[Spend] = []
    start = FIRST_DAY - timedelta(days=FIRST_DAY.weekday())
    while start <= LAST_DAY:
        end = start + timedelta(days=6)
        for channel, share in CHANNELS:
            amount = shop.monthly_media_cents * share * rng.randrange(850, 1151) * 7 // (100 * 1000 * 30)
            at = local(min(end, LAST_DAY), 9 * 3600 + rng.randrange(3600))
            made.append(Spend(uuid_from(rng), start, end, channel, "media", amount, at))
        start = end + timedelta(days=1)
    for month in (8, 9, 10, 11):
        first, last = date(2025, month, 1), date(2025, month + 1, 1) - timedelta(days=1)
        for channel, kind, percent in MONTHLY:
            amount = shop.monthly_media_cents * percent // 100
            at = local(
                min(max(first + timedelta(days=4), FIRST_DAY), LAST_DAY), 10 * 3600 + rng.randrange(3600)
            )
            made.append(Spend(uuid_from(rng), first, last, channel, kind, amount, at))
    return tuple(sorted(made, key=lambda item: (item.recorded_at, item.id)))


def answers(seed: int, shop: Shop, orders: Sequence[Order]) -> tuple[Answer, ...]:
    """Answers a few days after a purchase; one in fourteen is corrected by the same person later."""
    rng = stream(seed, shop.product, "answers")
    asked = [
        order
        for order in orders
        if order.email and not order.test and order.created_at < END - timedelta(days=6)
    ]
    corrections = shop.surveys // 14
    made: list[Answer] = []
    for order in rng.sample(asked, min(shop.surveys - corrections, len(asked))):
        at = order.created_at + timedelta(seconds=rng.randrange(86_400, 5 * 86_400))
        score = rng.choices(range(11), (2, 1, 1, 2, 2, 4, 6, 12, 18, 24, 28))[0]
        made.append(_answer(rng, shop, order, score, at))
    by_respondent = {answer.respondent: answer for answer in made}
    for answer in rng.sample(list(by_respondent.values()), min(corrections, len(by_respondent))):
        later = min(answer.answered_at + timedelta(seconds=rng.randrange(1800, 86_400 * 3)), END)
        order = next(order for order in asked if order.person.email == answer.respondent)
        made.append(
            _answer(
                rng,
                shop,
                order,
                min(10, answer.score + rng.choice((-3, -2, 1, 2, 4))) if answer.score > 3 else 8,
                later,
            )
        )
    return tuple(sorted(made, key=lambda item: (item.answered_at, item.id)))


def _answer(rng: Random, shop: Shop, order: Order, score: int, at: datetime) -> Answer:
    mood = "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"
    comment = None
    if rng.random() < 0.6:
        area = rng.choice(CITIES)[-1]
        comment = rng.choice(COMMENTS[mood]).format(
            email=f"contato{rng.randrange(1000)}@example.org",
            phone=f"({area}) 90000-{rng.randrange(10_000):04d}",
            cpf=cpf(rng),
        )
    return Answer(
        id=uuid_from(rng),
        survey=f"nps-pos-compra-{shop.product}",
        respondent=order.person.email,
        score=score,
        answered_at=at,
        channel=rng.choice(("email", "whatsapp", "site")),
        comment=comment,
    )


def invitations(
    seed: int, shop: Shop, orders: Sequence[Order], given: Sequence[Answer]
) -> tuple[Invitation, ...]:
    """Who answered was asked before; twice as many were asked and kept silent. Some are reminded two days later."""
    rng = stream(seed, shop.product, "invitations")
    survey = f"nps-pos-compra-{shop.product}"
    first: dict[str, datetime] = {}
    for answer in given:
        at = answer.answered_at - timedelta(seconds=rng.randrange(600, 20 * 3600))
        first[answer.respondent] = min(at, first.get(answer.respondent, at))
    silent: dict[str, datetime] = {}
    for order in orders:
        if order.email and not order.test and order.person.email not in first:
            at = order.created_at + timedelta(seconds=rng.randrange(86_400, 3 * 86_400))
            if at < END - timedelta(days=3):
                silent.setdefault(order.person.email, at)
    first |= {who: silent[who] for who in rng.sample(sorted(silent), min(2 * len(first), len(silent)))}
    made: list[Invitation] = []
    for respondent, at in first.items():
        channel = rng.choice(("email", "whatsapp", "site"))
        made.append(Invitation(uuid_from(rng), survey, respondent, at, channel))
        if rng.random() < 0.1 and at < END - timedelta(days=3):
            made.append(Invitation(uuid_from(rng), survey, respondent, at + timedelta(days=2), channel))
    return tuple(sorted(made, key=lambda item: (item.sent_at, item.id)))


def rates(seed: int, shop: Shop) -> tuple[Rate, ...]:
    """What a dollar and a euro cost in reais on every working day; one is corrected the day after."""
    rng = stream(seed, shop.product, "rates")
    made: list[Rate] = []
    prices = {"USD/BRL": 54_100, "EUR/BRL": 63_200}
    for day in (FIRST_DAY + timedelta(days=index) for index in range(DAYS)):
        if day.weekday() > 4:
            continue
        for pair, price in tuple(prices.items()):
            prices[pair] = price + rng.randrange(-320, 321)
            at = local(day, 13 * 3600 + rng.randrange(1800))
            made.append(Rate(uuid_from(rng), pair, day, Decimal(prices[pair]).scaleb(-4), at))
    wrong = made[len(made) // 2]
    corrected = wrong.rate + Decimal("0.0100")
    made.append(Rate(uuid_from(rng), wrong.pair, wrong.day, corrected, wrong.told_at + timedelta(days=1)))
    return tuple(sorted(made, key=lambda item: (item.told_at, item.id)))
