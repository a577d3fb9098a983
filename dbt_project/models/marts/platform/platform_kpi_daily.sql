-- One row per day, platform KPI, subject and product; '(all)' is every product together. Definitions in dim_kpis.
{{
    config(
        unique_key='day',
        indexes=[{'columns': ['day', 'kpi', 'subject', 'product'], 'unique': true}],
    )
}}

with days as (
    select days.day::date as day
    from {{ ref('int_platform_moment') }} as moment
    cross join lateral generate_series(
        greatest(moment.first_day, {{ first_day_to_build() }})::timestamp, moment.last_day::timestamp, interval '1 day'
    ) as days (day)
),

pipelines as (
    select
        pipeline as subject,
        product
    from {{ ref('int_lead_times') }}
    union
    select
        subject,
        product
    from {{ ref('stg_platform__objectives') }}
    where kind = 'pipeline'
),

lead_times as (
    select
        days.day,
        measured.kpi,
        'pipeline' as kind,
        pipelines.subject,
        pipelines.product,
        measured.seconds / 3600 as value,
        null::numeric as numerator,
        null::numeric as denominator,
        null::numeric as low,
        null::numeric as high,
        coalesce(lead_times.events, 0)::bigint as sample_size,
        null::text as currency,
        case
            when lead_times.pipeline is null then 'nothing published'
            when lead_times.events = 0 and lead_times.late_events + lead_times.history_events > 0
                then 'only late events published'
            when lead_times.events = 0 then 'no new events published'
        end as reason
    from days
    cross join pipelines
    left join {{ ref('int_lead_times') }} as lead_times
        on
            days.day = lead_times.day
            and pipelines.subject = lead_times.pipeline
            and pipelines.product = lead_times.product
    cross join lateral (
        values
        ('pipeline_lead_time', lead_times.lead_seconds_p50),
        ('pipeline_lead_time_p95', lead_times.lead_seconds_p95),
        ('pipeline_source_lag', lead_times.source_seconds_p50),
        ('pipeline_queue_time', lead_times.queue_seconds_p50),
        ('pipeline_run_time', lead_times.run_seconds_p50)
    ) as measured (kpi, seconds)
),

levels as (
    select
        levels.day,
        case levels.kind when 'pipeline' then 'pipeline_' else 'connector_' end || levels.indicator as kpi,
        levels.kind,
        levels.subject,
        levels.product,
        levels.level as value,
        levels.good::numeric as numerator,
        levels.total::numeric as denominator,
        null::numeric as low,
        null::numeric as high,
        levels.total as sample_size,
        null::text as currency,
        levels.reason
    from {{ ref('fct_service_levels') }} as levels
    where levels.day >= {{ first_day_to_build() }}
),

-- Failures and repetitions are what the indicators of agents leave of the whole.
agents as (
    select
        days.day,
        case counted.indicator
            when 'work_without_failure' then 'agent_failures'
            when 'work_without_breakdown' then 'agent_infrastructure_failures'
            when 'work_done_once' then 'agent_reprocessing'
        end as kpi,
        'agent' as kind,
        counted.subject,
        coalesce(counted.product, '(all)') as product,
        {{ percent_of('sum(counted.total - counted.good)', 'sum(counted.total)') }} as value,
        sum(counted.total - counted.good) as numerator,
        sum(counted.total) as denominator,
        {{ wilson('sum(counted.total - counted.good)', 'sum(counted.total)', '-') }} as low,
        {{ wilson('sum(counted.total - counted.good)', 'sum(counted.total)', '+') }} as high,
        sum(counted.total)::bigint as sample_size,
        null::text as currency,
        null::text as reason
    from days
    inner join {{ ref('fct_indicators_daily') }} as counted
        on counted.day between days.day - ({{ window_days() }} - 1) and days.day
    where counted.kind = 'agent'
    group by grouping sets (
        (days.day, counted.indicator, counted.subject),
        (days.day, counted.indicator, counted.subject, counted.product)
    )
),

classifiers as (
    select
        days.day,
        'classification_precision' as kpi,
        'classifier' as kind,
        classifiers.classifier || ' ' || classifiers.class as subject,
        coalesce(predictions.product, '(all)') as product,
        count(*) filter (where predictions.is_predicted and predictions.is_of_class) as right_ones,
        count(*) filter (where predictions.is_predicted) as predicted,
        count(predictions.item) as labelled
    from days
    cross join {{ ref('stg_platform__classifiers') }} as classifiers
    left join {{ ref('int_labelled_predictions') }} as predictions
        on
            classifiers.classifier = predictions.classifier
            and classifiers.class = predictions.class
            and days.day >= predictions.valid_from
            and coalesce(days.day < predictions.valid_to, true)
            and predictions.valid_from > days.day - 90
    group by grouping sets (
        (days.day, classifiers.classifier, classifiers.class),
        (days.day, classifiers.classifier, classifiers.class, predictions.product)
    )
    having grouping(predictions.product) = 1 or predictions.product is not null
),

precision_of as (
    select
        day,
        kpi,
        kind,
        subject,
        product,
        {{ percent_of('right_ones', 'predicted') }} as value,
        right_ones::numeric as numerator,
        predicted::numeric as denominator,
        {{ wilson('right_ones', 'predicted', '-') }} as low,
        {{ wilson('right_ones', 'predicted', '+') }} as high,
        labelled as sample_size,
        null::text as currency,
        case
            when labelled = 0 then 'no labelled predictions in 90 days'
            when predicted = 0 then 'nothing predicted in 90 days'
            when predicted < 30 then 'small sample'
        end as reason
    from classifiers
),

-- Costs are followed from the first measurement of storage on; days and events before are left out alike.
measured_days as (
    select
        days.day,
        counted.day::date as counted_day
    from days
    cross join lateral generate_series(
        (days.day - ({{ window_days() }} - 1))::timestamp, days.day::timestamp, interval '1 day'
    ) as counted (day)
    where counted.day::date >= (select min(storage.day) from {{ ref('stg_platform__storage') }} as storage)
),

accepted as (
    select
        days.day,
        intake.product,
        sum(intake.landed) as events
    from measured_days as days
    inner join {{ ref('stg_platform__intake') }} as intake on days.counted_day = intake.day
    group by days.day, intake.product
),

spent as (
    select
        days.day,
        costs.product,
        case costs.resource
            when 'compute_second' then 'compute' when 'storage_gib_day' then 'storage' else 'model'
        end as part,
        case when bool_and(costs.amount is not null) then sum(costs.amount) end as amount,
        min(costs.currency) as currency,
        coalesce(min(costs.currency) <> max(costs.currency), false) as is_mixed,
        min(costs.resource) filter (where costs.reason = 'no price') as unpriced
    from measured_days as days
    inner join {{ ref('fct_costs_daily') }} as costs on days.counted_day = costs.day
    group by
        days.day,
        costs.product,
        case costs.resource
            when 'compute_second' then 'compute' when 'storage_gib_day' then 'storage' else 'model'
        end
),

named as (
    select
        day,
        product,
        events
    from accepted
    union all
    select distinct
        day,
        product,
        0 as events
    from spent
    where product <> '(shared)'
),

measured as (
    select distinct day from measured_days
),

bearers as (
    select
        days.day,
        coalesce(named.product, '(all)') as product,
        coalesce(sum(named.events), 0) as events,
        measured.day is not null as is_measured
    from days
    left join named on days.day = named.day
    left join measured on days.day = measured.day
    group by grouping sets ((days.day, measured.day), (days.day, measured.day, named.product))
    having grouping(named.product) = 1 or named.product is not null
),

-- What is shared is borne by products as they bring events; together they bear all of it.
allocated as (
    select
        bearers.day,
        bearers.product,
        parts.part,
        bearers.events,
        bearers.is_measured,
        case
            when count(spent.part) = 0 then 0
            when bool_and(spent.amount is not null)
                then sum(
                    spent.amount * case
                        when bearers.product in (spent.product, '(all)') then 1
                        else bearers.events / nullif(whole.events, 0)
                    end
                )
        end as amount,
        min(spent.currency) as currency,
        coalesce(bool_or(spent.is_mixed) or min(spent.currency) <> max(spent.currency), false) as is_mixed,
        min(spent.unpriced) as unpriced
    from bearers
    inner join bearers as whole on bearers.day = whole.day and whole.product = '(all)'
    cross join (values ('compute'), ('model'), ('storage')) as parts (part)
    left join spent
        on
            bearers.day = spent.day
            and parts.part = spent.part
            and (spent.product in (bearers.product, '(shared)') or bearers.product = '(all)')
    group by bearers.day, bearers.product, bearers.events, bearers.is_measured, parts.part, whole.events
),

costs as (
    select
        day,
        coalesce(part || '_', '') || 'cost_per_1000_events' as kpi,
        case product when '(all)' then 'platform' else 'product' end as kind,
        case product when '(all)' then 'batuta' else product end as subject,
        product,
        case
            when
                bool_and(amount is not null)
                and bool_and(is_measured)
                and not coalesce(bool_or(is_mixed) or min(currency) <> max(currency), false)
                then 1000 * sum(amount) / nullif(max(events), 0)
        end as value,
        case when bool_and(amount is not null) and not bool_or(is_mixed) then sum(amount) end as numerator,
        max(events) as denominator,
        null::numeric as low,
        null::numeric as high,
        max(events)::bigint as sample_size,
        min(currency) as currency,
        case
            when not bool_and(is_measured) then 'storage not measured yet'
            when max(events) = 0 then 'no events accepted in 28 days'
            when bool_or(is_mixed) or min(currency) <> max(currency) then 'prices in several currencies'
            when min(unpriced) is not null then 'no price for ' || min(unpriced)
            when not bool_and(amount is not null) then 'not measured'
        end as reason
    from allocated
    group by grouping sets ((day, product), (day, product, part))
),

everything as (
    select * from lead_times
    union all
    select * from levels
    union all
    select * from agents
    union all
    select * from precision_of
    union all
    select * from costs
)

select
    everything.day,
    everything.kpi,
    everything.kind,
    everything.subject,
    everything.product,
    everything.value::numeric(18, 6) as value,
    catalogue.unit,
    everything.currency,
    everything.numerator::numeric(24, 6) as numerator,
    everything.denominator::numeric(24, 6) as denominator,
    everything.low::numeric(18, 6) as low,
    everything.high::numeric(18, 6) as high,
    everything.sample_size,
    catalogue.basis,
    everything.reason,
    {{ runs_so_far() }} as runs_to
from everything
inner join {{ ref('dim_kpis') }} as catalogue on everything.kpi = catalogue.kpi
