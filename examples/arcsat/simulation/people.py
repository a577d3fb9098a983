"""Who buys, and what is sold."""

import unicodedata
from datetime import datetime, timedelta
from random import Random

from simulation.model import FIRST_DAY, Address, Item, Person, Shop, Variant, local, stream
from simulation.words import (
    BROWSERS,
    CATALOGUE,
    CITIES,
    DISTRICTS,
    FIRST_NAMES,
    GIFT_CARD_TITLE,
    LAST_NAMES,
    STREETS,
)

GUEST_SHARE = 0.06


def cpf(rng: Random) -> str:
    """A CPF that is valid by its check digits and belongs to nobody we know of."""
    digits = [rng.randrange(10) for _ in range(9)]
    for _ in range(2):
        weight = len(digits) + 1
        rest = sum(digit * (weight - place) for place, digit in enumerate(digits)) % 11
        digits.append(0 if rest < 2 else 11 - rest)
    text = "".join(map(str, digits))
    return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"


def phone(rng: Random, area: str) -> str:
    """A fictitious Brazilian mobile number."""
    return f"+55{area}90000{rng.randrange(10_000):04d}"


def plain(text: str) -> str:
    """Lower-case ASCII of a name."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


def address(rng: Random) -> tuple[Address, str]:
    """A made-up address and its telephone area."""
    city, state, state_name, prefix, area = rng.choice(CITIES)
    street = f"{rng.choice(STREETS)}, {rng.randrange(10, 2400)}"
    postcode = f"{prefix}{rng.randrange(1000):03d}-{rng.randrange(1000):03d}"
    return Address(street, rng.choice(DISTRICTS), city, state, state_name, postcode), area


def person(rng: Random, shop: Shop, index: int, created_at: datetime) -> Person:
    """One made-up person; some are guests."""
    first, last = rng.choice(FIRST_NAMES), f"{rng.choice(LAST_NAMES)} {rng.choice(LAST_NAMES)}"
    home, area = address(rng)
    guest = rng.random() < GUEST_SHARE
    host = rng.choice(("example.com", "example.com", "example.org", "example.net"))
    return Person(
        key=index,
        customer_id=None
        if guest
        else 7_410_000_000_000 + shop.number * 100_000_000_000 + index * 32_768 + 6_911,
        first_name=first,
        last_name=last,
        email=f"{plain(first)}.{plain(last.rsplit(maxsplit=1)[-1])}{index}@{host}",
        phone=phone(rng, area),
        cpf=cpf(rng),
        address=home,
        ip=f"203.0.113.{rng.randrange(1, 255)}"
        if rng.random() < 0.7
        else f"2001:db8::{rng.randrange(1, 65536):x}",
        browser=rng.choice(BROWSERS),
        created_at=created_at,
    )


def catalogue(seed: int, shop: Shop) -> tuple[Item, ...]:
    """The items of a shop; one is deleted during the period, several change."""
    rng = stream(seed, shop.product, "catalogue")
    items: list[Item] = []
    rows = [
        *CATALOGUE[shop.product],
        (GIFT_CARD_TITLE[shop.product], "Vale-presente", 10_000, 0, ("R$ 100", "R$ 200")),
    ]
    for index, (title, kind, price, grams, variants) in enumerate(rows):
        gift_card = kind == "Vale-presente"
        created_at = local(FIRST_DAY, 7 * 3600 + index * 97)
        updates = tuple(
            sorted(
                created_at + timedelta(seconds=rng.randrange(2 * 86_400, 85 * 86_400))
                for _ in range(rng.randrange(3))
            )
        )
        names = variants or ("Default Title",)
        items.append(
            Item(
                id=8_120_000_000_000 + shop.number * 10_000_000_000 + index * 65_536,
                title=title,
                body=_body(title, kind),
                kind=kind,
                handle=plain(title).replace(" ", "-").replace(",", "").replace(".", "").replace("$", ""),
                variants=tuple(
                    Variant(
                        id=44_510_000_000_000 + shop.number * 10_000_000_000 + index * 65_536 + place * 32,
                        title=name,
                        sku=f"{shop.sku_prefix}-{index + 1:03d}" + (f"-{place + 1}" if variants else ""),
                        price_cents=price * (place + 1) if gift_card else price,
                        grams=grams,
                    )
                    for place, name in enumerate(names)
                ),
                gift_card=gift_card,
                created_at=created_at,
                updates=updates,
                deleted_at=local(FIRST_DAY, 0) + timedelta(days=61, hours=15, minutes=12)
                if index == 8
                else None,
            )
        )
    return tuple(items)


def _body(title: str, kind: str) -> str:
    return (
        f"<p><strong>{title}</strong> da linha {kind.lower()}, escolhido e testado por quem usa.</p>"
        "<ul><li>Garantia de 12 meses contra defeito de fabricação</li>"
        "<li>Envio em até dois dias úteis para todo o Brasil</li>"
        "<li>Manual em português</li></ul><p>Dúvidas? Nossa equipe responde de segunda a sábado.</p>"
    )
