-- One row per product, connector, dataset and hour.
select
    product,
    connector,
    dataset,
    hour,
    (hour at time zone 'UTC')::date as day,
    landed,
    duplicate,
    quarantined,
    filtered
from {{ source('platform', 'intake') }}
