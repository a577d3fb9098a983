"""Committing a page as one transaction, and delivery by delivery where one of them is more than the database takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import psycopg

from batuta.landing.land import Landing
from batuta.landing.model import Delivery, LandingCounts, PageSides, Parse, Rejected, Way
from batuta.landing.store import LandingFailed
from batuta.telemetry import get_logger
from batuta.warehouse.connection import Connection

# SQLSTATE class of limits a single row can run into, such as the size of an index entry.
_LIMIT_EXCEEDED: Final = "54"

_log = get_logger(__name__)


def commit_page(
    landing: Landing,
    conn: Connection,
    deliveries: Sequence[Delivery],
    parse: Parse,
    sides: PageSides,
    *,
    way: Way,
) -> LandingCounts:
    """Land a page with its position and known items.

    A page with a delivery that cannot be stored is taken apart: that one is held in quarantine, the others land, and
    the position moves last, so that a crash in between repeats and loses nothing.

    Raises:
        LandingFailed, KeysMismatch: the database is the trouble, not the page.
    """
    try:
        return landing.commit_page(conn, deliveries, parse, sides, way=way)
    except LandingFailed as error:
        if not _is_to_blame(error.__cause__):
            raise
        _log.warning("page taken apart", kind=type(error.__cause__).__name__, deliveries=len(deliveries))
    counts = sum((_land_alone(landing, conn, one, parse, way) for one in deliveries), LandingCounts())
    # What landed one by one is not counted against the source again.
    count = replace(sides.count, counted=0) if sides.count is not None else None
    return counts + landing.commit_page(conn, (), parse, replace(sides, count=count), way=way)


def _land_alone(
    landing: Landing, conn: Connection, delivery: Delivery, parse: Parse, way: Way
) -> LandingCounts:
    try:
        outcomes = landing.commit(conn, [landing.prepare(delivery, parse)], way=way)
    except LandingFailed as error:
        if not _is_to_blame(error.__cause__):
            raise
        kind = type(error.__cause__).__name__
        refusal = Rejected("storing", f"the database cannot store it ({kind})")
        outcomes = landing.commit(conn, [landing.refuse(delivery, refusal)], way=way)
    return sum((outcome.counts for outcome in outcomes), LandingCounts())


def _is_to_blame(cause: BaseException | None) -> bool:
    """Whether a row can be the cause of this, rather than the server."""
    if isinstance(cause, psycopg.DataError | psycopg.IntegrityError):
        return True
    return isinstance(cause, psycopg.Error) and (cause.sqlstate or "").startswith(_LIMIT_EXCEEDED)
