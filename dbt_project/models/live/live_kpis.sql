-- One row per product and KPI: the values of the last day of its series, as of the newest committed event.
with last_days as (
    select distinct on (days.product) days.*
    from {{ ref('live_product_daily') }} as days
    order by days.product asc, days.business_date desc
),

{{ kpi_figures('last_days') }}

{{ kpi_lines() }}
