"""Reading a drive by delta: pages, then what a full enumeration did not show, then what follows from changed folders.

What a page tells is announced with that page, as far as the folders above it are known. The rest waits for the end of
the round, since Graph's order is not to be relied on: a folder is not taken for gone, with all that lies in it, before
every page has been read that might tell that something was moved out of it.
Protocol: learn.microsoft.com/graph/api/driveitem-delta (410 with Location: enumerate anew, what is absent is deleted).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from sensors.connectors.graph import client, subscriptions
from sensors.connectors.graph.client import Graph, document
from sensors.connectors.onedrive.changes import Announcer
from sensors.connectors.onedrive.place import RESYNCS_AT_MOST, Place
from sensors.connectors.onedrive.rounds import NextPage, Round
from sensors.connectors.onedrive.settings import OneDriveSettings
from sensors.connectors.onedrive.tree import SELECTED
from sensors.connectors.onedrive.window import Reading
from sensors.connectors.pulling import (
    Account,
    Answer,
    Gone,
    Page,
    SourceFailed,
    Subscription,
    Tools,
    Window,
)
from sensors.connectors.reading import text_at

POLL_SECONDS: Final = 300
limits: Final = client.limits
_ANEW: Final = frozenset({400, 404, 410})


def poll(account: Account, position: Any, tools: Tools) -> Iterator[Page]:
    """One round of delta: from where the last one ended to the drive's present state."""
    settings = settings_of(account)
    graph = Graph(account, settings, tools)
    place = _begin(graph, settings, position)
    while tools.time_left() > 0:
        announcer = Announcer(account, settings, tools.clock())
        round = Round(announcer, tools.known, place)
        if place.phase == "read":
            page = _read(graph, settings, place, round)
        elif place.phase == "sweep":
            page = round.sweep()
        else:
            page = round.settle()
        led_astray = round.place.resyncs > max(place.resyncs, RESYNCS_AT_MOST)
        place = round.place
        yield page
        if led_astray:
            raise SourceFailed(
                "Microsoft Graph leads in a circle through the drive, from its beginning on",
                hint="It is tried again later; what was read stays. Look for an incident in Microsoft 365.",
            )
        if round.over:
            return


def backfill(account: Account, window: Window, position: Any, tools: Tools) -> Iterator[Page]:
    """The files that were last modified within the window, out of a full enumeration; see `Reading`."""
    settings = settings_of(account)
    graph = Graph(account, settings, tools)
    drive = _drive(graph, settings)
    reading = Reading(account, settings, graph, tools, drive, start_link(graph, settings))
    yield from reading.pages(window, position)


def audit(account: Account, tools: Tools) -> tuple[Subscription, ...]:
    """See to the drive's subscription."""
    settings = settings_of(account)
    if not settings.notifications:
        return ()
    lifetime = timedelta(minutes=settings.subscription_minutes)
    wanted = subscriptions.Wanted("drive", f"{settings.drive}/root", "updated", lifetime)
    return subscriptions.audit(Graph(account, settings, tools), account, tools, (wanted,))


def settings_of(account: Account) -> OneDriveSettings:
    """The settings of a drive's account."""
    assert isinstance(account.settings, OneDriveSettings)
    return account.settings


def start_link(graph: Graph, settings: OneDriveSettings) -> str:
    """Where a full enumeration begins."""
    return f"{graph.address(settings.drive)}/root/delta?{urlencode({'$select': SELECTED}, safe='$,')}"


def _begin(graph: Graph, settings: OneDriveSettings, position: Any) -> Place:
    """The place a position holds; the beginning for none, and for one of another drive."""
    start = start_link(graph, settings)
    if not isinstance(position, dict):
        drive = _drive(graph, settings)
        return Place(settings.drive, drive, start, full=not settings.saved, orphans=settings.saved)
    place = Place.from_json(position)
    if place.of != settings.drive:
        return Place(settings.drive, _drive(graph, settings), start, scan=place.scan + 1)
    return place


def _drive(graph: Graph, settings: OneDriveSettings) -> str:
    answer = graph.ask("GET", f"{graph.address(settings.drive)}?$select=id", expect=(200, 404))
    identity = text_at(document(answer), "id") if answer.status == 200 else None
    if identity is None:
        raise Gone(
            f"Microsoft Graph knows no drive of this account ({answer.status})",
            hint="Correct settings.drive in the product's manifest, then apply it again.",
        )
    return identity


def _read(graph: Graph, settings: OneDriveSettings, place: Place, round: Round) -> Page:
    """One page of the delta."""
    start = start_link(graph, settings)
    answer = graph.ask("GET", place.link, expect=(200, *_ANEW))
    if answer.status in _ANEW:
        if answer.status == 404 and place.link == start:
            raise Gone(
                "Microsoft Graph knows no drive of this account (404)",
                hint="Correct settings.drive in the product's manifest, then apply it again.",
            )
        return round.anew(_location(graph, answer) or start, "Graph asks for a full enumeration")
    return round.read(document(answer), NextPage(start, graph.owns))


def _location(graph: Graph, answer: Answer) -> str | None:
    """Where Graph wants the enumeration to begin."""
    location = answer.headers.get("location")
    return location if graph.owns(location) else None
