"""Deliveries of a plain test connector, and landing with keys of its own, for tests of the landing path."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from batuta.contracts.contract import Contracts
from batuta.events.event import Event
from batuta.keys import create_keys
from batuta.landing.land import Landing
from batuta.landing.model import Candidate, Delivery, Parsed, Rejected
from batuta.policy.decision import DefaultPolicy
from batuta.warehouse.connection import Connection

NOW = datetime(2025, 11, 12, 9, 30, tzinfo=UTC)
CONTRACTS = Contracts.load()


def open_landing(home: Path) -> Landing:
    """Landing with the shipped contracts and the keys of `home`, made if need be."""
    return Landing(CONTRACTS, DefaultPolicy(), create_keys(home), lambda: NOW)


def answer(
    number: int, *, version: int = 0, score: Any = 9, product: str = "arcsat", **data: Any
) -> Delivery:
    """A survey answer; `number` and `version` name the event, `number` alone the entity."""
    document = {
        "id": f"{number}-{version}",
        "number": number,
        "version": version,
        "data": {
            "survey_id": "nps",
            "respondent": f"person-{number}@example.com",
            "score": score,
            "answered_at": "2025-11-12T09:00:00Z",
            "channel": "mail",
        }
        | data,
    }
    return Delivery(product, "trial", None, {}, orjson.dumps(document), NOW)


def raw_answer(body: bytes) -> Delivery:
    """A delivery of these bytes."""
    return Delivery("arcsat", "trial", None, {}, body, NOW)


def parse(delivery: Delivery) -> Parsed:
    """Read what `answer` wrote; a body `skip` is filtered."""
    if delivery.body == b"skip":
        return Parsed((), "surveys", filtered=1)
    try:
        document = orjson.loads(delivery.body)
    except orjson.JSONDecodeError:
        raise Rejected("json", "the body is not valid JSON") from None
    documents = document if isinstance(document, list) else [document]
    return Parsed(tuple(_candidate(item) for item in documents), "surveys")


def _candidate(document: dict[str, Any]) -> Candidate:
    event = Event.create(
        id=document["id"],
        source="trial",
        type=document.get("type", "com.batuta.survey.answered"),
        time="2025-11-12T09:00:00Z",
        data=document["data"],
        parsed=True,
    )
    return Candidate(event, "surveys", "trial", str(document["number"]), str(document["version"]))


def stored(conn: Connection) -> list[str]:
    """Ids in the log, sorted; a doubled event would show twice."""
    rows = conn.execute("select id from batuta.events order by id").fetchall()
    conn.rollback()
    return [row[0] for row in rows]


def ids(deliveries: Iterable[Delivery]) -> list[str]:
    """Distinct ids of deliveries that `answer` made, sorted."""
    return sorted({orjson.loads(delivery.body)["id"] for delivery in deliveries})
