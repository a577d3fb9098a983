"""The subscriptions by which Graph wakes an account: made, renewed, and made anew where they are gone.

Nothing of them is kept here: Graph is asked which there are, and ours are those that lead to the account's own address.
The address carries a mark of the secret they were made with, so that a changed secret gets a subscription of its own.
Protocol: learn.microsoft.com/graph/api/resources/subscription.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from batuta.events.event import format_time
from sensors.connectors.graph.client import Graph, document, error_code
from sensors.connectors.graph.notifications import client_state
from sensors.connectors.graph.paging import Chain, Circular
from sensors.connectors.pulling import Account, SourceFailed, Subscription, SubscriptionState, Tools
from sensors.connectors.reading import JsonObject, moment_at, text_at

_PATH: Final = "subscriptions"
_REFUSED: Final = frozenset({400, 402, 403, 404, 409})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A subscription that ought to be there.

    Attributes:
        name: What it is called here.
        resource: What it watches, as Graph names it.
        changes: `changeType`; a drive knows `updated` only.
        lifetime: How long it is asked for; at half of it, by what Graph answered, it is renewed.
    """

    name: str
    resource: str
    changes: str
    lifetime: timedelta


class _Refused(Exception):
    """Graph does not make, renew or list a subscription; says why."""

    def __init__(self, answer_code: str, status: int) -> None:
        super().__init__(f"Microsoft Graph answers {status} {answer_code}".rstrip())
        self.status = status


def audit(graph: Graph, account: Account, tools: Tools, wanted: Sequence[Wanted]) -> tuple[Subscription, ...]:
    """See that each wanted subscription is there for long enough, and say how each stands.

    Nothing where no address of ours is known (`BATUTA_PUBLIC_URL`): then nobody can wake the account, and it is polled.
    """
    if account.webhook_address() is None:
        return ()
    unable = _unable(account)
    if unable is not None:
        return tuple(Subscription(want.name, "disabled", unable) for want in wanted)
    address = _address(account)
    try:
        ours = [found for found in _all(graph) if _leads_here(found, account)]
    except _Refused as refused:
        return tuple(Subscription(want.name, "failing", str(refused)) for want in wanted)
    audited = tuple(_audited(graph, account, tools.clock(), want, ours, address) for want in wanted)
    _drop_stale(graph, [found for found in ours if text_at(found, "notificationUrl") != address])
    return audited


def _unable(account: Account) -> str | None:
    """Why there can be no subscription, as a sentence; None if there can."""
    if not account.secrets:
        return (
            account.lacks
            or "no secret: name one under secretRefs, which notifications will repeat as clientState"
        )
    if client_state(account.secrets[0]) is None:
        return "the first secret cannot be a clientState: use at most 128 printable ASCII characters"
    return None


def _address(account: Account) -> str:
    mark = hashlib.sha256(b"batuta subscription\x00" + account.secrets[0]).hexdigest()[:8]
    return f"{account.webhook_address()}?secret={mark}"


def _leads_here(found: JsonObject, account: Account) -> bool:
    return (text_at(found, "notificationUrl") or "").partition("?")[0] == account.webhook_address()


def _all(graph: Graph) -> Iterator[JsonObject]:
    """Every subscription of the app (and person) that asks."""
    link: str | None = graph.address(_PATH)
    chain = Chain()
    while link is not None:
        try:
            chain = chain.next(link)
        except Circular:
            return
        answer = graph.ask("GET", link, expect=(200, *_REFUSED))
        if answer.status != 200:
            raise _Refused(error_code(answer), answer.status)
        listed = document(answer)
        values = listed.get("value")
        yield from (found for found in values if isinstance(found, dict)) if isinstance(values, list) else ()
        following = listed.get("@odata.nextLink")
        link = following if isinstance(following, str) and graph.owns(following) else None


def _audited(
    graph: Graph,
    account: Account,
    now: datetime,
    want: Wanted,
    ours: Sequence[JsonObject],
    address: str,
) -> Subscription:
    here = [
        found
        for found in ours
        if _plain(found.get("resource")) == _plain(want.resource)
        and text_at(found, "notificationUrl") == address
    ]
    try:
        for found in here:
            kept = _kept(graph, now, want, found)
            if kept is not None:
                return kept
        return _created(graph, account, now, want, address)
    except _Refused as refused:
        detail = (
            f"{refused}: give the app the right to read {want.resource}, and let Microsoft reach {address}"
        )
        return Subscription(want.name, "failing", detail)


def _kept(graph: Graph, now: datetime, want: Wanted, found: JsonObject) -> Subscription | None:
    """The subscription if it still lives, renewed if half of its time is over; None if it is gone.

    One that needs no renewal is re-authorized, which is what Graph's `reauthorizationRequired` asks for.
    """
    identity = text_at(found, "id")
    expires = moment_at(found, "expirationDateTime")
    if identity is None or expires is None or expires <= now:
        return None
    url = graph.address(f"{_PATH}/{identity}")
    if expires - now > want.lifetime / 2:
        answer = graph.ask("POST", f"{url}/reauthorize", expect=(200, 202, 204, *_REFUSED))
        return None if answer.status == 404 else _told(want, "active", found)
    until = format_time(now + want.lifetime)
    answer = graph.ask("PATCH", url, json={"expirationDateTime": until}, expect=(200, *_REFUSED))
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise _Refused(error_code(answer), answer.status)
    return _told(want, "renewed", document(answer))


def _created(graph: Graph, account: Account, now: datetime, want: Wanted, address: str) -> Subscription:
    asked: Mapping[str, Any] = {
        "changeType": want.changes,
        "notificationUrl": address,
        "lifecycleNotificationUrl": address,
        "resource": want.resource,
        "expirationDateTime": format_time(now + want.lifetime),
        "clientState": client_state(account.secrets[0]),
    }
    answer = graph.ask("POST", graph.address(_PATH), json=asked, expect=(200, 201, *_REFUSED))
    if answer.status not in (200, 201):
        raise _Refused(error_code(answer), answer.status)
    return _told(want, "created", document(answer))


def _drop_stale(graph: Graph, stale: Sequence[JsonObject]) -> None:
    """Delete subscriptions made with a secret that is no longer the first."""
    for found in stale:
        identity = text_at(found, "id")
        if identity is not None:
            try:
                graph.ask("DELETE", graph.address(f"{_PATH}/{identity}"), expect=(200, 204, *_REFUSED))
            except SourceFailed:
                return


def _told(want: Wanted, state: SubscriptionState, found: JsonObject) -> Subscription:
    return Subscription(
        want.name,
        state,
        expires_at=moment_at(found, "expirationDateTime"),
        reference={"id": text_at(found, "id")},
    )


def _plain(resource: object) -> str:
    return resource.strip("/").lower() if isinstance(resource, str) else ""
