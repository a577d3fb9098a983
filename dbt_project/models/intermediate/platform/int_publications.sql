-- One row per run that published a product's day, with the stretch of the log it was the first to publish.
with published as (
    select
        runs.*,
        max(runs.business_date) over earlier as published_day,
        coalesce(runs.business_date < max(runs.business_date) over earlier, false) as is_of_the_past,
        count(*) over of_the_day > 0 as is_repeated
    from {{ ref('stg_platform__runs') }} as runs
    where
        runs.status = 'succeeded'
        and runs.pipeline is not null
        and runs.product is not null
        and runs.business_date is not null
        and runs.batch_to is not null
    window
        earlier as (
            partition by runs.pipeline, runs.product order by runs.finished_at, runs.number
            rows between unbounded preceding and 1 preceding
        ),
        of_the_day as (
            partition by runs.pipeline, runs.product, runs.business_date order by runs.finished_at, runs.number
            rows between unbounded preceding and 1 preceding
        )
),

-- A run for a day before one that is out works it out anew: whatever it reads, it is not the first to publish it.
stretches as (
    select
        published.*,
        coalesce(
            max(published.batch_to) filter (where not published.is_of_the_past) over (
                partition by published.pipeline, published.product order by published.finished_at, published.number
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) as published_to
    from published
)

select
    number,
    run_id,
    pipeline,
    product,
    business_date,
    started_at,
    finished_at,
    finished_on,
    published_to as batch_after,
    case when is_of_the_past then published_to else greatest(batch_to, published_to) end as batch_to,
    published_day,
    is_repeated
from stretches
