"""Change notifications of Microsoft Graph: the handshake of an address, the proof of a sender, and what is read.

They carry no signature: each item of a batch repeats the `clientState` that its subscription was made with, and that is
the account's secret. A notification is a wake-up and nothing more; what has changed is asked for with delta.
Protocol: learn.microsoft.com/graph/change-notifications-delivery-webhooks and -lifecycle-events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from batuta.landing.model import Delivery, Parsed, Rejected
from sensors.connectors import signature
from sensors.connectors.protocol import Asked, BadSignature, Reply, Unsigned
from sensors.connectors.reading import JsonObject, json_object, text_at

ACCEPTED: Final = 202
MEDIA_TYPES: Final = frozenset({"application/json"})
LIFECYCLE: Final = frozenset({"reauthorizationRequired", "subscriptionRemoved", "missed"})
MAX_CLIENT_STATE: Final = 128

_TOKEN: Final = "validationToken"  # noqa: S105 - a parameter's name
_MAX_TOKEN: Final = 4096


def handshake(asked: Asked) -> Reply | None:
    """The answer to a validation request: its token, as plain text; None where the request is none.

    Microsoft sends it while a subscription is made, once for each address, and gives ten seconds.
    """
    token = asked.query.get(_TOKEN)
    if asked.method != "POST" or not token:
        return None
    if len(token) > _MAX_TOKEN:
        return Reply(400, b"the validation token is too long")
    return Reply(200, token.encode("utf-8", "replace"))


def client_state(secret: bytes) -> str | None:
    """The secret as a subscription carries it; None if Graph does not take it (at most 128 characters)."""
    try:
        text = secret.decode("ascii")
    except UnicodeDecodeError:
        return None
    return text if 0 < len(text) <= MAX_CLIENT_STATE and text.isprintable() else None


def verify(delivery: Delivery, secrets: Sequence[bytes]) -> None:
    """Check the client state of every notification of the batch, in constant time; any of the secrets will do.

    Raises:
        Unsigned, BadSignature, NoSecret: see `Connector.verify`.
    """
    signature.require_secrets(secrets)
    try:
        items = _items(delivery)
    except Rejected:
        raise Unsigned("the delivery is no batch of notifications, so nothing proves its sender") from None
    if not items:
        raise Unsigned("the batch has no notification, so nothing proves its sender")
    proven = True
    for item in items:
        presented = item.get("clientState")
        if not isinstance(presented, str):
            raise Unsigned("a notification of the batch has no clientState")
        state = presented.encode("utf-8", "surrogatepass")
        matched = False
        for secret in secrets:
            matched |= signature.equal(state, secret)
        proven &= matched
    if not proven:
        raise BadSignature(
            "the clientState of a notification is none of the account's secrets",
            hint="after the secret was changed, keep the old one beside it until the subscriptions are made anew",
        )


def parse(delivery: Delivery, dataset: str) -> Parsed:
    """Read a batch: nothing lands, the account is woken, every notification is counted.

    Raises:
        Rejected: the body is no batch of notifications.
    """
    items = _items(delivery)
    lifecycle = sorted({event for item in items if (event := text_at(item, "lifecycleEvent")) in LIFECYCLE})
    note = f"notification: {', '.join(lifecycle)}" if lifecycle else "notification"
    return Parsed(candidates=(), dataset=dataset, filtered=len(items), note=note, wakes=bool(items))


def _items(delivery: Delivery) -> list[JsonObject]:
    items = json_object(delivery.body).get("value")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Rejected("shape", "must be a list of notifications", field="value")
    return items
