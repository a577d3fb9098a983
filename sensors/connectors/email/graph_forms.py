"""How a mail that came over Microsoft Graph, and what became of it, is read: the forms `graph` hands over.

A mail is known by its immutable id, which stays when it is moved; so one mailbox is one source, and a move is an
update.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from batuta.events.event import format_time
from batuta.landing.model import Candidate, Delivery, Rejected
from sensors.connectors.email.message import Place, read_message
from sensors.connectors.reading import build, json_object, moment_at, text_at

GRAPH_MESSAGE: Final = "graph-message"
GRAPH_PLACED: Final = "graph-placed"
GRAPH_FLAGS: Final = "graph-flags"
GRAPH_DELETED: Final = "graph-deleted"

_TYPE: Final = "com.avila.email."


def _received(delivery: Delivery) -> Candidate:
    from sensors.connectors.email import DATASET, NAME, entity_of

    headers = delivery.headers
    read = read_message(
        delivery.body,
        trusted=headers.get("trusted"),
        whole=headers.get("whole") != "no",
        kept=headers.get("kept") == "yes",
    )
    place = _place(delivery)
    moment = moment_at(headers, "received")
    event = build(
        id=f"{place.message}:{_version(delivery)}",
        source=_source(delivery),
        type=f"{_TYPE}received",
        time=moment or delivery.received_at,
        subject=place.message,
        data=read.data | place.data() | {"received_at": format_time(moment) if moment else None},
        extensions=None if moment else {"timebasis": "received"},
    )
    return Candidate(
        event=event,
        dataset=DATASET,
        connector=NAME,
        entity=entity_of(delivery, read.digest),
        version="received",
        hashed=frozenset({"source"}),
    )


def _changed(kind: str, change: str | None) -> Callable[[Delivery], Candidate]:
    """The reading of what became of a mail: body `{"at", "seen", "again"}`."""

    def read(delivery: Delivery) -> Candidate:
        from sensors.connectors.email import DATASET, NAME

        document = json_object(delivery.body)
        place = _place(delivery)
        moment = moment_at(document, "at")
        seen = moment is None or document.get("seen") is True
        again = text_at(document, "again")
        what = "deleted" if change is None else _version(delivery)
        event = build(
            id=f"{place.message}:{what}" + (f":{again}" if again else ""),
            source=_source(delivery),
            type=_TYPE + kind,
            time=moment or delivery.received_at,
            subject=place.message,
            data=place.data() | ({"change": change} if change else {}),
            extensions={"timebasis": "received"} if seen else None,
        )
        return Candidate(event=event, dataset=DATASET, connector=NAME, hashed=frozenset({"source"}))

    return read


def _place(delivery: Delivery) -> Place:
    headers = delivery.headers
    return Place(
        message=_header(headers, "message"),
        folder=headers.get("folder"),
        role=headers.get("role"),
        flags=tuple(headers.get("flags", "").split()),
    )


def _version(delivery: Delivery) -> str:
    return _header(delivery.headers, "version")


def _source(delivery: Delivery) -> str:
    """One source per mailbox; landing hashes what stands behind the host."""
    user = quote(_header(delivery.headers, "user").encode("utf-8", "replace"), safe="")
    return f"https://graph.microsoft.com/v1.0/users/{user}/messages"


def _header(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(name)
    if not isinstance(value, str) or not value:
        raise Rejected("headers", "is missing", field=name)
    return value


GRAPH_FORMS: Final[Mapping[str, Callable[[Delivery], Candidate]]] = MappingProxyType(
    {
        GRAPH_MESSAGE: _received,
        GRAPH_PLACED: _changed("updated", "place"),
        GRAPH_FLAGS: _changed("updated", "flags"),
        GRAPH_DELETED: _changed("deleted", None),
    }
)
