-- One row per attempt of a skill: a step of a run, or a call from elsewhere.
with steps as (
    select
        steps.run_id || '/' || steps.step as attempt_id,
        steps.agent,
        steps.skill,
        runs.product,
        runs.business_date,
        runs.root_run_id || '/' || steps.step as work_id,
        runs.asked_by,
        (
            select max(skill_runs.skill_version) from {{ ref('stg_platform__skill_runs') }} as skill_runs
            where skill_runs.run_id = steps.run_id and skill_runs.skill = steps.skill
        ) as skill_version,
        case
            when steps.status = 'interrupted' and runs.status = 'failed' then 'failed'
            when steps.status = 'interrupted' then 'cancelled'
            else steps.status
        end as outcome,
        case
            when steps.status = 'failed' then steps.failure_cause
            when steps.status = 'interrupted' and runs.status = 'failed' then 'infrastructure'
        end as failure_cause,
        extract(epoch from steps.finished_at - steps.started_at)::numeric(18, 3) as seconds,
        steps.started_at,
        steps.finished_at,
        runs.finished_on as day
    from {{ ref('stg_platform__steps') }} as steps
    inner join {{ ref('stg_platform__runs') }} as runs on steps.run_id = runs.run_id
    where steps.skill is not null
),

calls as (
    select
        skill_run_id as attempt_id,
        agent,
        skill,
        product,
        business_date,
        skill_run_id as work_id,
        'call' as asked_by,
        skill_version,
        case status when 'ok' then 'succeeded' when 'failed' then 'failed' else 'refused' end as outcome,
        case status when 'failed' then 'code' end as failure_cause,
        (latency_ms / 1000.0)::numeric(18, 3) as seconds,
        started_at,
        finished_at,
        finished_on as day
    from {{ ref('stg_platform__skill_runs') }}
    where run_id is null
)

select * from steps
union all
select * from calls
