-- One row per skill run.
select
    id as skill_run_id,
    skill,
    split_part(skill, '.', 1) as agent,
    skill_version,
    product,
    as_of as business_date,
    pipeline,
    dagster_run_id as run_id,
    status,
    latency_ms,
    started_at,
    finished_at,
    (finished_at at time zone 'UTC')::date as finished_on
from {{ source('platform', 'skill_runs') }}
