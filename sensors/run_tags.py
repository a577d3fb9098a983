"""The tags that runs of pipelines carry, and what they mean.

Values are names, dates, numbers and digests only: tags are kept in Dagster's storage and shown to every
operator.
"""

PIPELINE = "batuta/pipeline"
PRODUCT = "batuta/product"
LANE = "batuta/lane"
"""What runs one at a time: a pipeline of a product, or the refresh of the marts (`deploy/dagster.yaml`)."""
TRIGGER = "batuta/trigger"
"""Digest of the events that triggered the run."""
DUE_AT = "batuta/due_at"
"""The scheduled time (UTC) whose pipelines a refresh, and then a run, serves."""
BATCH_TO = "batuta/batch_to"
"""The last batch of the event log that the run takes; fixed by its first step."""
WORKER = "batuta/worker"
"""The process that executes the run."""
VENDOR = "batuta/vendor"
"""The connector whose vendor a run calls."""
WORK = "batuta/work"
"""What kind of work a run is, where there is a limit for the kind."""

REFRESH_JOB = "refresh_marts"


def job_name(pipeline: str) -> str:
    """The Dagster job of a pipeline."""
    return pipeline.replace("-", "_")


def pipeline_tags(pipeline: str, product: str) -> dict[str, str]:
    """The tags of every run of a pipeline for a product."""
    return {PIPELINE: pipeline, PRODUCT: product, LANE: f"{pipeline}/{product}"}


def refresh_tags() -> dict[str, str]:
    """The tags of every refresh of the marts."""
    return {LANE: REFRESH_JOB}


def backfill_tags(connector: str) -> dict[str, str]:
    """The tags of every backfill of a connector; whatever else is queued goes first."""
    return {VENDOR: connector, WORK: "backfill", "dagster/priority": "-1"}
