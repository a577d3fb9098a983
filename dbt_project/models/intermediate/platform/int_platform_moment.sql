-- One row per warehouse, so one: the first and the last moment that facts tell of; models have no other clock.
with moments as (
    select
        max(finished_at) as latest_at,
        min(finished_at) as earliest_at
    from {{ ref('stg_platform__runs') }}
    union all
    select
        max(finished_at) as latest_at,
        min(finished_at) as earliest_at
    from {{ ref('stg_platform__skill_runs') }}
    union all
    select
        max(hour) as latest_at,
        min(hour) as earliest_at
    from {{ ref('stg_platform__connector_hours') }}
    union all
    select
        max(hour) as latest_at,
        min(hour) as earliest_at
    from {{ ref('stg_platform__intake') }}
    union all
    select
        max(measured_at) as latest_at,
        min(measured_at) as earliest_at
    from {{ ref('stg_platform__storage') }}
    union all
    select
        max(due_at) as latest_at,
        min(due_at) as earliest_at
    from {{ ref('stg_platform__due') }}
)

select
    max(latest_at) as latest_at,
    (min(earliest_at) at time zone 'UTC')::date as first_day,
    (max(latest_at) at time zone 'UTC')::date as last_day
from moments
