-- One row per use of something that is paid for; product is NULL for what all products share.
with measurements as (
    select
        day,
        sum(bytes) as bytes,
        lead(day) over (order by day) as next_day
    from {{ ref('stg_platform__storage') }}
    group by day
)

select
    runs.finished_on as day,
    runs.product,
    'compute_second' as resource,
    null::text as model,
    runs.compute_seconds::numeric(24, 6) as quantity
from {{ ref('stg_platform__runs') }} as runs
union all
select
    calls.finished_on,
    calls.product,
    'compute_second' as resource,
    null as model,
    (calls.latency_ms / 1000.0)::numeric(24, 6) as quantity
from {{ ref('stg_platform__skill_runs') }} as calls
where calls.run_id is null
union all
select
    skill_runs.finished_on,
    skill_runs.product,
    tokens.resource,
    usage.model,
    tokens.quantity::numeric(24, 6) as quantity
from {{ ref('stg_platform__model_usage') }} as usage
inner join {{ ref('stg_platform__skill_runs') }} as skill_runs on usage.skill_run_id = skill_runs.skill_run_id
cross join lateral (
    values ('model_input_token', usage.input_tokens::numeric), ('model_output_token', usage.output_tokens::numeric)
) as tokens (resource, quantity)
union all
-- A day without a measurement has that of the day before; before the first one nothing is known.
select
    days.day::date as day,
    null as product,
    'storage_gib_day' as resource,
    null as model,
    (measured.bytes / (1024 ^ 3)::numeric)::numeric(24, 6) as quantity
from {{ ref('int_platform_moment') }} as moment
cross join lateral generate_series(
    moment.first_day::timestamp, moment.last_day::timestamp, interval '1 day'
) as days (day)
left join measurements as measured
    on measured.day <= days.day::date and coalesce(measured.next_day > days.day::date, true)
