-- One row per day, kind, subject, product and indicator with an objective: the 28 days that end on it, and what is left
-- of the error budget, which is what may go wrong in them.
{{
    config(
        unique_key='day',
        indexes=[{'columns': ['day', 'kind', 'subject', 'product', 'indicator'], 'unique': true}],
    )
}}

with days as (
    select days.day::date as day
    from {{ ref('int_platform_moment') }} as moment
    cross join lateral generate_series(
        greatest(moment.first_day, {{ first_day_to_build() }})::timestamp, moment.last_day::timestamp, interval '1 day'
    ) as days (day)
),

windows as (
    select
        days.day,
        objectives.kind,
        objectives.subject,
        objectives.product,
        objectives.indicator,
        objectives.objective,
        objectives.within_minutes,
        coalesce(sum(counted.total), 0)::bigint as total,
        coalesce(sum(counted.good), 0)::bigint as good,
        coalesce(sum(counted.total) filter (where counted.day = days.day), 0)::bigint as total_of_day,
        coalesce(sum(counted.good) filter (where counted.day = days.day), 0)::bigint as good_of_day
    from days
    cross join {{ ref('stg_platform__objectives') }} as objectives
    left join {{ ref('fct_indicators_daily') }} as counted
        on
            counted.day between days.day - ({{ window_days() }} - 1) and days.day
            and objectives.kind = counted.kind
            and objectives.subject = counted.subject
            and objectives.product = counted.product
            and objectives.indicator = counted.indicator
    group by
        days.day,
        objectives.kind,
        objectives.subject,
        objectives.product,
        objectives.indicator,
        objectives.objective,
        objectives.within_minutes
),

budgets as (
    select
        windows.*,
        (1 - windows.objective / 100) as may_fail,
        (windows.total - windows.good)::numeric
        / nullif(windows.total * (1 - windows.objective / 100), 0) as spent
    from windows
)

select
    day,
    kind,
    subject,
    product,
    indicator,
    objective::numeric(6, 3) as objective,
    within_minutes,
    total,
    good,
    ({{ percent_of('good', 'total') }})::numeric(9, 4) as level,
    (total * may_fail)::numeric(18, 4) as budget,
    (total * may_fail - (total - good))::numeric(18, 4) as budget_left,
    (100 * (1 - spent))::numeric(18, 4) as budget_left_percent,
    ({{ window_days() }} * 1440 * may_fail)::numeric(18, 4) as budget_minutes,
    ({{ window_days() }} * 1440 * may_fail * (1 - spent))::numeric(18, 4) as budget_left_minutes,
    ((total_of_day - good_of_day)::numeric / nullif(total_of_day * may_fail, 0))::numeric(18, 4) as burn_rate,
    case when total = 0 then 'nothing to measure in 28 days' end as reason,
    {{ runs_so_far() }} as runs_to
from budgets
