"""Launches pipelines when events land: the way from a commit to a run that does not wait for a tick.

The database tells of every batch. The listener claims the windows that are due (`sensors/claims.py`), creates
each one's run under an id derived from the window, and submits it. Whatever it leaves undone when it dies, the
trigger sensor or the next listener finds as an open window and does: a window has one run, because the storage
takes only one; the run is submitted once, because the coordinator looks before it does.

It is forked by the warm process (`warm.py`), and ends with it.
"""

import os
import select
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

import dagster as dg
import psycopg
from sqlalchemy.exc import DBAPIError

from batuta.errors import BatutaError
from batuta.landing.reader import last_batch
from batuta.settings import get_settings
from batuta_assets import compat
from batuta_assets.gates import structural_problem
from batuta_assets.partitions import products
from batuta_assets.runtime import Runtime
from batuta_assets.warm_load import Loaded
from sensors.claims import SENSOR, Open, TriggerPosition, claim_due, open_windows, window_request
from sensors.jobs import job_names, pipeline_jobs
from sensors.triggers import CHANNEL, Trigger, Window, be_the_listener, mark_launched, triggers

RUN_IDS: Final = UUID("0d9f2b52-7f5c-4f55-9d3c-0a3c1e6b8a41")
"""Namespace of the ids of triggered runs."""
LOOK_S: Final = 5.0
"""How often it looks without having been told."""
STALLED_S: Final = 15.0
"""How long a run that was promised a process may be without one before it is promised another."""


def run_id_of(window: Window) -> str:
    """The id of a window's run."""
    return str(uuid5(RUN_IDS, window.digest))


@dataclass
class Listener:
    """One look after the other: what is due is launched."""

    loaded: Loaded
    instance: dg.DagsterInstance
    conn: psycopg.Connection[Any]
    """Acts as writer, in autocommit."""
    listed: tuple[Trigger, ...] = field(init=False)
    position: TriggerPosition = field(init=False)
    job_of: dict[str, str] = field(init=False)
    """The job of each pipeline."""

    def __post_init__(self) -> None:
        self.job_of = job_names(pipeline_jobs(self.loaded.graph))
        self.listed = triggers(self.loaded.graph)
        self.position = TriggerPosition.parse(None, self.listed)

    def look(self) -> None:
        """Launch what is due now, and what an earlier listener or a tick has left."""
        if self.loaded.changed() or self._is_stopped():
            return
        now = datetime.now(UTC)
        found = open_windows(self.conn, self.instance)
        claims = claim_due(
            *(self.conn, self.instance, self.listed, self.position, last_batch(self.conn)),
            gate=structural_problem,
            taken=[o.window for o in found],
            now=now,
        )
        self.position = claims.position
        for left in found:
            self.take_up(left, now)
        for window in claims.windows:
            self.launch(window)

    def take_up(self, left: Open, now: datetime) -> None:
        """Go on where somebody has stopped."""
        if left.run is None or left.run.status == dg.DagsterRunStatus.NOT_STARTED:
            self.launch(left.window)
        elif (now - left.window.requested_at).total_seconds() > STALLED_S:
            self.instance.run_launcher.launch_run(compat.LaunchRunContext(left.run, None))

    def launch(self, window: Window) -> None:
        """Create the run of a window, submit it, and record it."""
        zone = next(
            (t.timezone for t in self.listed if (t.pipeline, t.product) == (window.pipeline, window.product)),
            None,
        )
        if zone is None:
            return
        run_id = self.create(window_request(window, zone, self.job_of[window.pipeline]), run_id_of(window))
        self.submit(run_id)
        mark_launched(self.conn, window.digest, run_id)

    def create(self, request: dg.RunRequest, run_id: str) -> str:
        """Create the run that is asked for, as the daemon would; the id of the one there is, if there is one."""
        job = self.loaded.jobs[str(request.job_name)]
        product = request.tags["batuta/product"]
        if not self.instance.has_dynamic_partition(str(products.name), product):
            self.instance.add_dynamic_partitions(str(products.name), [product])
        resolved = request.with_resolved_tags_and_config(job.definition, [], self.instance)
        tags = {
            **job.definition.run_tags,
            **resolved.tags,
            compat.SENSOR_NAME_TAG: SENSOR,
            compat.RUN_KEY_TAG: str(request.run_key),
        }
        try:
            compat.create_run(
                self.instance, job.definition, run_id, tags, job.plan, job.code_origin, job.remote_origin
            )
        except compat.DagsterRunAlreadyExists:
            wanted = dg.RunsFilter(tags={compat.RUN_KEY_TAG: str(request.run_key)})
            return next((run.run_id for run in self.instance.get_runs(filters=wanted, limit=1)), run_id)
        return run_id

    def submit(self, run_id: str) -> None:
        """Have the run launched, or queued where there is no place; once, whoever else submits it."""
        compat.submit_run(self.instance, run_id)

    def _is_stopped(self) -> bool:
        """Whether somebody has stopped the trigger sensor by hand; what it does is then not wanted here either."""
        states = self.instance.all_instigator_state(instigator_type=compat.InstigatorType.SENSOR)
        return any(s.name == SENSOR and s.status == compat.InstigatorStatus.STOPPED for s in states)


def listen(loaded: Loaded, ears: int) -> int:
    """Launch what lands until the warm process ends, which closes its end of the pipe `ears`.

    Returns:
        0 at the end of the warm process; 1 where a database went away, to be begun anew.
    """
    home = get_settings().home / "dagster"
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance, Runtime().connect("writer") as conn:
            conn.autocommit = True
            conn.execute(f"listen {CHANNEL}".encode())
            listener, known = Listener(loaded, instance, conn), False
            while True:
                known = known or be_the_listener(conn)
                listener.look()
                if not wait(conn, ears):
                    return 0
    except (psycopg.OperationalError, DBAPIError, BatutaError) as error:
        sys.stderr.write(f"{datetime.now(UTC):%FT%TZ} the listener begins anew: {error}\n")
        return 1


def wait(conn: psycopg.Connection[Any], ears: int) -> bool:
    """Wait for a batch or the end of a run, no longer than `LOOK_S`; False at the end of the warm process."""
    deadline = time.monotonic() + LOOK_S
    if list(conn.notifies(timeout=0)):
        return True
    ready, _, _ = select.select([conn, ears], [], [], max(0.0, deadline - time.monotonic()))
    if conn in ready:
        list(conn.notifies(timeout=0))
    return ears not in ready or bool(os.read(ears, 4096))
