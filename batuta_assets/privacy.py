"""What persons and shops ask for, carried out as a Dagster run.

Runs go in the lane of the marts' refresh: while one replaces a person's pseudonyms, no refresh copies them anew.
"""

from collections.abc import Callable
from typing import Any, Final

import dagster as dg

from batuta.errors import BatutaError
from batuta.warehouse.connection import Connection
from batuta_assets.runtime import Runtime, connector_to
from sensors.run_tags import refresh_tags

JOB: Final = "privacy_requests"
INTERVAL_S: Final = 60
TRIES: Final = 20

Connect = Callable[[], Connection]


class RequestsFailed(BatutaError):
    """A request could not be carried out."""


@dg.op(
    description="Forgets and tells what persons and shops asked for; each request is one transaction.",
    out=dg.Out(dg.Nothing),
)
def carry_out(context: dg.OpExecutionContext, runtime: Runtime) -> None:
    """Carry out all open requests; the run fails if one of them does."""
    from batuta.blob_store import open_blobs
    from batuta.keys import keys_for
    from batuta.privacy.requests import carry_out_requests

    settings = runtime.settings()
    with runtime.connect("owner") as conn:
        keys = keys_for(conn, settings.home)
        conn.commit()
        folders = (settings.reports_dir, settings.outbox_dir, settings.home / "quality")
        store = open_blobs(settings, keys)
        done = carry_out_requests(conn, keys, settings.home, runtime.now, store, folders=folders)
    for request in done:
        places = ", ".join(f"{place} {count}" for place, count in (request.counts or {}).items())
        context.log.info(
            "%s %s of %s: %s. %s", request.name, request.kind, request.product, request.state, places
        )
    failed = [request for request in done if request.state == "open"]
    if failed:
        raise RequestsFailed(
            "; ".join(f"{request.name}: {request.problem}" for request in failed),
            hint="Mend that; the request stays open and is tried again. `batuta privacy requests list` shows it.",
        )


def privacy_job() -> dg.JobDefinition:
    """The job, one run at a time and never beside a refresh of the marts."""

    @dg.job(
        name=JOB,
        tags=refresh_tags(),
        description="Carries out what persons and shops asked for (Shopify's privacy webhooks).",
    )
    def job() -> None:
        carry_out()

    return job


def privacy_sensor(job: dg.JobDefinition, connect: Connect | None = None) -> dg.SensorDefinition:
    """Asks for a run when a request has come, and again, ever more seldom, while one cannot be carried out."""
    opened = connect or connector_to("writer")

    @dg.sensor(
        name=f"{JOB}_sensor",
        job=job,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks for requests of persons and shops that are open.",
    )
    def look(_: dg.SensorEvaluationContext) -> Any:
        from batuta.privacy.requests import has_expired_disclosures, requests, take_up

        with opened() as conn:
            take_up(conn)
            found = [request for request in requests(conn) if request.attempts < TRIES]
            runtime = Runtime()
            expired = has_expired_disclosures(conn, runtime.settings().home, runtime.now())
        if expired and not found:
            return dg.RunRequest(run_key=f"expired-{runtime.now():%Y%m%d}")
        if not found:
            return dg.SkipReason("No request is open.")
        # One more try makes another key, so a run that failed is asked for again, and one that waits is not.
        key = "-".join(sorted(f"{request.name[:12]}.{request.attempts}" for request in found)[:8])
        return dg.RunRequest(run_key=f"{key}-{len(found)}")

    return look
