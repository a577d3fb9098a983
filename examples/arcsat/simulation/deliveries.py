"""What the vendors sent, in the order it arrived: signed, sometimes twice, late, out of order, or broken.

A `Sending` is small; its body is made when it is written, so that a whole shop never stands in memory.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from uuid import UUID

from simulation import github, github_forms
from simulation.broken import BREAKAGES, Breakage, renamed
from simulation.demand import never_paying
from simulation.model import (
    FIRST_DAY,
    Answer,
    Invitation,
    Order,
    OrderVersion,
    Rate,
    ShopSimulation,
    Spend,
    local,
    stream,
    uuid_from,
)
from simulation.shopify_catalogue import data_request_body, product_body, redact_body
from simulation.shopify_forms import API_VERSION, Body, money, serialize
from simulation.shopify_orders import order_body
from simulation.shopify_payments import refund_body, transaction_body

TWICE, LATE, SWAPPED, SECOND_SUBSCRIPTION = 0.012, 0.02, 0.03, 0.003


@dataclass(frozen=True, slots=True)
class Sending:
    """One delivery before it is written down."""

    arrived_at: datetime
    place: int
    topic: str
    id: str
    triggered_at: datetime
    body: Callable[[], bytes] = field(repr=False)
    action: str = ""
    """What the vendor calls the cause: several topics may tell of one action."""
    repeated: bool = False
    filtered: bool = False
    breakage: Breakage | None = None


def shopify_sendings(seed: int, simulation: ShopSimulation) -> list[Sending]:
    """All webhooks of a shop in order of arrival."""
    rng = stream(seed, simulation.shop.product, "shopify deliveries")
    sendings = [
        *_product_sendings(rng, simulation),
        *(sending for order in simulation.orders for sending in _order_sendings(rng, simulation, order)),
        *_privacy_sendings(rng, simulation),
    ]
    return _arrived(rng, sendings, BREAKAGES["shopify"])


def _sending(
    rng: Random, topic: str, at: datetime, body: Callable[[], bytes], about: object = None
) -> Sending:
    webhook_id = str(uuid_from(rng))
    action = f"{about}/{at.isoformat()}" if about else webhook_id
    return Sending(at, 0, topic, webhook_id, at, body, action)


def _order_sendings(rng: Random, simulation: ShopSimulation, order: Order) -> Iterator[Sending]:
    paid_told = not simulation.shop.paid_topic
    for version in order.versions:
        body = partial(_order, simulation, order, version)
        yield _sending(rng, version.topic, version.at, body, order.id)
        if not paid_told and version.financial_status == "paid":
            paid_told = True
            yield _sending(rng, "orders/paid", version.at, body, order.id)
        if version.topic == "orders/cancelled" and rng.random() < 0.5:
            yield _sending(rng, "orders/updated", version.at, body, order.id)
    in_refunds = {transaction.id for refund in order.refunds for transaction in refund.transactions}
    for transaction in order.transactions:
        if transaction.id not in in_refunds or rng.random() < 0.8:
            yield _sending(
                rng,
                "order_transactions/create",
                transaction.at,
                partial(_json, transaction_body, transaction, order.person),
                order.id,
            )
    for refund in order.refunds:
        if refund.announced:
            yield _sending(
                rng, "refunds/create", refund.created_at, partial(_json, refund_body, refund), order.id
            )
    if order.deleted_at:
        yield _sending(rng, "orders/delete", order.deleted_at, partial(serialize, {"id": order.id}), order.id)


def _order(simulation: ShopSimulation, order: Order, version: OrderVersion) -> bytes:
    return serialize(order_body(simulation, order, version))


def _json(make: Callable[..., Body], *arguments: object) -> bytes:
    return serialize(make(*arguments))


def _product_sendings(rng: Random, simulation: ShopSimulation) -> Iterator[Sending]:
    for item in simulation.items:
        for topic, at in (
            ("products/create", item.created_at),
            *(("products/update", at) for at in item.updates),
        ):
            if item.deleted_at is None or at < item.deleted_at:
                yield _sending(rng, topic, at, partial(_json, product_body, simulation.shop, item, at))
        if item.deleted_at:
            yield _sending(rng, "products/delete", item.deleted_at, partial(serialize, {"id": item.id}))


def _privacy_sendings(rng: Random, simulation: ShopSimulation) -> Iterator[Sending]:
    """One person asks what is known of them, another, if possible one who never bought, to be forgotten."""
    placed: dict[int, list[int]] = {}
    for order in simulation.orders:
        placed.setdefault(order.person.key, []).append(order.id)
    known = [person for person in simulation.people if person.customer_id]
    never = set(never_paying(simulation.shop))
    asking = next(person for person in known if person.key not in never)
    leaving = next((person for person in known if person.key in never), known[-1])
    day = local(FIRST_DAY, 0) + timedelta(days=70, hours=11)
    arguments = simulation.shop, asking, placed[asking.key]
    yield _sending(rng, "customers/data_request", day, partial(_json, data_request_body, *arguments))
    arguments = simulation.shop, leaving, placed[leaving.key]
    yield _sending(rng, "customers/redact", day + timedelta(hours=5), partial(_json, redact_body, *arguments))


def github_sendings(seed: int, simulation: ShopSimulation) -> list[Sending]:
    """All webhooks of a repository in order of arrival."""
    rng = stream(seed, simulation.shop.product, "github deliveries")
    shop = simulation.shop
    start = local(FIRST_DAY, 8 * 3600)
    sendings = [
        replace(_sending(rng, "ping", start, partial(_github, github.ping_body, shop, start)), filtered=True)
    ]

    def add(topic: str, at: datetime, make: Callable[..., Body], *arguments: object) -> None:
        sendings.append(_sending(rng, topic, at, partial(_github, make, shop, *arguments)))

    for pull in simulation.pull_requests:
        add("pull_request", pull.opened_at, github.pull_request_body, pull, "opened", pull.opened_at)
        for at in pull.pushes:
            add("pull_request", at, github.pull_request_body, pull, "synchronize", at)
        if pull.closed_at:
            add("pull_request", pull.closed_at, github.pull_request_body, pull, "closed", pull.closed_at)
            add("workflow_run", pull.closed_at, github.workflow_run_body, pull)
        if pull.closed_at and pull.merged:
            add("push", pull.closed_at, github.push_body, pull)
    for release in simulation.releases:
        add("release", release.created_at, github.release_body, release, "created", release.created_at)
        if release.published_at:
            early = release.prerelease or release.promoted_at
            for action in ("published", "prereleased" if early else "released"):
                add(
                    "release",
                    release.published_at,
                    github.release_body,
                    release,
                    action,
                    release.published_at,
                )
        if release.promoted_at:
            add("release", release.promoted_at, github.release_body, release, "released", release.promoted_at)
    for issue in simulation.issues:
        add("issues", issue.opened_at, github.issue_body, issue, "opened", issue.opened_at)
        if issue.closed_at:
            add("issues", issue.closed_at, github.issue_body, issue, "closed", issue.closed_at)
    for index in range(3):
        at = start + timedelta(days=12 + 20 * index, minutes=index * 7)
        add("star", at, github.star_body, f"visitante-{index}", at)
    return _together(_arrived(rng, sendings, BREAKAGES["github"]), _operations(seed, simulation))


def _operations(seed: int, simulation: ShopSimulation) -> list[Sending]:
    """Webhooks of reviews, deployments and incidents."""
    rng = stream(seed, simulation.shop.product, "operations deliveries")
    shop = simulation.shop
    sendings: list[Sending] = []

    def add(topic: str, at: datetime, make: Callable[..., Body], *arguments: object) -> None:
        sendings.append(_sending(rng, topic, at, partial(_github, make, shop, *arguments)))

    for review in simulation.reviews:
        for action, at in (("submitted", review.submitted_at), ("dismissed", review.dismissed_at)):
            if at is not None:
                add("pull_request_review", at, github.review_body, review, action, at)
    for deployment in simulation.deployments:
        add("deployment", deployment.created_at, github.deployment_body, deployment)
        for status in deployment.statuses:
            add("deployment_status", status.at, github.deployment_status_body, deployment, status)
    for incident in simulation.incidents:
        add("issues", incident.opened_at, github.issue_body, incident, "opened", incident.opened_at)
        if incident.labelled_at:
            add("issues", incident.labelled_at, github.issue_body, incident, "labeled", incident.labelled_at)
        if incident.closed_at:
            add("issues", incident.closed_at, github.issue_body, incident, "closed", incident.closed_at)
    return _arrived(rng, sendings, ())


def _together(first: list[Sending], second: list[Sending]) -> list[Sending]:
    """Two streams of deliveries in one, in order of arrival; neither changes for the other."""
    return sorted([*first, *second], key=lambda sending: sending.arrived_at)


def _github(make: Callable[..., Body], *arguments: object) -> bytes:
    return github_forms.serialize(make(*arguments))


def event_sendings(seed: int, simulation: ShopSimulation) -> list[Sending]:
    """Ad spend, survey answers, invitations and exchange rates as CloudEvents, in order of arrival."""
    rng = stream(seed, simulation.shop.product, "event deliveries")
    sendings = [
        *(
            Sending(
                i.recorded_at,
                0,
                "com.batuta.spend.recorded",
                str(i.id),
                i.recorded_at,
                partial(_spend, simulation, i),
            )
            for i in simulation.spend
        ),
        *(
            Sending(
                i.answered_at,
                0,
                "com.batuta.survey.answered",
                str(i.id),
                i.answered_at,
                partial(_answer, simulation, i),
            )
            for i in simulation.answers
        ),
    ]
    sent = [
        *(
            Sending(
                i.sent_at,
                0,
                "com.batuta.survey.sent",
                str(i.id),
                i.sent_at,
                partial(_invitation, simulation, i),
            )
            for i in simulation.invitations
        ),
        *(
            Sending(
                i.told_at, 0, "com.batuta.rate.recorded", str(i.id), i.told_at, partial(_rate, simulation, i)
            )
            for i in simulation.rates
        ),
    ]
    others = stream(seed, simulation.shop.product, "invitation and rate deliveries")
    return _together(
        _arrived(rng, sendings, BREAKAGES["events"], subscriptions=False),
        _arrived(others, sent, (), subscriptions=False),
    )


def _invitation(simulation: ShopSimulation, item: Invitation) -> bytes:
    data = {
        "survey_id": item.survey,
        "respondent": item.respondent,
        "sent_at": github_forms.stamp(item.sent_at),
        "channel": item.channel,
    }
    return _cloud_event(
        simulation, "com.batuta.survey.sent", "pesquisa-nps", str(item.id), item.sent_at, data
    )


def _rate(simulation: ShopSimulation, item: Rate) -> bytes:
    data = {
        "pair": item.pair,
        "day": item.day.isoformat(),
        "rate": str(item.rate),
        "provider": "Banco Central",
    }
    return _cloud_event(simulation, "com.batuta.rate.recorded", "cambio", str(item.id), item.told_at, data)


def _spend(simulation: ShopSimulation, item: Spend) -> bytes:
    data = {
        "period_start": item.period_start.isoformat(),
        "period_end": item.period_end.isoformat(),
        "channel": item.channel,
        "kind": item.kind,
        "amount": money(item.amount_cents),
        "currency": "BRL",
    }
    return _cloud_event(
        simulation, "com.batuta.spend.recorded", "planilha-de-midia", str(item.id), item.recorded_at, data
    )


def _answer(simulation: ShopSimulation, item: Answer) -> bytes:
    data: Body = {
        "survey_id": item.survey,
        "respondent": item.respondent,
        "score": item.score,
        "answered_at": github_forms.stamp(item.answered_at),
        "channel": item.channel,
    }
    if item.comment:
        data["comment"] = item.comment
    return _cloud_event(
        simulation, "com.batuta.survey.answered", "pesquisa-nps", str(item.id), item.answered_at, data
    )


def _cloud_event(
    simulation: ShopSimulation, event_type: str, origin: str, event_id: str, at: datetime, data: Body
) -> bytes:
    document = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"https://{simulation.shop.product}.example.com/{origin}",
        "type": event_type,
        "time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "datacontenttype": "application/json",
        "data": data,
    }
    return github_forms.serialize(document)


def _arrived(
    rng: Random, sendings: list[Sending], breakages: tuple[Breakage, ...], *, subscriptions: bool = True
) -> list[Sending]:
    """Send all over the network, some late, some twice, some broken; the result is in order of arrival."""
    found: list[Sending] = []
    for sending in sendings:
        delay = rng.random()
        seconds = rng.randrange(1, 4)
        if delay < LATE:
            seconds = rng.randrange(3_600, 44 * 3_600)
        elif delay < LATE + SWAPPED:
            seconds = rng.randrange(5, 1_500)
        first = replace(sending, arrived_at=sending.arrived_at + timedelta(seconds=seconds))
        found.append(first)
        if rng.random() < TWICE:
            found.append(
                replace(
                    first,
                    arrived_at=first.arrived_at + timedelta(seconds=rng.randrange(20, 14_400)),
                    repeated=True,
                )
            )
        if subscriptions and not sending.filtered and rng.random() < SECOND_SUBSCRIPTION:
            found.append(
                replace(first, id=str(uuid_from(rng)), arrived_at=first.arrived_at + timedelta(seconds=1))
            )
    for place, breakage in enumerate(breakages):
        candidates = [sending for sending in sendings if sending.topic == breakage.topic]
        model = candidates[(place + 1) * len(candidates) // (len(breakages) + 2)]
        found.append(
            replace(
                model,
                id=str(uuid_from(rng)),
                arrived_at=model.arrived_at + timedelta(minutes=3),
                breakage=breakage,
            )
        )
    found = [replace(sending, place=place) for place, sending in enumerate(found)]
    return sorted(found, key=lambda sending: (sending.arrived_at, sending.place))


def shopify_line(simulation: ShopSimulation, secret: bytes, sending: Sending) -> bytes:
    """One Shopify delivery as a line of JSON."""
    body = sending.body()
    if sending.breakage:
        body = sending.breakage.body(body)
    signature = base64.b64encode(hmac.digest(secret, body, "sha256")).decode()
    action = hashlib.md5(sending.action.encode(), usedforsecurity=False).hexdigest()
    nanoseconds = int(action[:8], 16) % 1_000_000_000
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": "Shopify-Captain-Hook",
        "X-Shopify-Topic": sending.topic,
        "X-Shopify-Hmac-Sha256": signature,
        "X-Shopify-Shop-Domain": simulation.shop.domain,
        "X-Shopify-API-Version": API_VERSION,
        "X-Shopify-Webhook-Id": sending.id,
        "X-Shopify-Event-Id": str(UUID(action, version=4)),
        "X-Shopify-Triggered-At": sending.triggered_at.astimezone(UTC).strftime(
            f"%Y-%m-%dT%H:%M:%S.{nanoseconds:09d}Z"
        ),
    }
    return _captured(headers, body, sending.breakage)


def github_line(simulation: ShopSimulation, secret: bytes, sending: Sending) -> bytes:
    """One GitHub delivery as a line of JSON."""
    body = sending.body()
    if sending.breakage:
        body = sending.breakage.body(body)
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Delivery": sending.id,
        "X-GitHub-Event": sending.topic,
        "X-GitHub-Hook-ID": str(512_000_000 + simulation.shop.number),
        "X-GitHub-Hook-Installation-Target-ID": str(simulation.shop.repository_id),
        "X-GitHub-Hook-Installation-Target-Type": "repository",
        "X-Hub-Signature": f"sha1={hmac.digest(secret, body, 'sha1').hex()}",
        "X-Hub-Signature-256": f"sha256={hmac.digest(secret, body, 'sha256').hex()}",
    }
    return _captured(headers, body, sending.breakage)


def event_line(sending: Sending) -> bytes:
    """One CloudEvent as a line of JSON; the broken ones as whatever was sent."""
    body = sending.body()
    return sending.breakage.body(renamed(body, sending.id)) if sending.breakage else body


def _captured(headers: dict[str, str], body: bytes, breakage: Breakage | None) -> bytes:
    if breakage:
        headers = breakage.headers(headers)
    try:
        content = {"headers": headers, "body": body.decode()}
    except UnicodeDecodeError:
        content = {"headers": headers, "body_base64": base64.b64encode(body).decode()}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
