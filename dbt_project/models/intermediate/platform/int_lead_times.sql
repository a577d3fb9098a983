-- One row per pipeline, product and day of publication: how long events took to be published for the first time.
-- Neither more runs nor later ones change what an event took; events of days that were out already are counted apart.
{{
    config(
        materialized='incremental',
        unique_key=['pipeline', 'product', 'day'],
        indexes=[{'columns': ['day', 'pipeline', 'product'], 'unique': true}],
    )
}}

with affected as (
    select distinct
        pipeline,
        product,
        finished_on
    from {{ ref('int_publications') }}
    {% if is_incremental() %}
        where number > (select coalesce(max(built.runs_to), 0) from {{ this }} as built)
    {% endif %}
),

publications as (
    select publications.*
    from {{ ref('int_publications') }} as publications
    inner join affected
        on
            publications.pipeline = affected.pipeline
            and publications.product = affected.product
            and publications.finished_on = affected.finished_on
),

published as (
    select
        publications.pipeline,
        publications.product,
        publications.finished_on as day,
        extract(epoch from publications.finished_at - least(events.event_time, events.received_at))::double precision
            as lead_s,
        extract(epoch from greatest(events.received_at - events.event_time, interval '0'))::double precision
            as source_s,
        extract(epoch from greatest(publications.started_at - events.received_at, interval '0'))::double precision
            as queue_s,
        extract(
            epoch from publications.finished_at - greatest(publications.started_at, events.received_at)
        )::double precision as run_s,
        events.event_time > events.received_at as is_ahead,
        landings.way in ('backfill', 'replay') as is_history,
        coalesce(
            {{ business_date('least(events.event_time, events.received_at)', 'products') }}
            < publications.published_day,
            false
        ) as is_late
    from publications
    inner join {{ ref('stg_platform__events') }} as events
        on
            publications.product = events.product
            and publications.batch_after < events.batch
            and publications.batch_to >= events.batch
    inner join {{ ref('stg_platform__landings') }} as landings on events.batch = landings.batch
    left join {{ ref('stg_registry__products') }} as products on events.product = products.product
),

measured as (
    select
        pipeline,
        product,
        day,
        count(*) filter (where not is_late and not is_history) as events,
        count(*) filter (where is_late and not is_history) as late_events,
        count(*) filter (where is_history) as history_events,
        count(*) filter (where is_ahead and not is_history) as ahead_events,
        {% for part in ['lead', 'source', 'queue', 'run'] -%}
            {% for name, share in [('p50', 0.5), ('p95', 0.95)] -%}
                percentile_cont({{ share }}) within group (order by {{ part }}_s)
                    filter (where not is_late and not is_history) as {{ part }}_{{ name }},
            {% endfor -%}
        {% endfor -%}
        percentile_cont(0.5) within group (order by lead_s) filter (where is_late and not is_history) as late_lead_p50
    from published
    group by pipeline, product, day
)

select
    affected.pipeline,
    affected.product,
    affected.finished_on as day,
    coalesce(measured.events, 0)::integer as events,
    coalesce(measured.late_events, 0)::integer as late_events,
    coalesce(measured.history_events, 0)::integer as history_events,
    coalesce(measured.ahead_events, 0)::integer as ahead_events,
    {% for part in ['lead', 'source', 'queue', 'run'] -%}
        {% for name in ['p50', 'p95'] -%}
            measured.{{ part }}_{{ name }}::numeric(18, 3) as {{ part }}_seconds_{{ name }},
        {% endfor -%}
    {% endfor -%}
    measured.late_lead_p50::numeric(18, 3) as late_lead_seconds_p50,
    {{ runs_so_far() }} as runs_to
from affected
left join measured
    on
        affected.pipeline = measured.pipeline
        and affected.product = measured.product
        and affected.finished_on = measured.day
