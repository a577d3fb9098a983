-- One row per step of a recorded run.
select
    run_id,
    step,
    skill,
    split_part(skill, '.', 1) as agent,
    status,
    failure_cause,
    attempts,
    started_at,
    finished_at
from {{ source('platform', 'steps') }}
