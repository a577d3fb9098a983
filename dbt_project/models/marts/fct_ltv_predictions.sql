-- One row per product, day and horizon: what the customers acquired by that day were predicted to bring.
{{ config(materialized='view') }}

select
    product,
    as_of,
    horizon_days,
    value,
    low,
    high,
    currency,
    customers,
    repeat_customers,
    (parameters ->> 'discount_rate_per_year')::numeric(8, 4) as discount_rate,
    reason,
    method,
    batch
from {{ ref('stg_kpis__predicted_ltv') }}
