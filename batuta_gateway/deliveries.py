"""From a request to a verified delivery, and from an outcome to an answer: what both ways in share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from batuta.landing.model import Delivery
from batuta_gateway.answers import Refusal
from batuta_gateway.doors import Door
from batuta_gateway.intake import Settled
from sensors.connectors.protocol import Connector, NoSecret, Unsigned, Unverified

# A sender's credentials and address are no part of what it sent.
_PRIVATE_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "forwarded", "x-forwarded-for", "x-real-ip"}
)


# They choose how a delivery is read, which is for pulled deliveries alone to say.
_OWN_HEADERS: Final = "x-batuta-"


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """A request's headers by lower-case name; one that came twice is joined, and so is neither of the two.

    Headers of BATUTA's own are left out: no signature covers a header, so nobody outside may send them.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name = raw_name.decode("latin-1").lower()
        if name.startswith(_OWN_HEADERS):
            continue
        value = raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def require_media_type(headers: dict[str, str], connector: Connector) -> None:
    """Refuse, with 415, a content type the connector does not read."""
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if media_type.strip().lower() not in connector.MEDIA_TYPES or charset not in ("", "charset=utf-8"):
        raise Refusal(
            415,
            "unsupported_media_type",
            f"send Content-Type: {' or '.join(sorted(connector.MEDIA_TYPES))}, in UTF-8",
        )


def admit(door: Door, delivery: Delivery) -> Delivery:
    """The delivery, once its sender is proven or needs no proof.

    Raises:
        Refusal: 401 without a valid signature, 400 without the headers every delivery of this vendor has.
    """
    try:
        door.connector.verify(delivery, door.secrets)
    except (Unsigned, NoSecret) as error:
        if not door.accepts_unsigned:
            raise unauthorized(error) from None
    except Unverified as error:
        raise unauthorized(error) from None
    missing = [
        name.partition("|")[0]
        for name in door.connector.REQUIRED_HEADERS
        if not any(delivery.headers.get(spelling) for spelling in name.split("|"))
    ]
    if missing:
        raise Refusal(
            400, "missing_headers", f"the delivery lacks {', '.join(missing)}", details={"headers": missing}
        )
    return delivery


def as_kept(delivery: Delivery, trace: str) -> Delivery:
    """The delivery as it may be kept: without its sender's credentials and address, under our trace."""
    kept = {name: value for name, value in delivery.headers.items() if name not in _PRIVATE_HEADERS}
    kept["traceparent"] = trace
    return Delivery(
        delivery.product, delivery.connector, delivery.account, kept, delivery.body, delivery.received_at
    )


def unauthorized(error: Unverified) -> Refusal:
    """401. What is missing on our side is for the log, not for whoever asks."""
    if isinstance(error, NoSecret):
        return Refusal(401, "not_verifiable", "deliveries to this address cannot be verified yet")
    code = "unsigned" if isinstance(error, Unsigned) else "bad_signature"
    message = f"{error.message}; {error.hint}" if error.hint else error.message
    return Refusal(401, code, message)


def settled_document(settled: Settled) -> dict[str, Any]:
    """What became of one delivery, for its sender."""
    outcome = settled.outcome
    document: dict[str, Any] = {"status": "accepted" if settled.accepted else outcome.state}
    if settled.rejection is None:
        return document | ({"id": outcome.event_id} if outcome.event_id is not None else {})
    rejection = settled.rejection
    return document | {
        "id": outcome.quarantine_id,
        "reason_code": rejection.code,
        "field": rejection.field,
        "reason": rejection.message,
    }
