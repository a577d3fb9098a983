"""Which windows are to be launched now: what the trigger sensor and the listener have in common.

Both look at the same rows and either may be killed at any moment. A window is claimed before its run is asked
for, and its digest is the run's key, so that asking twice gives one run.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

import dagster as dg
import psycopg

from batuta.quality.breaks import blocked
from sensors import run_tags
from sensors.triggers import Trigger, Window, claim, concerned, mark_launched, requested

Gate: TypeAlias = Callable[[psycopg.Connection[Any]], str | None]
"""Why nothing may run on the marts at present; None where it may."""

NEVER_REFRESHED: Final = "the marts have never been refreshed"
SENSOR: Final = "event_triggers"
ACTIVE: Final = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@dataclass(frozen=True, slots=True)
class TriggerPosition:
    """How far the log has been looked through, and which triggers wait for a run to end or a gate to open."""

    scanned: int
    waiting: frozenset[str]

    @classmethod
    def parse(cls, cursor: str | None, among: Iterable[Trigger]) -> "TriggerPosition":
        """Read a cursor; without one every trigger is looked at once, from its own cursor."""
        try:
            document = json.loads(cursor or "")
            return cls(int(document["scanned"]), frozenset(map(str, document["waiting"])))
        except (ValueError, KeyError, TypeError):
            return cls(-1, frozenset(trigger.name for trigger in among))

    def text(self) -> str:
        """The cursor to keep."""
        return json.dumps({"scanned": self.scanned, "waiting": sorted(self.waiting)})


@dataclass(frozen=True, slots=True)
class Open:
    """A window whose run has not been seen at work, and that run where there is one."""

    window: Window
    run: dg.DagsterRun | None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a look at the log gave."""

    windows: tuple[Window, ...]
    """To be launched now."""
    position: TriggerPosition
    closed: str | None
    """Why nothing may run, where something would."""
    held: Mapping[str, str] = field(default_factory=dict[str, str])
    """By trigger, which broken data contract it waits for."""

    def why_nothing(self) -> str:
        """What to say when there is nothing to launch."""
        if self.closed:
            return f"held back: {', '.join(sorted(self.position.waiting))}: {self.closed}"
        if self.held:
            return "held back: " + "; ".join(f"{name}: {why}" for name, why in sorted(self.held.items()))
        if self.position.waiting:
            return f"waiting for the active run of {', '.join(sorted(self.position.waiting))}"
        return f"no event that triggers a pipeline up to batch {self.position.scanned}"


def open_windows(conn: psycopg.Connection[Any], instance: dg.DagsterInstance) -> list[Open]:
    """The windows whose run is still to be launched; those whose run is at work are recorded as launched."""
    found: list[Open] = []
    for window in requested(conn):
        runs = instance.get_runs(filters=dg.RunsFilter(tags={run_tags.TRIGGER: window.digest}), limit=1)
        run = runs[0] if runs else None
        if run is None or is_stuck(run):
            found.append(Open(window, run))
        else:
            mark_launched(conn, window.digest, run.run_id)
    conn.commit()
    return found


def is_stuck(run: dg.DagsterRun) -> bool:
    """Whether a run was created or promised a process, and none has said that it works on it."""
    promised = run.status == dg.DagsterRunStatus.STARTING and run_tags.WORKER not in run.tags
    return promised or run.status == dg.DagsterRunStatus.NOT_STARTED


def claim_due(
    conn: psycopg.Connection[Any],
    instance: dg.DagsterInstance,
    listed: Sequence[Trigger],
    position: TriggerPosition,
    end: int,
    *,
    gate: Gate,
    taken: Collection[Window],
    now: datetime,
) -> Claims:
    """Claim a window for each trigger that has news, is not running, and may run.

    Args:
        conn: Acts as writer.
        instance: Knows the active runs.
        listed: Every trigger.
        position: Where the last look ended.
        end: The batch up to which events are taken.
        gate: Holds everything back while it gives a reason.
        taken: Windows that are open already; their triggers wait.
        now: When the windows are claimed.
    """
    news = concerned(conn, listed, min(position.scanned, end), end)
    restored = end < position.scanned
    waiting = position.waiting | {t.name for t in (listed if restored else news)}
    candidates = [t for t in listed if t.name in waiting]
    closed = gate(conn) if candidates else None
    broken = blocked(conn) if candidates and not closed else []
    held: dict[str, str] = {}
    busy = {(window.pipeline, window.product) for window in taken}
    windows, left = list[Window](), set[str]()
    for trigger in candidates:
        if closed or (trigger.pipeline, trigger.product) in busy or _is_active(instance, trigger):
            left.add(trigger.name)
        elif (
            found := next((b for b in broken if b.concerns(trigger.product, trigger.sources)), None)
        ) is not None:
            left.add(trigger.name)
            held[trigger.name] = found.reason
        elif (window := claim(conn, trigger, end, now)) is not None:
            windows.append(window)
    return Claims(tuple(windows), TriggerPosition(end, frozenset(left)), closed, held)


def window_request(window: Window, timezone: str, job: str) -> dg.RunRequest:
    """The run of a window by the pipeline's job; its digest is the run key, so asking twice gives one run."""
    return dg.RunRequest(
        job_name=job,
        run_key=window.digest,
        partition_key=dg.MultiPartitionKey(
            {"day": window.day(timezone).isoformat(), "product": window.product}
        ),
        tags={**run_tags.pipeline_tags(window.pipeline, window.product), run_tags.TRIGGER: window.digest},
    )


def _is_active(instance: dg.DagsterInstance, trigger: Trigger) -> bool:
    tags = {run_tags.PIPELINE: trigger.pipeline, run_tags.PRODUCT: trigger.product}
    return bool(instance.get_runs(filters=dg.RunsFilter(statuses=list(ACTIVE), tags=tags), limit=1))
