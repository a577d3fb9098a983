-- One row per attempt of a skill, with whether it was the last one and whether it did work anew that was done.
-- What was tried again and then succeeded is one piece of work, no failure, and a retry.
{{ config(materialized='view') }}

select
    attempts.attempt_id,
    attempts.work_id,
    attempts.agent,
    attempts.skill,
    attempts.product,
    attempts.business_date,
    attempts.day,
    attempts.asked_by,
    attempts.outcome,
    attempts.failure_cause,
    attempts.asked_by = 'retry' as is_retry,
    attempts.asked_by in ('person', 'backfill') and exists (
        select 1 from {{ ref('int_agent_attempts') }} as earlier
        where
            earlier.product = attempts.product
            and earlier.business_date = attempts.business_date
            and earlier.skill = attempts.skill
            and earlier.skill_version is not distinct from attempts.skill_version
            and earlier.asked_by <> 'call'
            and earlier.outcome = 'succeeded'
            and earlier.finished_at <= attempts.started_at
    ) as is_repeated,
    not exists (
        select 1 from {{ ref('int_agent_attempts') }} as later
        where later.work_id = attempts.work_id and later.finished_at > attempts.finished_at
    ) as is_last_attempt,
    attempts.seconds,
    attempts.started_at,
    attempts.finished_at
from {{ ref('int_agent_attempts') }} as attempts
