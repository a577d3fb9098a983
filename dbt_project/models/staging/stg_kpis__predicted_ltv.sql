-- One row per product, day and horizon: what its customers were predicted to bring. Names and types only.
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
    parameters,
    reason,
    method,
    batch,
    computed_at
from {{ source('kpis', 'predicted_ltv') }}
