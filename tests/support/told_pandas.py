"""What the vendors of one product told, read in pandas from their raw deliveries and nothing else.

Signatures are checked and forms read by the vendors' own documentation. No SQL, no code of BATUTA, no knowledge of how
the deliveries came about. Amounts are `Decimal` or `Fraction`.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

ZONE = ZoneInfo("America/Sao_Paulo")
INCIDENT_LABELS = {"incident", "incidente", "production-incident"}
MINUTE = timedelta(minutes=1)

Json = dict[str, Any]
Frame = Any
"""A pandas frame or series: their own types know no columns."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the deliveries of one product say, each frame with one row per entity in its newest state.

    Columns named `day` are dates in Sao Paulo, `at` moments; amounts are Decimal in reais.
    """

    orders: Frame
    """order, customer, day, sold, is_sale, wins."""
    refunds: Frame
    """order, day, back; those that are booked."""
    won: Frame
    """Day each customer was acquired on, by customer."""
    spend: Frame
    """start, end, kind, amount."""
    answers: Frame
    """survey, respondent, score, at, day, id."""
    invitations: Frame
    """survey, respondent, at, day."""
    waits: Frame
    """day of the release, minutes since the merge."""
    releases: Frame
    """at, day."""
    issues: Frame
    """opened, closed, closed_day, day, is_incident."""


def read(files: Iterable[tuple[str, bytes, Iterable[bytes]]]) -> Told:
    """Read the deliveries of one product, in whatever order.

    Args:
        files: vendor (`shopify`, `github`, `events`), its signing key, its lines.
    """
    told: dict[str, list[tuple[str, Any, Json]]] = {"shopify": [], "github": [], "events": []}
    for vendor, key, lines in files:
        believe = {"shopify": _shopify, "github": _github, "events": _event}[vendor]
        for line in lines:
            found = believe(line, key)
            if found is not None:
                told[vendor].append(found)
    orders, refunds = _sales(told["shopify"])
    waits, releases, issues = _engineering(told["github"])
    winning = orders[orders.wins & orders.customer.notna()]
    return Told(
        orders,
        refunds,
        winning.groupby("customer").day.min(),
        *_own(told["events"]),
        waits,
        releases,
        issues,
    )


def _captured(line: bytes) -> tuple[Mapping[str, str], bytes] | None:
    captured = json.loads(line)
    encoded = captured.get("body_base64")
    body = base64.b64decode(encoded) if encoded else captured["body"].encode()
    return {name.lower(): value for name, value in captured["headers"].items()}, body


def _object(body: bytes) -> Json | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _shopify(line: bytes, key: bytes) -> tuple[str, str, Json] | None:
    headers, body = _captured(line) or ({}, b"")
    signature = base64.b64encode(hmac.digest(key, body, hashlib.sha256)).decode()
    document = _object(body)
    topic = headers["x-shopify-topic"]
    if headers.get("x-shopify-hmac-sha256") != signature or document is None or "id" not in document:
        return None
    if topic == "order_transactions/create":
        usable = "amount" in document
    elif topic.startswith("orders/") and topic != "orders/delete":
        usable = "updated_at" in document and _lines_are_usable(document["line_items"])
    else:
        usable = topic in ("orders/delete", "refunds/create")
    return (topic, headers["x-shopify-triggered-at"], document) if usable else None


def _lines_are_usable(lines: Any) -> bool:
    try:
        return all(Decimal(line["price"]).is_finite() for line in lines)
    except (InvalidOperation, TypeError):
        return False


def _github(line: bytes, key: bytes) -> tuple[str, str, Json] | None:
    headers, body = _captured(line) or ({}, b"")
    signature = f"sha256={hmac.digest(key, body, hashlib.sha256).hex()}"
    document = _object(body)
    believed = headers.get("x-hub-signature-256") == signature and "x-github-delivery" in headers
    if not believed or document is None:
        return None
    pull = document.get("pull_request", {"number": 0})
    if "number" not in pull or (pull.get("merged_at") and not _is_moment(pull["merged_at"])):
        return None
    return headers["x-github-event"], document.get("action", ""), document


def _event(line: bytes, _: bytes) -> tuple[str, str, Json] | None:
    document = _object(line)
    if document is None or document.get("specversion") != "1.0" or "id" not in document:
        return None
    data = document["data"]
    score = data.get("score", 0)
    kind = document["type"].removeprefix("com.batuta.")
    usable = (
        _is_moment(document["time"])
        and type(score) is int
        and 0 <= score <= 10
        and (kind != "spend.recorded" or "amount" in data)
    )
    return (kind, document["id"], document) if usable else None


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def moment_of(text: str) -> datetime:
    """A moment as the vendors write it, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _day(text: str | None) -> date | None:
    return datetime.fromisoformat(text).astimezone(ZONE).date() if text else None


def _newest(rows: Iterable[Json], columns: Iterable[str], key: list[str], version: list[str]) -> Frame:
    """One row per key: that of the greatest version."""
    frame: Frame = pd.DataFrame(list(rows), columns=pd.Index(columns), dtype=object)
    return frame.sort_values(version, kind="stable").drop_duplicates(key, keep="last")


def _sales(told: list[tuple[str, Any, Json]]) -> tuple[Frame, Frame]:
    placed, refunds, moves, deleted = [], [], [], set[str]()
    for topic, triggered_at, body in told:
        if topic == "orders/delete":
            deleted.add(str(body["id"]))
        elif topic == "order_transactions/create":
            moves.append(_move(body, triggered_at))
        elif topic == "refunds/create":
            refunds.append(_refund(body, triggered_at))
            moves.extend(_move(part, triggered_at) for part in body["transactions"])
        else:
            placed.append(_order(body))
            for refund in body["refunds"]:
                refunds.append(_refund(refund, body["updated_at"]))
                moves.extend(_move(part, body["updated_at"]) for part in refund["transactions"])
    transactions = _newest(moves, ("id", "order", "kind", "status", "test", "told"), ["id"], ["told"])
    paid = transactions[
        transactions.kind.isin(["sale", "capture"])
        & (transactions.status == "success")
        & ~transactions.test.astype(bool)
    ]
    orders = _newest(
        placed, ("order", "customer", "day", "sold", "counts", "stands", "told"), ["order"], ["told"]
    )
    orders = orders[~orders.order.isin(deleted)]
    orders["is_sale"] = orders.counts.astype(bool)
    orders["wins"] = orders.stands.astype(bool) & orders.order.isin(paid.order)
    status = dict(zip(transactions.id, transactions.status, strict=True))
    booked = _newest(refunds, ("id", "order", "day", "back", "moves", "told"), ["id"], ["told"])
    failed = booked.moves.map(
        lambda ids: bool(ids) and all(status[move] in ("failure", "error") for move in ids)
    )
    return orders, booked[~failed.astype(bool)]


def _order(body: Json) -> Json:
    if body["currency"] != "BRL":
        raise ValueError(f"order {body['id']} is in {body['currency']}; only reais are reckoned with here")
    customer = (body.get("customer") or {}).get("id")
    mail = body.get("email") or body.get("contact_email") or (body.get("customer") or {}).get("email")
    sold = sum(
        (
            Decimal(line["price"]) * line["quantity"]
            - sum(Decimal(part["amount"]) for part in line["discount_allocations"])
            for line in body["line_items"]
            if not line["gift_card"]
        ),
        Decimal(0),
    )
    real = not body["test"]
    return {
        "order": str(body["id"]),
        "customer": f"account {customer}" if customer else f"mail {mail.strip().lower()}" if mail else None,
        "day": _day(body["processed_at"] or body["created_at"]),
        "sold": sold,
        "counts": real and body["financial_status"] != "voided",
        "stands": real and body["cancelled_at"] is None,
        "told": moment_of(body["updated_at"]),
    }


def _move(body: Json, told: str) -> Json:
    return {
        "id": str(body["id"]),
        "order": str(body["order_id"]),
        "kind": body["kind"],
        "status": body["status"],
        "test": body["test"],
        "told": moment_of(told),
    }


def _refund(body: Json, told: str) -> Json:
    goods = sum(
        Decimal(str(part["subtotal"]))
        for part in body["refund_line_items"]
        if not part["line_item"]["gift_card"]
    )
    corrected = sum(
        Decimal(str(part["amount"]))
        for part in body["order_adjustments"]
        if part["kind"] == "refund_discrepancy"
    )
    return {
        "id": str(body["id"]),
        "order": str(body["order_id"]),
        "day": _day(body["processed_at"] or body["created_at"]),
        "back": Decimal(goods - corrected),
        "moves": [str(part["id"]) for part in body["transactions"] if part["kind"] == "refund"],
        "told": moment_of(told),
    }


def _own(told: list[tuple[str, Any, Json]]) -> tuple[Frame, Frame, Frame]:
    spend, answers, invitations = [], [], []
    for kind, id, event in told:
        data, at = event["data"], moment_of(event["time"])
        if kind == "spend.recorded":
            spend.append(
                {
                    "id": (event["source"], data.get("spend_id", id)),
                    "start": date.fromisoformat(data["period_start"]),
                    "end": date.fromisoformat(data["period_end"]),
                    "kind": data["kind"],
                    "amount": Fraction(data["amount"]),
                    "told": at,
                }
            )
        elif kind in ("survey.answered", "survey.sent"):
            moment = data["answered_at" if kind == "survey.answered" else "sent_at"]
            person = {"survey": data["survey_id"], "respondent": data["respondent"].strip().lower()}
            dated = person | {"at": moment_of(moment), "day": _day(moment), "id": id}
            if kind == "survey.answered":
                answers.append(dated | {"score": data["score"]})
            else:
                invitations.append(dated)
    first: Frame = pd.DataFrame(invitations, columns=pd.Index(["survey", "respondent", "at", "day", "id"]))
    return (
        _newest(spend, ("id", "start", "end", "kind", "amount", "told"), ["id"], ["told"]),
        _newest(answers, ("survey", "respondent", "at", "day", "id", "score"), ["id"], ["at", "id"]),
        first.sort_values("at").drop_duplicates(["survey", "respondent"], keep="first"),
    )


def _engineering(told: list[tuple[str, Any, Json]]) -> tuple[Frame, Frame, Frame]:
    pulls, published, opened = [], [], []
    for topic, action, body in told:
        if topic == "pull_request":
            item = body["pull_request"]
            is_counted = item["user"]["type"] != "Bot" and (
                item["base"]["ref"] == body["repository"]["default_branch"]
            )
            merged_at = item["merged_at"] if is_counted else None
            pulls.append((item["number"], merged_at, moment_of(item["updated_at"])))
        elif topic == "release":
            item = body["release"]
            is_full = not item["draft"] and not item["prerelease"] and item["published_at"] is not None
            version = action == "deleted", moment_of(item["updated_at"]), is_full
            published.append((item["id"], item["published_at"], *version))
        elif topic == "issues":
            item = body["issue"]
            labels = {label["name"].lower() for label in item["labels"]}
            version = action in ("deleted", "transferred"), moment_of(item["updated_at"])
            opened.append(
                (
                    item["number"],
                    item["created_at"],
                    item["closed_at"],
                    bool(labels & INCIDENT_LABELS),
                    *version,
                )
            )
    merged = _latest(pulls, ("id", "merged", "told"), ["told"]).dropna(subset="merged")
    releases = _latest(published, ("id", "published", "gone", "told", "full"), ["gone", "told", "full"])
    releases = releases[releases.full.astype(bool) & ~releases.gone.astype(bool)]
    releases = pd.DataFrame(
        {"at": releases.published.map(moment_of), "day": releases.published.map(_day)}
    ).sort_values("at")
    issues = _latest(opened, ("id", "opened", "closed", "is_incident", "gone", "told"), ["gone", "told"])
    issues = issues[~issues.gone.astype(bool)]
    issues = issues.assign(day=issues.opened.map(_day), closed_day=issues.closed.map(_day))
    return _waits(merged, releases), releases, issues


def _latest(rows: list[tuple[Any, ...]], columns: tuple[str, ...], version: list[str]) -> Frame:
    return _newest((dict(zip(columns, row, strict=True)) for row in rows), columns, ["id"], version)


def _waits(merged: Frame, releases: Frame) -> Frame:
    """How long each merged change waited for its release, of those that were released."""
    found = []
    for at in merged.merged.map(moment_of):
        later = releases[releases["at"] >= at]
        if len(later):
            found.append((later.day.iloc[0], minutes_of(later["at"].iloc[0] - at)))
    return pd.DataFrame(found, columns=pd.Index(["day", "minutes"]))


def minutes_of(span: timedelta) -> int:
    """Whole minutes, a begun one counted."""
    return -(-span // MINUTE)
