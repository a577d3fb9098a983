-- One row per run that has ended: what it was for, how it went, what it took. A retry is a row of its own.
{{ config(materialized='view') }}

select
    runs.run_id,
    runs.job,
    runs.pipeline,
    runs.product,
    runs.business_date,
    runs.finished_on as day,
    runs.asked_by,
    runs.root_run_id,
    not exists (
        select 1 from {{ ref('stg_platform__runs') }} as later
        where later.root_run_id = runs.root_run_id and later.number > runs.number
    ) as is_last_attempt,
    runs.status,
    runs.failure_cause,
    runs.failed_step,
    runs.due_at,
    runs.queued_at,
    runs.started_at,
    runs.finished_at,
    extract(epoch from runs.started_at - runs.queued_at)::numeric(18, 3) as queue_seconds,
    runs.compute_seconds,
    runs.batch_to
from {{ ref('stg_platform__runs') }} as runs
