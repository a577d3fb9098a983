-- One row per day, kind, subject, product and indicator: how many there were, and how many of them were good.
{{
    config(
        unique_key='day',
        indexes=[{'columns': ['day', 'kind', 'subject', 'product', 'indicator'], 'unique': true}],
    )
}}

with facts as (
    -- Counted on the day the time is over, when it is known how it went.
    select
        (due.due_at + make_interval(mins => objectives.within_minutes)) as at,
        'pipeline' as kind,
        due.pipeline as subject,
        due.product,
        'published_on_time' as indicator,
        1::bigint as total,
        exists(
            select 1 from {{ ref('stg_platform__runs') }} as runs
            where
                runs.pipeline = due.pipeline
                and runs.product = due.product
                and runs.status = 'succeeded'
                and runs.business_date >= due.business_date
                and runs.finished_at >= due.due_at
                and runs.finished_at <= due.due_at + make_interval(mins => objectives.within_minutes)
        )::integer::bigint as good
    from {{ ref('stg_platform__due') }} as due
    inner join {{ ref('stg_platform__objectives') }} as objectives
        on
            due.pipeline = objectives.subject
            and due.product = objectives.product
            and objectives.kind = 'pipeline'
            and objectives.indicator = 'published_on_time'
    cross join {{ ref('int_platform_moment') }} as moment
    where due.due_at + make_interval(mins => objectives.within_minutes) <= moment.latest_at
    union all
    select
        runs.finished_at,
        'pipeline' as kind,
        runs.pipeline,
        runs.product,
        'runs_succeeded' as indicator,
        1 as total,
        (runs.status = 'succeeded')::integer as good
    from {{ ref('fct_pipeline_runs') }} as runs
    where
        runs.pipeline is not null
        and runs.product is not null
        and runs.is_last_attempt
        and runs.status in ('succeeded', 'failed')
        and runs.day >= {{ first_day_to_build() }}
    union all
    select
        hours.hour,
        'connector' as kind,
        hours.connector,
        hours.product,
        reached.indicator,
        reached.total,
        reached.good
    from {{ ref('stg_platform__connector_hours') }} as hours
    cross join lateral (
        values
        ('polls_succeeded', hours.polls, hours.polls - hours.polls_failed),
        ('deliveries_acknowledged', hours.deliveries, hours.deliveries - hours.deliveries_unacknowledged)
    ) as reached (indicator, total, good)
    where hours.day >= {{ first_day_to_build() }}
    union all
    select
        pages.committed_at,
        'connector' as kind,
        pages.connector,
        pages.product,
        'records_accounted' as indicator,
        pages.counted,
        least(pages.counted, pages.accounted) as good
    from {{ ref('stg_platform__pages') }} as pages
    where pages.committed_on >= {{ first_day_to_build() }}
    union all
    select
        arrivals.day::timestamp at time zone 'UTC' as at,
        'connector' as kind,
        arrivals.connector,
        arrivals.product,
        'events_fresh' as indicator,
        arrivals.news,
        arrivals.fresh
    from {{ ref('int_event_arrivals') }} as arrivals
    where arrivals.day >= {{ first_day_to_build() }}
    union all
    select
        attempts.finished_at,
        'agent' as kind,
        attempts.agent,
        attempts.product,
        counted.indicator,
        1 as total,
        counted.good
    from {{ ref('fct_agent_runs') }} as attempts
    cross join lateral (
        values
        (
            'work_without_failure',
            (attempts.failure_cause is distinct from 'code')::integer,
            attempts.is_last_attempt and attempts.outcome in ('succeeded', 'failed')
        ),
        (
            'work_without_breakdown',
            (attempts.failure_cause is distinct from 'infrastructure')::integer,
            attempts.is_last_attempt and attempts.outcome in ('succeeded', 'failed')
        ),
        ('work_done_once', (not (attempts.is_retry or attempts.is_repeated))::integer, attempts.outcome <> 'refused')
    ) as counted (indicator, good, counts)
    where counted.counts and attempts.day >= {{ first_day_to_build() }}
)

select
    (facts.at at time zone 'UTC')::date as day,
    facts.kind,
    facts.subject,
    facts.product,
    facts.indicator,
    sum(facts.total)::bigint as total,
    sum(facts.good)::bigint as good,
    {{ runs_so_far() }} as runs_to
from facts
where (facts.at at time zone 'UTC')::date >= {{ first_day_to_build() }} and facts.total > 0
group by (facts.at at time zone 'UTC')::date, facts.kind, facts.subject, facts.product, facts.indicator
