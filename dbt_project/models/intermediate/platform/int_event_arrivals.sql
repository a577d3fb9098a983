-- One row per product, connector, day of receipt and cut of the log: events that came in, and how many of them in time.
{{
    config(
        materialized='incremental',
        unique_key=['product', 'connector', 'day', 'batch_to'],
        indexes=[
            {'columns': ['day', 'product', 'connector', 'batch_to'], 'unique': true},
            {'columns': ['batch_to']},
        ],
    )
}}

with arrived as (
    select
        events.product,
        events.connector,
        events.received_on as day,
        events.batch,
        landings.way in ('webhook', 'poll', 'post') as is_news,
        coalesce(
            events.received_at - events.event_time <= make_interval(mins => objectives.within_minutes), true
        ) as is_fresh,
        events.event_time > events.received_at as is_ahead
    from {{ ref('stg_platform__events') }} as events
    inner join {{ ref('stg_platform__landings') }} as landings on events.batch = landings.batch
    left join {{ ref('stg_platform__objectives') }} as objectives
        on
            events.product = objectives.product
            and events.connector = objectives.subject
            and objectives.kind = 'connector'
            and objectives.indicator = 'events_fresh'
    {% if is_incremental() %}
        where events.batch > (select coalesce(max(built.batch_to), 0) from {{ this }} as built)
    {% endif %}
)

select
    product,
    connector,
    day,
    max(max(batch)) over () as batch_to,
    count(*)::integer as events,
    (count(*) filter (where is_news))::integer as news,
    (count(*) filter (where is_news and is_fresh))::integer as fresh,
    (count(*) filter (where is_ahead))::integer as ahead
from arrived
group by product, connector, day
