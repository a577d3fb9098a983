"""Events of the vendors in the form they have in the log, small enough to read in a test, and a way into the log.

They go straight into `batuta.events`, past connectors and contracts: what is tested with them is what the models make
of the log. Ids and money have the vendors' forms, people are pseudonyms already.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

SHOP = "https://casa.myshopify.com"
REPOSITORY = "https://github.com/casa/loja"
PRODUCER = "https://casa.example/eventos"
DECISION = hashlib.md5(b"decision of the tests", usedforsecurity=False).digest()

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event as it will stand in the log."""

    type: str
    connector: str
    dataset: str
    source: str
    id: str
    time: datetime
    data: Mapping[str, Any]

    def again(self, id: str) -> "LoggedEvent":
        """The same telling under another id, as by a second subscription."""
        return replace(self, id=id)


def moment(text: str) -> datetime:
    """A moment in UTC, from ISO 8601."""
    return datetime.fromisoformat(text)


def shopify(topic: str, dataset: str, id: str, at: str, data: Json) -> LoggedEvent:
    return LoggedEvent(f"com.shopify.{topic}", "shopify", dataset, SHOP, id, moment(at), data)


def line(
    id: int, price: str, quantity: int = 1, *, discounts: Sequence[str] = (), gift_card: bool = False
) -> Json:
    """One line of an order."""
    return {
        "id": id,
        "product_id": id * 10,
        "sku": f"SKU-{id}",
        "title": f"Item {id}",
        "price": price,
        "quantity": quantity,
        "gift_card": gift_card,
        "discount_allocations": [{"amount": amount} for amount in discounts],
    }


def order(
    id: int,
    at: str,
    *lines: Json,
    updated: str | None = None,
    customer: str | None = "h1:ana",
    email: str | None = None,
    topic: str = "orders.created",
    event: str | None = None,
    **fields: Any,
) -> LoggedEvent:
    """A version of an order; `updated` tells the versions apart, other fields as in the vendor's payload."""
    updated = updated or at
    data: Json = {
        "id": id,
        "name": f"#{id}",
        "created_at": at,
        "processed_at": at,
        "updated_at": updated,
        "cancelled_at": None,
        "financial_status": "paid",
        "currency": "BRL",
        "test": False,
        "customer": {"id": customer} if customer else None,
        "email": email,
        "line_items": list(lines),
        "refunds": [],
        "total_price": f"{sum(float(item['price']) * item['quantity'] for item in lines):.2f}",
    }
    return shopify(topic, "orders", event or f"order {id} {updated} {topic}", updated, data | fields)


def order_deleted(id: int, at: str) -> LoggedEvent:
    return shopify("orders.deleted", "orders", f"order {id} deleted", at, {"id": id})


def paid(
    id: int,
    order_id: int,
    at: str,
    amount: str,
    *,
    told: str | None = None,
    event: str | None = None,
    **fields: Any,
) -> LoggedEvent:
    """A transaction told of by its own event, at `told` if that was later; a successful sale unless said otherwise."""
    data = transaction(id, order_id, at, amount, **fields)
    name = event or f"transaction {id} {data['status']} {told or at}"
    return shopify("order_transactions.created", "order_transactions", name, told or at, data)


def transaction(id: int, order_id: int, at: str, amount: str, **fields: Any) -> Json:
    """A transaction as it stands in refunds and in its own event."""
    return {
        "id": id,
        "order_id": order_id,
        "parent_id": None,
        "kind": "sale",
        "status": "success",
        "gateway": "pix",
        "amount": amount,
        "currency": "BRL",
        "test": False,
        "created_at": at,
        "processed_at": at,
    } | fields


def refund(
    id: int,
    order_id: int,
    at: str,
    *subtotals: str,
    gift_cards: Sequence[str] = (),
    adjustments: Sequence[tuple[str, str]] = (),
    transactions: Sequence[Json] = (),
) -> Json:
    """A refund as it stands in orders and in its own event."""
    lines = [(subtotal, False) for subtotal in subtotals] + [(subtotal, True) for subtotal in gift_cards]
    return {
        "id": id,
        "order_id": order_id,
        "created_at": at,
        "processed_at": at,
        "refund_line_items": [
            {
                "id": id * 100 + index,
                "line_item_id": index,
                "quantity": 1,
                "subtotal": subtotal,
                "total_tax": "1.00",
                "line_item": {"id": index, "gift_card": is_card},
            }
            for index, (subtotal, is_card) in enumerate(lines)
        ],
        "order_adjustments": [
            {"kind": kind, "amount": amount, "tax_amount": "0.00"} for kind, amount in adjustments
        ],
        "transactions": list(transactions),
    }


def refunded(data: Json) -> LoggedEvent:
    """A refund told of by its own event."""
    return shopify("refunds.created", "refunds", f"refund {data['id']}", data["created_at"], data)


def catalogue(id: int, at: str, title: str, **fields: Any) -> LoggedEvent:
    """A version of a catalogue item."""
    data = {
        "id": id,
        "title": title,
        "vendor": "Casa",
        "product_type": "Mesa",
        "status": "active",
        "updated_at": at,
    }
    return shopify("products.updated", "products", f"item {id} {at}", at, data | fields)


def github(type: str, dataset: str, id: str, at: str, data: Json) -> LoggedEvent:
    around = {"repository": {"id": 77, "full_name": "casa/loja", "default_branch": "main"}}
    return LoggedEvent(f"com.github.{type}", "github", dataset, REPOSITORY, id, moment(at), data | around)


def pull_request(
    number: int, at: str, *, merged: str | None = None, author: str = "User", base: str = "main"
) -> LoggedEvent:
    """A pull request as of `merged`, or of `at` while it is open."""
    updated = merged or at
    data = {
        "action": "closed" if merged else "opened",
        "pull_request": {
            "id": number * 1000,
            "number": number,
            "title": f"Change {number}",
            "state": "closed" if merged else "open",
            "merged": merged is not None,
            "merged_at": merged,
            "merge_commit_sha": f"sha {number}" if merged else None,
            "closed_at": merged,
            "created_at": at,
            "updated_at": updated,
            "user": {"id": "h1:dev", "login": "h1:dev-login", "type": author},
            "base": {"ref": base},
        },
    }
    return github(
        f"pull_request.{data['action']}", "pull_requests", f"pull {number} {updated}", updated, data
    )


def release(
    id: int,
    published: str | None,
    *,
    updated: str | None = None,
    action: str = "published",
    prerelease: bool = False,
) -> LoggedEvent:
    """A release; a draft where `published` is None."""
    at = updated or published or "2024-01-01T00:00:00Z"
    data = {
        "action": action,
        "release": {
            "id": id,
            "tag_name": f"v{id}",
            "name": f"Version {id}",
            "draft": published is None,
            "prerelease": prerelease,
            "created_at": at,
            "updated_at": updated,
            "published_at": published,
        },
    }
    return github(f"release.{action}", "releases", f"release {id} {action} {at}", at, data)


def issue(
    number: int,
    at: str,
    *labels: str,
    updated: str | None = None,
    closed: str | None = None,
    action: str = "labeled",
    author: str = "User",
) -> LoggedEvent:
    """An issue opened at `at`, as of `updated`, else of when it was closed, else of when it was opened."""
    as_of = updated or closed or at
    data = {
        "action": action,
        "issue": {
            "id": number * 1000,
            "number": number,
            "title": f"Report {number}",
            "state": "closed" if closed else "open",
            "state_reason": "completed" if closed else None,
            "labels": [{"name": label} for label in labels],
            "created_at": at,
            "updated_at": as_of,
            "closed_at": closed,
            "user": {"id": "h1:dev", "login": "h1:dev-login", "type": author},
        },
    }
    return github(f"issues.{action}", "issues", f"issue {number} {action} {as_of}", as_of, data)


def review(id: int, number: int, at: str, state: str, *, reviewer: str = "h1:rev") -> LoggedEvent:
    """A review of a pull request; GitHub tells of its dismissal with the time it was submitted at."""
    action = "dismissed" if state.lower() == "dismissed" else "submitted"
    data = {
        "action": action,
        "review": {
            "id": id,
            "state": state,
            "submitted_at": at,
            "user": {"id": reviewer, "login": "h1:rev-login", "type": "User"},
        },
        "pull_request": {"id": number * 1000, "number": number},
    }
    return github(f"pull_request_review.{action}", "reviews", f"review {id} {state}", at, data)


def deployment(id: int, at: str, environment: str = "production", **fields: Any) -> LoggedEvent:
    """A deployment as it was asked for."""
    data = {"action": "created", "deployment": _deployment(id, at, at, environment, **fields)}
    return github("deployment.created", "deployments", f"deployment {id}", at, data)


def deployment_status(
    id: int, of: int, begun: str, at: str, state: str, environment: str = "production", **fields: Any
) -> LoggedEvent:
    """A status of the deployment `of` that was asked for at `begun`."""
    data = {
        "action": "created",
        "deployment": _deployment(of, begun, at, environment, **fields),
        "deployment_status": {"id": id, "state": state, "created_at": at, "updated_at": at},
    }
    return github("deployment_status.created", "deployments", f"status {id} {state}", at, data)


def _deployment(id: int, at: str, updated: str, environment: str, **fields: Any) -> Json:
    return {
        "id": id,
        "sha": f"sha {id}",
        "ref": "main",
        "task": "deploy",
        "environment": environment,
        "production_environment": environment == "production",
        "created_at": at,
        "updated_at": updated,
        "creator": {"id": "h1:dev", "login": "h1:dev-login", "type": "User"},
    } | fields


def customers_merged(deleted: str, kept: str, at: str, *, status: str = "completed") -> LoggedEvent:
    """One customer merged into another, or not."""
    data = {"customer_deleted_id": deleted, "customer_kept_id": kept, "status": status}
    return shopify("customers.merged", "customer_merges", f"merge {deleted} {at} {status}", at, data)


def spend(
    id: str,
    start: str,
    end: str,
    amount: str,
    *,
    told: str = "2024-01-01T00:00:00Z",
    currency: str = "BRL",
    **fields: Any,
) -> LoggedEvent:
    """A spend; the same `spend_id` told again replaces it."""
    data = {"period_start": start, "period_end": end, "channel": "ads", "kind": "media", "amount": amount}
    event = LoggedEvent(
        "com.batuta.spend.recorded", "events", "spend", PRODUCER, f"spend {id} {told}", moment(told), data
    )
    return replace(event, data=data | {"currency": currency} | fields)


def answer(respondent: str, at: str, score: int, *, event: str | None = None) -> LoggedEvent:
    """One answer to the survey."""
    data = {
        "survey_id": "nps",
        "respondent": respondent,
        "score": score,
        "answered_at": at,
        "channel": "mail",
    }
    name = event or f"answer {respondent} {at}"
    return LoggedEvent("com.batuta.survey.answered", "events", "surveys", PRODUCER, name, moment(at), data)


def invitation(respondent: str, at: str, *, survey: str = "nps", channel: str = "mail") -> LoggedEvent:
    """A survey sent to somebody."""
    data = {"survey_id": survey, "respondent": respondent, "sent_at": at, "channel": channel}
    name = f"invitation {survey} {respondent} {at}"
    return LoggedEvent("com.batuta.survey.sent", "events", "invitations", PRODUCER, name, moment(at), data)


def exchange_rate(pair: str, day: str, rate: str, *, told: str | None = None) -> LoggedEvent:
    """What a currency costs in another from a day on; told again it replaces what was told before."""
    data = {"pair": pair, "day": day, "rate": rate, "provider": "bank"}
    at = told or f"{day}T16:00:00Z"
    name = f"rate {pair} {day} {at}"
    return LoggedEvent("com.batuta.rate.recorded", "events", "rates", PRODUCER, name, moment(at), data)


def record(
    conn: psycopg.Connection[Any],
    product: str,
    events: Sequence[LoggedEvent],
    *,
    received_at: datetime | None = None,
) -> int:
    """Commit events as one batch, each once ever, and return its number.

    They are received an hour after the last of them happened, unless said otherwise.
    """
    if received_at is None:
        received_at = max((event.time for event in events), default=moment("2024-01-01T00:00:00+00:00"))
        received_at += timedelta(hours=1)
    row = conn.execute("select nextval('batuta.batch_numbers')").fetchone()
    assert row is not None
    batch = int(row[0])
    conn.execute(
        "insert into batuta.decisions values (%s, '', '', '', '', '', '', true, '{}', %s) on conflict do nothing",
        (DECISION, received_at),
    )
    conn.execute("insert into batuta.batches values (%s, %s, 'file', %s)", (batch, received_at, len(events)))
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            with taken as (
                insert into batuta.inbox (key, batch, received_at) values (%(key)s, %(batch)s, %(received_at)s)
                on conflict do nothing returning key
            )
            insert into batuta.events (
                received_at, batch, key, product, source, id, type, time, connector, dataset, dataschema, data, decision
            )
            select
                %(received_at)s, %(batch)s, taken.key, %(product)s, %(source)s, %(id)s, %(type)s, %(time)s,
                %(connector)s, %(dataset)s, '', %(data)s::jsonb, %(decision)s
            from taken
            """,
            [_row(product, event, batch, received_at) for event in events],
        )
    conn.commit()
    return batch


def _row(product: str, event: LoggedEvent, batch: int, received_at: datetime) -> Json:
    identity = "\0".join((product, event.source, event.id)).encode()
    return {
        "key": hashlib.md5(identity, usedforsecurity=False).digest(),
        "batch": batch,
        "received_at": received_at,
        "product": product,
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "time": event.time,
        "connector": event.connector,
        "dataset": event.dataset,
        "data": json.dumps(dict(event.data)),
        "decision": DECISION,
    }
