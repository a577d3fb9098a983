{#
  One row per product, day and KPI out of the wide daily rows. A value is rounded once, here. Where a value would say
  more than is known it is NULL, and the reason is beside it.
#}

{# A line of `values`: the KPI, its value, what it is made of, and why it cannot be told. #}
{% macro kpi(name, value, sample_size, reason='null', numerator='null', denominator='null', low='null', high='null') -%}
    (
        '{{ name }}',
        ({{ value }})::numeric,
        ({{ numerator }})::numeric,
        ({{ denominator }})::numeric,
        ({{ sample_size }})::bigint,
        ({{ low }})::numeric,
        ({{ high }})::numeric,
        ({{ reason }})::text
    )
{%- endmacro %}

{% macro kpi_values(daily) %}
with {{ kpi_figures(daily) }}

{{ kpi_lines() }}
{% endmacro %}

{# CTEs of the wide daily rows with what several KPIs share. #}
{% macro kpi_figures(daily) %}
figures as (
    select
        daily.*,
        products.gross_margin,
        daily.promoters_90d + daily.passives_90d + daily.detractors_90d as answers_90d,
        daily.promoters_90d - daily.detractors_90d as balance_90d,
        case when daily.has_spend then daily.spend_90d / nullif(daily.new_customers_90d, 0) end as cac,
        daily.customer_net_sales / nullif(daily.customers, 0) as ltv,
        -- A month is a third of the window.
        products.gross_margin * (daily.sales_90d - daily.returns_90d) / nullif(3 * daily.active_customers_90d, 0)
            as monthly_profit,
        predicted.as_of is not null as is_predicted,
        predicted.value as predicted_value,
        predicted.low as predicted_low,
        predicted.high as predicted_high,
        predicted.customers as predicted_customers,
        predicted.reason as predicted_reason
    from {{ daily }} as daily
    left join {{ ref('stg_registry__products') }} as products on daily.product = products.product
    left join lateral (
        select predictions.*
        from {{ ref('stg_kpis__predicted_ltv') }} as predictions
        where
            predictions.product = daily.product
            and predictions.currency = daily.currency
            and predictions.as_of <= daily.business_date
        order by predictions.as_of desc, predictions.computed_at desc, predictions.horizon_days desc
        limit 1
    ) as predicted on true
),

intervals as (
    select
        figures.*,
        100::numeric * figures.balance_90d / nullif(figures.answers_90d, 0) as nps,
        196 * sqrt(
            (
                (figures.promoters_90d + figures.detractors_90d)::numeric / nullif(figures.answers_90d, 0)
                - (figures.balance_90d::numeric / nullif(figures.answers_90d, 0)) ^ 2
            ) / nullif(figures.answers_90d, 0)
        ) as nps_margin
    from figures
)
{% endmacro %}

{# One row per KPI of each row of the CTE `intervals`. #}
{% macro kpi_lines() %}
select
    intervals.product,
    intervals.business_date,
    kpi.kpi,
    {{ money('round(kpi.value, 2)') }} as value,
    catalogue.unit,
    case when catalogue.unit = 'currency' then intervals.currency end as currency,
    {{ money('kpi.numerator') }} as numerator,
    {{ money('kpi.denominator') }} as denominator,
    kpi.sample_size::integer as sample_size,
    {{ money('round(kpi.low, 2)') }} as low,
    {{ money('round(kpi.high, 2)') }} as high,
    catalogue.basis,
    kpi.reason,
    intervals.batch
from intervals
cross join lateral (
    values
    {{ kpi(
        'LTV', 'intervals.ltv', 'intervals.customers',
        "case when intervals.customers = 0 then 'no customers acquired' end",
        'intervals.customer_net_sales', 'intervals.customers'
    ) }},
    {{ kpi(
        'CAC', 'intervals.cac', 'intervals.new_customers_90d',
        "case when not intervals.has_spend then 'no spend recorded'
            when intervals.new_customers_90d = 0 then 'no customers acquired in 90 days' end",
        'case when intervals.has_spend then intervals.spend_90d end', 'intervals.new_customers_90d'
    ) }},
    {{ kpi(
        'NPS', 'intervals.nps', 'intervals.answers_90d',
        "case when intervals.answers_90d = 0 then 'no answers in 90 days'
            when intervals.answers_90d < 30 then 'small sample' end",
        'intervals.balance_90d', 'intervals.answers_90d',
        'greatest(intervals.nps - intervals.nps_margin, -100 + 0 * intervals.nps)',
        'least(intervals.nps + intervals.nps_margin, 100 + 0 * intervals.nps)'
    ) }},
    {{ kpi(
        'leadTime', 'intervals.lead_minutes_median_90d / 60', 'intervals.deployed_90d',
        "case when intervals.deployed_90d = 0 then 'nothing released in 90 days' end",
        'intervals.lead_minutes_90d', 'nullif(intervals.deployed_90d, 0)'
    ) }},
    {{ kpi('net_sales', 'intervals.net_sales', 'intervals.orders') }},
    {{ kpi('orders', 'intervals.orders', 'intervals.orders') }},
    {{ kpi('new_customers', 'intervals.new_customers', 'intervals.new_customers') }},
    {{ kpi('active_customers', 'intervals.active_customers_90d', 'intervals.active_customers_90d') }},
    {{ kpi(
        'average_order_value', 'intervals.sales_90d / nullif(intervals.orders_90d, 0)', 'intervals.orders_90d',
        "case when intervals.orders_90d = 0 then 'no orders in 90 days' end",
        'intervals.sales_90d', 'intervals.orders_90d'
    ) }},
    {{ kpi(
        'repeat_rate', '100.0 * intervals.repeat_customers / nullif(intervals.customers, 0)', 'intervals.customers',
        "case when intervals.customers = 0 then 'no customers acquired' end",
        'intervals.repeat_customers', 'intervals.customers'
    ) }},
    {{ kpi(
        'refund_rate', '100 * intervals.returns_90d / nullif(intervals.sales_90d, 0)', 'intervals.orders_90d',
        "case when intervals.sales_90d = 0 then 'no sales in 90 days' end",
        'intervals.returns_90d', 'intervals.sales_90d'
    ) }},
    {{ kpi(
        'CAC_paid',
        'case when intervals.has_spend then intervals.media_90d / nullif(intervals.new_customers_90d, 0) end',
        'intervals.new_customers_90d',
        "case when not intervals.has_spend then 'no spend recorded'
            when intervals.new_customers_90d = 0 then 'no customers acquired in 90 days' end",
        'case when intervals.has_spend then intervals.media_90d end', 'intervals.new_customers_90d'
    ) }},
    {{ kpi(
        'LTV_CAC', 'intervals.gross_margin * intervals.ltv / nullif(intervals.cac, 0)', 'intervals.customers',
        "case when intervals.gross_margin is null then 'no gross margin declared'
            when intervals.customers = 0 then 'no customers acquired'
            when not intervals.has_spend then 'no spend recorded'
            when intervals.cac is null then 'no customers acquired in 90 days'
            when intervals.cac = 0 then 'nothing spent in 90 days' end",
        'intervals.gross_margin * intervals.ltv', 'intervals.cac'
    ) }},
    {{ kpi(
        'payback',
        'case when intervals.monthly_profit > 0 then intervals.cac / intervals.monthly_profit end',
        'intervals.active_customers_90d',
        "case when intervals.gross_margin is null then 'no gross margin declared'
            when not intervals.has_spend then 'no spend recorded'
            when intervals.cac is null then 'no customers acquired in 90 days'
            when intervals.monthly_profit is null then 'no active customers'
            when intervals.monthly_profit <= 0 then 'customers bring no profit' end",
        'intervals.cac', 'intervals.monthly_profit'
    ) }},
    {{ kpi(
        'predicted_LTV', 'intervals.predicted_value', 'coalesce(intervals.predicted_customers, 0)',
        "case when not intervals.is_predicted then 'not predicted yet' else intervals.predicted_reason end",
        low='intervals.predicted_low', high='intervals.predicted_high'
    ) }},
    {{ kpi(
        'response_rate', '100.0 * intervals.answered_invitations_90d / nullif(intervals.invitations_90d, 0)',
        'intervals.invitations_90d',
        "case when intervals.invitations_90d = 0 then 'no invitations in 90 days' end",
        'intervals.answered_invitations_90d', 'intervals.invitations_90d'
    ) }},
    {{ kpi(
        'deployment_frequency', 'intervals.releases_90d * 7.0 / 90', 'intervals.releases_90d', 'null',
        'intervals.releases_90d'
    ) }},
    {{ kpi(
        'change_failure_rate', '100.0 * intervals.failed_releases_90d / nullif(intervals.releases_90d, 0)',
        'intervals.releases_90d',
        "case when intervals.releases_90d = 0 then 'nothing released in 90 days' end",
        'intervals.failed_releases_90d', 'intervals.releases_90d'
    ) }},
    {{ kpi(
        'restore_time', 'intervals.restore_minutes_median_90d / 60', 'intervals.restored_90d',
        "case when intervals.restored_90d = 0 then 'no incident ended in 90 days' end",
        'intervals.restore_minutes_90d', 'nullif(intervals.restored_90d, 0)'
    ) }},
    {{ kpi('open_issues', 'intervals.open_issues', 'intervals.open_issues') }}
) as kpi (kpi, value, numerator, denominator, sample_size, low, high, reason)
inner join {{ ref('dim_kpis') }} as catalogue on kpi.kpi = catalogue.kpi
{% endmacro %}

{#
  One row per product, period and KPI out of the daily values. What happens on days (`period: sum`) is summed up; what
  stands at the end of a day, or looks back over a window, is that of the period's last day in the series.
#}
{% macro kpi_periods(values, unit) %}
with days as (
    select
        daily.*,
        catalogue.period,
        date_trunc('{{ unit }}', daily.business_date::timestamp)::date as period_start,
        (date_trunc('{{ unit }}', daily.business_date::timestamp) + interval '1 {{ unit }}' - interval '1 day')::date
            as period_end
    from {{ values }} as daily
    inner join {{ ref('dim_kpis') }} as catalogue on daily.kpi = catalogue.kpi
),

totals as (
    select
        days.*,
        row_number() over (
            partition by days.product, days.kpi, days.period_start
            order by days.business_date desc
        ) as days_before_last,
        sum(days.value) over whole as value_sum,
        sum(days.sample_size) over whole as sample_sum
    from days
    window whole as (partition by days.product, days.kpi, days.period_start)
)

select
    product,
    period_start,
    business_date as period_to,
    business_date = period_end as is_complete,
    kpi,
    (case when period = 'sum' then {{ money('value_sum') }} else value end)::numeric(18, 4) as value,
    unit,
    currency,
    (case when period = 'sum' then null else numerator end)::numeric(18, 4) as numerator,
    (case when period = 'sum' then null else denominator end)::numeric(18, 4) as denominator,
    case when period = 'sum' then sample_sum::integer else sample_size end as sample_size,
    low,
    high,
    basis,
    reason,
    batch
from totals
where days_before_last = 1
{% endmacro %}
