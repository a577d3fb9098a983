-- One row per Dagster run that has ended.
select
    run_id,
    number,
    job,
    pipeline,
    product,
    business_date,
    asked_by,
    parent_run_id,
    root_run_id,
    status,
    failure_cause,
    failed_step,
    due_at,
    queued_at,
    started_at,
    finished_at,
    (finished_at at time zone 'UTC')::date as finished_on,
    compute_seconds,
    batch_to
from {{ source('platform', 'runs') }}
