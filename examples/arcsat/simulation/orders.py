"""How orders come about and what happens to them: a weighted list of small stories.

Each story is a function of a draft and a random stream. Weights are parts of a thousand.
"""

import bisect
import itertools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random

from simulation.demand import moments, never_paying, people
from simulation.draft import Draft, Ids
from simulation.model import END, FIRST_DAY, Item, Line, Mismatch, Order, Person, Shop, local, stream
from simulation.words import ORDER_NOTES

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CARD, PIX, BOLETO, GIFT_CARD = "shopify_payments", "pagarme_pix", "pagarme_boleto", "gift_card"
Story = Callable[[Draft, Random], None]


def pay(draft: Draft, rng: Random) -> bool:
    """The ordinary ways to pay; True once the money is there."""
    way = rng.random()
    if way < 0.40:
        return _pay_pix(draft, rng)
    if way < 0.72:
        return _pay_card_at_once(draft, rng)
    if way < 0.90:
        return _pay_authorized(draft, rng)
    return _pay_boleto(draft, rng)


def _pay_pix(draft: Draft, rng: Random) -> bool:
    draft.record("orders/create")
    if draft.wait(rng, timedelta(seconds=25), timedelta(minutes=14)):
        draft.transact("sale", PIX, draft.total_cents)
        draft.status = "paid"
        draft.record("orders/updated")
    return not draft.over


def _pay_card_at_once(draft: Draft, rng: Random) -> bool:
    if rng.random() < 0.06:
        draft.transact("sale", CARD, draft.total_cents, rng.choice(("failure", "error")))
    card_cents = draft.total_cents
    if rng.random() < 0.05 and card_cents > 12_000:
        draft.transact("sale", GIFT_CARD, 10_000)
        card_cents -= 10_000
    draft.transact("sale", CARD, card_cents)
    draft.status = "paid"
    draft.record("orders/create")
    return True


def _pay_authorized(draft: Draft, rng: Random) -> bool:
    authorization = draft.transact("authorization", CARD, draft.total_cents)
    draft.status = "authorized"
    draft.record("orders/create")
    if draft.wait(rng, 6 * HOUR, 40 * HOUR):
        draft.transact("capture", CARD, draft.total_cents, parent=authorization)
        draft.status = "paid"
        draft.record("orders/updated")
    return not draft.over


def _pay_boleto(draft: Draft, rng: Random) -> bool:
    draft.record("orders/create")
    if draft.wait(rng, 10 * HOUR, 3 * DAY):
        draft.transact("sale", BOLETO, draft.total_cents)
        draft.status = "paid"
        draft.record("orders/updated")
    return not draft.over


def plain(draft: Draft, rng: Random) -> None:
    """Bought, paid, sent."""
    if pay(draft, rng):
        draft.fulfil(rng)


def test_order(draft: Draft, rng: Random) -> None:
    """The shop trying itself; one in three is refunded too."""
    draft.test = True
    draft.transact("sale", "bogus", draft.total_cents)
    draft.status = "paid"
    draft.record("orders/create")
    if rng.random() < 0.34 and draft.wait(rng, HOUR, 5 * HOUR):
        draft.refund([(draft.lines[0], draft.lines[0].quantity)])


def voided(draft: Draft, rng: Random) -> None:
    """Authorized, then given up: the authorization is voided and the order cancelled, its goods taken off."""
    authorization = draft.transact("authorization", CARD, draft.total_cents)
    draft.status = "authorized"
    draft.record("orders/create")
    if draft.wait(rng, 2 * HOUR, 30 * HOUR):
        draft.transact("void", CARD, draft.total_cents, parent=authorization)
        draft.status = "voided"
        draft.refund(
            [(line, line.quantity) for line in draft.lines],
            outcome="none",
            announced=rng.random() < 0.5,
            record=False,
        )
        draft.cancel(rng.choice(("customer", "fraud")))


def unpaid(draft: Draft, rng: Random) -> None:
    """A boleto that was never paid."""
    draft.record("orders/create")
    if draft.wait(rng, 4 * DAY, 6 * DAY):
        draft.refund([(line, line.quantity) for line in draft.lines], outcome="none", record=False)
        draft.cancel("declined")


def declined(draft: Draft, rng: Random) -> None:
    """A card that never worked: the order stays open."""
    for _ in range(rng.randrange(1, 3)):
        draft.transact("sale", CARD, draft.total_cents, "failure")
    draft.record("orders/create")


def deleted(draft: Draft, rng: Random) -> None:
    """An order never paid and later deleted by the shop."""
    draft.record("orders/create")
    if draft.wait(rng, DAY, 3 * DAY):
        draft.deleted_at = draft.now


def cancelled_after_payment(draft: Draft, rng: Random) -> None:
    """Paid, then cancelled with everything returned, shipping too."""
    if pay(draft, rng) and draft.wait(rng, 3 * HOUR, 2 * DAY):
        shipping = [("shipping_refund", -draft.shipping_cents)] if draft.shipping_cents else []
        draft.refund([(line, line.quantity) for line in draft.lines], adjustments=shipping, record=False)  # pyright: ignore[reportArgumentType]
        draft.cancel(rng.choice(("customer", "inventory")))


def returned(draft: Draft, rng: Random) -> None:
    """Sent, then everything came back."""
    if _sent(draft, rng) and draft.wait(rng, 3 * DAY, 20 * DAY):
        draft.refund([(line, line.quantity) for line in draft.lines], note="Devolução")


def returned_in_part(draft: Draft, rng: Random) -> None:
    """Sent, then one piece came back; of some such refunds only the order tells."""
    if _sent(draft, rng) and draft.wait(rng, 3 * DAY, 20 * DAY):
        draft.refund(
            [(rng.choice(draft.lines), 1)],
            announced=rng.random() < 0.85,
            note="importado" if rng.random() < 0.2 else None,
        )


def returned_twice(draft: Draft, rng: Random) -> None:
    """Two refunds on different days."""
    if _sent(draft, rng) and draft.wait(rng, 2 * DAY, 9 * DAY):
        draft.refund([(draft.lines[0], 1)])
        if len(draft.lines) > 1 and draft.wait(rng, DAY, 12 * DAY):
            draft.refund([(draft.lines[1], draft.lines[1].quantity)], note="Segunda devolução")


def goodwill(draft: Draft, rng: Random) -> None:
    """Money back without goods: a discrepancy with a minus sign."""
    if _sent(draft, rng) and draft.wait(rng, DAY, 9 * DAY):
        draft.refund(
            [],
            adjustments=[("refund_discrepancy", -min(2_000, draft.total_cents // 4))],
            note="Cortesia por atraso",
        )


def restocking_fee(draft: Draft, rng: Random) -> None:
    """Goods back, part of the money kept: a discrepancy with a plus sign."""
    if _sent(draft, rng) and draft.wait(rng, DAY, 12 * DAY):
        line = draft.lines[0]
        draft.refund(
            [(line, line.quantity)],
            adjustments=[("refund_discrepancy", line.total_cents // 10)],
            note="Taxa de reposição",
        )


def refund_failed(draft: Draft, rng: Random) -> None:
    """A refund that was entered but whose money never moved."""
    if _sent(draft, rng) and draft.wait(rng, DAY, 12 * DAY):
        draft.refund([(draft.lines[0], 1)], outcome="failure")


def refund_retried(draft: Draft, rng: Random) -> None:
    """A refund whose first transfer failed and whose second succeeded."""
    if _sent(draft, rng) and draft.wait(rng, DAY, 12 * DAY):
        draft.refund([(draft.lines[0], 1)], outcome="retried")


def edited(draft: Draft, rng: Random) -> None:
    """A piece was added after payment and paid for separately; sometimes another was taken off."""
    if not pay(draft, rng) or not draft.wait(rng, HOUR, 20 * HOUR):
        return
    first = draft.lines[0]
    added = Line(
        draft.ids.take("line", 15_100_000_000_000), first.item, first.variant, 1, first.variant.price_cents, 0
    )
    draft.lines.append(added)
    draft.transact("sale", CARD, added.total_cents)
    if rng.random() < 0.4:
        draft.refund([(first, 1)], note="Retirado na edição", record=False)
    draft.record("orders/updated")
    draft.fulfil(rng)


def paid_amount_differs(draft: Draft, rng: Random) -> None:
    """Mismatch: marked paid, but ten reais less arrived."""
    draft.transact("sale", PIX, draft.total_cents - 1_000)
    draft.status = "paid"
    draft.record("orders/create")
    draft.fulfil(rng)


def refund_exceeds_captured(draft: Draft, rng: Random) -> None:
    """Mismatch: more was returned than had been paid."""
    draft.transact("sale", CARD, draft.total_cents)
    draft.status = "paid"
    draft.record("orders/create")
    if draft.wait(rng, DAY, 6 * DAY):
        line_cents = sum(line.total_cents for line in draft.lines)
        draft.refund(
            [(line, line.quantity) for line in draft.lines],
            adjustments=[("refund_discrepancy", line_cents - draft.total_cents - 5_000)],
            note="Valor digitado a mais",
        )


def paid_without_transaction(draft: Draft, rng: Random) -> None:
    """Mismatch: marked paid by hand, no payment anywhere."""
    draft.status = "paid"
    draft.record("orders/create")
    draft.fulfil(rng)


def _sent(draft: Draft, rng: Random) -> bool:
    plain(draft, rng)
    return not draft.over


STORIES: tuple[tuple[Story, int], ...] = (
    (plain, 868),
    (test_order, 6),
    (voided, 12),
    (unpaid, 18),
    (declined, 10),
    (deleted, 3),
    (cancelled_after_payment, 14),
    (returned, 14),
    (returned_in_part, 26),
    (returned_twice, 5),
    (goodwill, 5),
    (restocking_fee, 5),
    (refund_failed, 4),
    (refund_retried, 3),
    (edited, 7),
)
NEVER_PAID: tuple[Story, ...] = (voided, unpaid, declined, test_order)
MISMATCHES: tuple[Story, ...] = (paid_amount_differs, refund_exceeds_captured, paid_without_transaction)
_THRESHOLDS = list(itertools.accumulate(weight for _, weight in STORIES))


def orders(
    seed: int, shop: Shop, items: Sequence[Item]
) -> tuple[tuple[Person, ...], tuple[Order, ...], tuple[Mismatch, ...]]:
    """All orders of a shop, oldest first, with their people and the mismatches put in on purpose."""
    found = moments(seed, shop)
    buyers = people(seed, shop, found)
    rng = stream(seed, shop.product, "orders")
    ids = Ids(stream(seed, shop.product, "ids"), shop)
    never_paid = set(never_paying(shop))
    planted = _planted(shop, found, never_paid)
    made: list[Order] = []
    mismatches: list[Mismatch] = []
    for place, (at, key) in enumerate(found):
        draft = _draft(rng, ids, place, at, buyers[key], items)
        story = planted.get(place) or (rng.choice(NEVER_PAID) if key in never_paid else _story(rng))
        _whims(draft, rng, story)
        story(draft, rng)
        made.append(draft.finish())
        if place in planted:
            mismatches.append(_mismatch(story.__name__, made[-1]))
    return buyers, tuple(made), tuple(mismatches)


def _story(rng: Random) -> Story:
    return STORIES[bisect.bisect(_THRESHOLDS, rng.randrange(_THRESHOLDS[-1]))][0]


def _planted(shop: Shop, found: Sequence[tuple[datetime, int]], never_paid: set[int]) -> dict[int, Story]:
    """Which orders carry a deliberate mismatch: spread over the last third, early enough to play out."""
    wanted = [story for story in MISMATCHES for _ in range(3 if shop.orders >= 1000 else 1)]
    last = bisect.bisect(found, (END - timedelta(days=9), 0))
    candidates = [place for place in range(len(found) * 3 // 5, last) if found[place][1] not in never_paid]
    step = len(candidates) // len(wanted)
    return {candidates[step * index]: story for index, story in enumerate(wanted)}


def _mismatch(kind: str, order: Order) -> Mismatch:
    captured = sum(
        t.amount_cents for t in order.transactions if t.kind in ("sale", "capture") and t.status == "success"
    )
    returned = sum(t.amount_cents for t in order.transactions if t.kind == "refund" and t.status == "success")
    if kind == "refund_exceeds_captured":
        return Mismatch(kind, order.id, captured, returned)
    return Mismatch(
        "paid_amount_differs" if kind == "paid_amount_differs" else "paid_without_transaction",
        order.id,
        order.state.total_cents,
        captured,
    )


def _draft(rng: Random, ids: Ids, place: int, at: datetime, buyer: Person, items: Sequence[Item]) -> Draft:
    lines = _lines(rng, ids, at, items)
    code = None
    if rng.random() < 0.18:
        code = rng.choice(("CEU10", "PRIMEIRA10", "VOLTA5"))
        percent = 5 if code == "VOLTA5" else 10
        lines = [
            line
            if line.item.gift_card
            else Line(
                line.id, line.item, line.variant, line.quantity, line.price_cents, _discount(line, percent)
            )
            for line in lines
        ]
    goods_cents = sum(line.total_cents for line in lines)
    shipping_cents = (
        0
        if goods_cents >= 29_900 or all(line.item.gift_card for line in lines)
        else rng.choice((1_490, 1_990, 2_390))
    )
    return Draft(
        ids=ids,
        id=ids.take("order", 6_010_000_000_000),
        number=1001 + place,
        person=buyer,
        created_at=at,
        processed_at=at,
        now=at,
        lines=lines,
        shipping_cents=shipping_cents,
        email=buyer.email,
        discount_code=code,
    )


def _discount(line: Line, percent: int) -> int:
    return (2 * line.price_cents * line.quantity * percent + 100) // 200


def _lines(rng: Random, ids: Ids, at: datetime, items: Sequence[Item]) -> list[Line]:
    goods = [
        item for item in items if not item.gift_card and (item.deleted_at is None or at < item.deleted_at)
    ]
    chosen = [rng.choice(goods) for _ in range(rng.choices((1, 2, 3, 4), (58, 27, 11, 4))[0])]
    chosen = list(dict.fromkeys(chosen))
    if rng.random() < 0.012:
        gift_card = next(item for item in items if item.gift_card)
        chosen = [gift_card] if rng.random() < 0.5 else [*chosen, gift_card]
    lines: list[Line] = []
    for item in chosen:
        variant = rng.choice(item.variants)
        quantity = 1 if item.gift_card else rng.choices((1, 2, 3, 5), (80, 14, 5, 1))[0]
        lines.append(
            Line(ids.take("line", 15_100_000_000_000), item, variant, quantity, variant.price_cents, 0)
        )
    return lines


def _whims(draft: Draft, rng: Random, story: Story) -> None:
    """Small things that vary: notes, a counter sale, an order entered late, an e-mail typed in capitals."""
    buyer = draft.person
    if rng.random() < 0.08:
        draft.note = rng.choice(ORDER_NOTES).format(
            first=buyer.first_name, cpf=buyer.cpf, phone=buyer.phone, email=buyer.email
        )
    if buyer.customer_id is None and draft.email and rng.random() < 0.3:
        draft.email = draft.email.title()
    draft.presentment = rng.random() < 0.005
    kind = rng.random()
    if kind < 0.005 and story is plain:
        draft.named, draft.channel, draft.email, draft.note = False, "pos", None, None
    elif kind < 0.013 and story is plain:
        earlier = draft.created_at - timedelta(days=rng.randrange(1, 4), hours=rng.randrange(6))
        draft.processed_at = max(earlier, local(FIRST_DAY, 0))
        draft.channel = "shopify_draft_order"
