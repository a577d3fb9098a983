{#
  One row per product and day, without gaps: everything the KPIs of that day are made of. Facts become changes on
  days, changes become running sums; so each fact is read once, and a day's value needs no second look at history.

  The series runs from the first fact to the later of the last fact and the product's horizon, never to today. A fact
  dated more than a day after it was received does not stretch it.
#}
{% macro product_daily(forms, batch) %}
with changes as (
    {{ sales_changes(forms) }}
    union all
    {{ spend_changes(forms.spend) }}
    union all
    {{ survey_changes(forms.surveys) }}
    union all
    {{ delivery_changes(forms.pull_requests, forms.releases) }}
),

days_with_changes as (
    select
        changes.product,
        changes.business_date,
        max(changes.fact_on) as fact_on,
        sum(changes.orders) as orders,
        sum(changes.gross_sales) as gross_sales,
        sum(changes.discounts) as discounts,
        sum(changes.returns) as returns,
        sum(changes.new_customers) as new_customers,
        sum(changes.customer_value) as customer_value,
        sum(changes.spends) as spends,
        sum(changes.spend_rate) as spend_rate,
        sum(changes.promoters) as promoters,
        sum(changes.passives) as passives,
        sum(changes.detractors) as detractors,
        sum(changes.open_undeployed) as open_undeployed
    from changes
    group by changes.product, changes.business_date
),

stretches as (
    select
        days_with_changes.*,
        lead(days_with_changes.business_date) over by_day as next_date,
        min(days_with_changes.fact_on) over whole as first_date,
        greatest(max(days_with_changes.fact_on) over whole, horizons.as_of) as last_date
    from days_with_changes
    left join {{ ref('stg_registry__horizons') }} as horizons on days_with_changes.product = horizons.product
    window
        by_day as (partition by days_with_changes.product order by days_with_changes.business_date),
        whole as (partition by days_with_changes.product)
),

calendar as (
    select
        stretches.product,
        day.day::date as business_date,
        stretches.first_date,
        stretches.last_date,
        {% for column in [
            'orders', 'gross_sales', 'discounts', 'returns', 'new_customers', 'customer_value', 'spends', 'spend_rate',
            'promoters', 'passives', 'detractors', 'open_undeployed'
        ] -%}
        case when day.day::date = stretches.business_date then stretches.{{ column }} else 0 end as {{ column }}
        {{- ',' if not loop.last }}
        {% endfor %}
    from stretches
    cross join lateral generate_series(
        stretches.business_date::timestamp,
        greatest(
            stretches.business_date,
            least(coalesce(stretches.next_date - 1, stretches.last_date), stretches.last_date)
        )::timestamp,
        interval '1 day'
    ) as day (day)
),

rates as (
    select
        calendar.*,
        sum(calendar.spend_rate) over so_far as spend_of_day
    from calendar
    window so_far as (partition by calendar.product order by calendar.business_date)
),

running as (
    select
        rates.*,
        sum(rates.gross_sales - rates.discounts) over quarter as sales_90d,
        sum(rates.orders) over quarter as orders_90d,
        sum(rates.returns) over quarter as returns_90d,
        sum(rates.new_customers) over quarter as new_customers_90d,
        sum(rates.spend_of_day) over quarter as spend_90d,
        sum(rates.spends) over so_far as spends_so_far,
        sum(rates.new_customers) over so_far as customers,
        sum(rates.customer_value) over so_far as customer_value_so_far,
        sum(rates.promoters) over so_far as promoters_90d,
        sum(rates.passives) over so_far as passives_90d,
        sum(rates.detractors) over so_far as detractors_90d,
        sum(rates.open_undeployed) over so_far as undeployed
    from rates
    window
        so_far as (partition by rates.product order by rates.business_date),
        quarter as (
            partition by rates.product order by rates.business_date rows between 89 preceding and current row
        )
),

lead_times as (
    {{ lead_times_by_day(forms.pull_requests, forms.releases) }}
)

select
    running.product,
    running.business_date,
    {{ currency_of('products') }} as currency,
    running.orders::integer as orders,
    {{ money('running.gross_sales') }} as gross_sales,
    {{ money('running.discounts') }} as discounts,
    {{ money('running.returns') }} as returns,
    {{ money('running.gross_sales - running.discounts - running.returns') }} as net_sales,
    running.new_customers::integer as new_customers,
    running.customers::integer as customers,
    {{ money('running.customer_value_so_far') }} as customer_net_sales,
    running.orders_90d::integer as orders_90d,
    {{ money('running.sales_90d') }} as sales_90d,
    {{ money('running.returns_90d') }} as returns_90d,
    running.new_customers_90d::integer as new_customers_90d,
    running.spends_so_far > 0 as has_spend,
    {{ money('round(running.spend_90d, 8)') }} as spend_90d,
    running.promoters_90d::integer as promoters_90d,
    running.passives_90d::integer as passives_90d,
    running.detractors_90d::integer as detractors_90d,
    coalesce(lead_times.deployed, 0)::integer as deployed_90d,
    lead_times.minutes_sum::numeric(18, 4) as lead_minutes_90d,
    lead_times.minutes_median::numeric(18, 4) as lead_minutes_median_90d,
    lead_times.minutes_p90::numeric(18, 4) as lead_minutes_p90_90d,
    running.undeployed::integer as open_undeployed,
    {{ batch }} as batch
from running
left join {{ ref('stg_registry__products') }} as products on running.product = products.product
left join lead_times
    on running.product = lead_times.product and running.business_date = lead_times.business_date
where running.business_date between running.first_date and running.last_date
{% endmacro %}

{# A fact stretches the series unless it is dated after it was received; the day of grace is for clocks that differ. #}
{% macro fact_day(day, received_at) -%}
    case when not {{ is_dated_ahead(day, received_at) }} then {{ day }} end
{%- endmacro %}

{% macro is_dated_ahead(day, received_at) -%}
    {{ day }} > ({{ received_at }} at time zone 'UTC')::date + 1
{%- endmacro %}
