{#
  One row per product and day, without gaps: everything the KPIs of that day are made of. Changes become running sums;
  so each fact is read once, and a day's value needs no second look at history.

  The series runs from the first fact to the later of the last fact and the product's horizon, never to today. A fact
  dated more than a day after it was received does not stretch it.
#}

{# CTE `sums`: the changes of days summed up, of those days alone that changed since int_daily_changes last ran. #}
{% macro sums_of_days(live=false) %}
{%- set some = live or is_incremental() -%}
{%- if some -%}
touched_days as (
    {%- for family in measures() %}
    select
        changes.product,
        changes.business_date
    from {{ ref('int_' ~ family ~ '_changes') }} as changes
    where {{ pending_for('int_daily_changes', 'changes') }}
    {%- if not loop.last %}
    union
    {%- endif %}
    {%- endfor %}
),

{% endif -%}
sums as (
    select
        changes.product,
        changes.business_date,
        {%- for measure in all_measures() %}
        sum(changes.{{ measure }}) as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        {%- for family in measures() %}
        select
            changes.product,
            changes.business_date,
            {{ with_all_measures(family, 'changes') }}
        {%- if some %}
        from touched_days
        inner join {{ ref('int_' ~ family ~ '_changes') }} as changes
            on touched_days.product = changes.product and touched_days.business_date = changes.business_date
        {%- else %}
        from {{ ref('int_' ~ family ~ '_changes') }} as changes
        {%- endif %}
        {%- if not loop.last %}
        union all
        {%- endif %}
        {%- endfor %}
    ) as changes
    group by changes.product, changes.business_date
)
{% endmacro %}

{#
  The rows of the products of `starts` (product, from_on) from that day on, out of all changes of their days. What
  lies before it in the series is reckoned and left out.
#}
{% macro product_days(starts, daily, lead_times, incidents, batch) %}
    with reach as (
        select
            daily.*,
            starts.from_on,
            lead(daily.business_date) over by_day as next_date,
            min(daily.business_date) filter (where daily.facts > 0) over whole as first_date,
            greatest(
                max(daily.business_date) filter (where daily.facts > 0) over whole, horizons.as_of
            ) as last_date
        from {{ starts }} as starts
        inner join {{ daily }} as daily on starts.product = daily.product
        left join {{ ref('stg_registry__horizons') }} as horizons on starts.product = horizons.product
        window
            by_day as (partition by daily.product order by daily.business_date),
            whole as (partition by daily.product)
    ),

    calendar as (
        select
            reach.product,
            day.day::date as business_date,
            reach.from_on,
            reach.first_date,
            reach.last_date,
            {%- for measure in all_measures() %}
            case when day.day::date = reach.business_date then reach.{{ measure }} else 0 end as {{ measure }}
            {{- ',' if not loop.last }}
            {%- endfor %}
        from reach
        cross join lateral generate_series(
            reach.business_date::timestamp,
            greatest(
                reach.business_date, least(coalesce(reach.next_date - 1, reach.last_date), reach.last_date)
            )::timestamp,
            interval '1 day'
        ) as day (day)
    ),

    rates as (
        select
            calendar.*,
            sum(calendar.spend_rate) over so_far as spend_of_day,
            sum(calendar.media_rate) over so_far as media_of_day
        from calendar
        window so_far as (partition by calendar.product order by calendar.business_date)
    ),

    running as (
        select
            rates.*,
            {%- for measure in ['orders', 'returns', 'new_customers', 'releases'] %}
            sum(rates.{{ measure }}) over quarter as {{ measure }}_90d,
            {%- endfor %}
            sum(rates.gross_sales - rates.discounts) over quarter as sales_90d,
            sum(rates.spend_of_day) over quarter as spend_90d,
            sum(rates.media_of_day) over quarter as media_90d,
            {%- for measure in [
                'spends', 'new_customers', 'customer_value', 'repeat_customers', 'active_customers', 'promoters',
                'passives', 'detractors', 'invitations', 'answered_invitations', 'failed_releases', 'open_undeployed',
                'open_issues'
            ] %}
            sum(rates.{{ measure }}) over so_far as {{ measure }}_so_far{{ ',' if not loop.last }}
            {%- endfor %}
        from rates
        window
            so_far as (partition by rates.product order by rates.business_date),
            quarter as (
                partition by rates.product order by rates.business_date rows between 89 preceding and current row
            )
    ),

    ends as (
        select distinct
            reach.product,
            reach.last_date
        from reach
    ),

    released as (
        select
            merged.product,
            day.day::date as business_date,
            count(*) as deployed,
            sum(merged.minutes) as minutes_sum,
            percentile_cont(0.5) within group (order by merged.minutes::double precision)::numeric as minutes_median,
            percentile_cont(0.9) within group (order by merged.minutes::double precision)::numeric as minutes_p90
        from {{ starts }} as starts
        inner join {{ lead_times }} as merged
            on starts.product = merged.product and merged.released_on >= starts.from_on - 89
        inner join ends on starts.product = ends.product
        cross join lateral generate_series(
            greatest(merged.released_on, starts.from_on)::timestamp,
            least(merged.released_on + 89, ends.last_date)::timestamp,
            interval '1 day'
        ) as day (day)
        group by merged.product, day.day
    ),

    restored as (
        select
            ended.product,
            day.day::date as business_date,
            count(*) as incidents,
            sum(ended.minutes) as minutes_sum,
            percentile_cont(0.5) within group (order by ended.minutes::double precision)::numeric as minutes_median
        from {{ starts }} as starts
        inner join {{ incidents }} as ended
            on starts.product = ended.product and ended.closed_on >= starts.from_on - 89
        inner join ends on starts.product = ends.product
        cross join lateral generate_series(
            greatest(ended.closed_on, starts.from_on)::timestamp,
            least(ended.closed_on + 89, ends.last_date)::timestamp,
            interval '1 day'
        ) as day (day)
        group by ended.product, day.day
    )

    select
        running.product,
        running.business_date,
        {{ currency_of('products') }} as currency,
        running.orders::integer as orders,
        {{ total('running.gross_sales') }} as gross_sales,
        {{ total('running.discounts') }} as discounts,
        {{ total('running.returns') }} as returns,
        {{ total('running.gross_sales - running.discounts - running.returns') }} as net_sales,
        running.new_customers::integer as new_customers,
        running.new_customers_so_far::integer as customers,
        running.repeat_customers_so_far::integer as repeat_customers,
        running.active_customers_so_far::integer as active_customers_90d,
        {{ total('running.customer_value_so_far') }} as customer_net_sales,
        running.orders_90d::integer as orders_90d,
        {{ total('running.sales_90d') }} as sales_90d,
        {{ total('running.returns_90d') }} as returns_90d,
        running.new_customers_90d::integer as new_customers_90d,
        running.spends_so_far > 0 as has_spend,
        {{ total('round(running.spend_90d, 8)') }} as spend_90d,
        {{ total('round(running.media_90d, 8)') }} as media_90d,
        running.promoters_so_far::integer as promoters_90d,
        running.passives_so_far::integer as passives_90d,
        running.detractors_so_far::integer as detractors_90d,
        running.invitations_so_far::integer as invitations_90d,
        running.answered_invitations_so_far::integer as answered_invitations_90d,
        coalesce(released.deployed, 0)::integer as deployed_90d,
        released.minutes_sum::numeric(18, 4) as lead_minutes_90d,
        released.minutes_median::numeric(18, 4) as lead_minutes_median_90d,
        released.minutes_p90::numeric(18, 4) as lead_minutes_p90_90d,
        running.releases::integer as releases,
        running.releases_90d::integer as releases_90d,
        running.failed_releases_so_far::integer as failed_releases_90d,
        coalesce(restored.incidents, 0)::integer as restored_90d,
        restored.minutes_sum::numeric(18, 4) as restore_minutes_90d,
        restored.minutes_median::numeric(18, 4) as restore_minutes_median_90d,
        running.open_undeployed_so_far::integer as open_undeployed,
        running.open_issues_so_far::integer as open_issues,
        {{ batch }} as batch
    from running
    left join {{ ref('stg_registry__products') }} as products on running.product = products.product
    left join released
        on running.product = released.product and running.business_date = released.business_date
    left join restored
        on running.product = restored.product and running.business_date = restored.business_date
    where
        running.business_date between running.first_date and running.last_date
        and running.business_date >= running.from_on
{% endmacro %}

{# Columns of a row of fct_product_daily and of its live twin, without the batch. #}
{% macro product_day_columns(days) -%}
    {%- for column in [
        'product', 'business_date', 'currency', 'orders', 'gross_sales', 'discounts', 'returns', 'net_sales',
        'new_customers', 'customers', 'repeat_customers', 'active_customers_90d', 'customer_net_sales', 'orders_90d',
        'sales_90d', 'returns_90d', 'new_customers_90d', 'has_spend', 'spend_90d', 'media_90d', 'promoters_90d',
        'passives_90d', 'detractors_90d', 'invitations_90d', 'answered_invitations_90d', 'deployed_90d', 'lead_minutes_90d', 'lead_minutes_median_90d',
        'lead_minutes_p90_90d', 'releases', 'releases_90d', 'failed_releases_90d', 'restored_90d',
        'restore_minutes_90d', 'restore_minutes_median_90d', 'open_undeployed', 'open_issues'
    ] %}
    {{ days }}.{{ column }}{{ ',' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
