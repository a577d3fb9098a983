"""What retention does, step by step: whose events go after how long, what each step came to, and the record of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

import psycopg

from batuta.manifests.graph import CompiledGraph
from batuta.policy.retention import days_kept, retention_policy

Place: TypeAlias = Literal["log", "kept_events", "quarantine", "contents"]


@dataclass(frozen=True, slots=True)
class Period:
    """How long one product's events stay, by the policy of that name."""

    product: str
    policy: str

    def cutoff(self, now: datetime) -> datetime:
        """What was received before this moment may go."""
        return now - timedelta(days=days_kept(self.policy))


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of the log that remembers a batch number, under this name in `batuta.cursors`."""

    consumer: str
    product: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one product's share of a chunk, of the kept events, of quarantine or of their contents comes to.

    Attributes:
        place: Where the rows were.
        product: Whose they are.
        policy: Why they go.
        chunk_from: Start of the chunk, by `received_at`; None for other places.
        chunk_to: Its end, not included.
        found: Rows there are.
        kept: Rows that stay: from the log they move to `batuta.kept_events`.
        removed: Rows that go; of quarantine, those whose content goes.
        waits_for: Why nothing is done this time; None where it is, or was, done.
    """

    place: Place
    product: str
    policy: str
    chunk_from: datetime | None
    chunk_to: datetime | None
    found: int
    kept: int
    removed: int
    waits_for: str | None = None


def periods_of(graph: CompiledGraph) -> tuple[Period, ...]:
    """The products whose policies name a retention; the events of all others are kept for good."""
    named = ((product.name, retention_policy(product.policies)) for product in graph.products)
    return tuple(Period(product, policy) for product, policy in named if policy is not None)


def readers_of(graph: CompiledGraph, embedder: str) -> tuple[Reader, ...]:
    """The readers that the manifests in force give work to.

    Args:
        graph: The compiled manifests.
        embedder: The consumer name of `vector.embed`.
    """
    found: dict[Reader, None] = {}
    for pipeline in graph.pipelines:
        for product in pipeline.products:
            found[Reader(f"pipeline:{pipeline.name}", product)] = None
            if any(step.kind == "vector" for step in pipeline.steps):
                found[Reader(embedder, product)] = None
    return tuple(found)


def record(conn: psycopg.Connection[Any], steps: Iterable[Step], at: datetime) -> None:
    """Keep what was done; steps that wait are none."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into batuta.retention_steps
                (place, product, policy, chunk_from, chunk_to, rows_found, rows_kept, rows_removed, done_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (s.place, s.product, s.policy, s.chunk_from, s.chunk_to, s.found, s.kept, s.removed, at)
                for s in steps
                if s.waits_for is None
            ],
        )
