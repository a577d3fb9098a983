{#
  One row per product, day and KPI out of the wide daily rows. A value is rounded once, here. Where a value would say
  more than is known it is NULL, and the reason is beside it.
#}
{% macro kpi_values(daily) %}
with figures as (
    select
        daily.*,
        daily.promoters_90d + daily.passives_90d + daily.detractors_90d as answers_90d,
        daily.promoters_90d - daily.detractors_90d as balance_90d
    from {{ daily }} as daily
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
    (
        'LTV',
        intervals.customer_net_sales / nullif(intervals.customers, 0),
        intervals.customer_net_sales,
        intervals.customers::numeric,
        intervals.customers,
        null::numeric,
        null::numeric,
        case when intervals.customers = 0 then 'no customers acquired' end
    ),
    (
        'CAC',
        case when intervals.has_spend then intervals.spend_90d / nullif(intervals.new_customers_90d, 0) end,
        case when intervals.has_spend then intervals.spend_90d end,
        intervals.new_customers_90d::numeric,
        intervals.new_customers_90d,
        null::numeric,
        null::numeric,
        case
            when not intervals.has_spend then 'no spend recorded'
            when intervals.new_customers_90d = 0 then 'no customers acquired in 90 days'
        end
    ),
    (
        'NPS',
        intervals.nps,
        intervals.balance_90d::numeric,
        intervals.answers_90d::numeric,
        intervals.answers_90d,
        case when intervals.nps is not null then greatest(intervals.nps - intervals.nps_margin, -100) end,
        case when intervals.nps is not null then least(intervals.nps + intervals.nps_margin, 100) end,
        case
            when intervals.answers_90d = 0 then 'no answers in 90 days'
            when intervals.answers_90d < 30 then 'small sample'
        end
    ),
    (
        'leadTime',
        intervals.lead_minutes_median_90d / 60,
        intervals.lead_minutes_90d,
        nullif(intervals.deployed_90d, 0)::numeric,
        intervals.deployed_90d,
        null::numeric,
        null::numeric,
        case when intervals.deployed_90d = 0 then 'nothing released in 90 days' end
    ),
    (
        'net_sales',
        intervals.net_sales,
        null::numeric,
        null::numeric,
        intervals.orders,
        null::numeric,
        null::numeric,
        null::text
    ),
    (
        'orders',
        intervals.orders::numeric,
        null::numeric,
        null::numeric,
        intervals.orders,
        null::numeric,
        null::numeric,
        null::text
    ),
    (
        'new_customers',
        intervals.new_customers::numeric,
        null::numeric,
        null::numeric,
        intervals.new_customers,
        null::numeric,
        null::numeric,
        null::text
    ),
    (
        'average_order_value',
        intervals.sales_90d / nullif(intervals.orders_90d, 0),
        intervals.sales_90d,
        intervals.orders_90d::numeric,
        intervals.orders_90d,
        null::numeric,
        null::numeric,
        case when intervals.orders_90d = 0 then 'no orders in 90 days' end
    ),
    (
        'refund_rate',
        100 * intervals.returns_90d / nullif(intervals.sales_90d, 0),
        intervals.returns_90d,
        intervals.sales_90d,
        intervals.orders_90d,
        null::numeric,
        null::numeric,
        case when intervals.sales_90d = 0 then 'no sales in 90 days' end
    )
) as kpi (kpi, value, numerator, denominator, sample_size, low, high, reason)
inner join {{ ref('dim_kpis') }} as catalogue on kpi.kpi = catalogue.kpi
{% endmacro %}
