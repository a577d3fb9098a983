-- One row per product, connector and hour.
select
    product,
    connector,
    hour,
    (hour at time zone 'UTC')::date as day,
    polls,
    polls_failed,
    deliveries,
    deliveries_unacknowledged
from {{ source('platform', 'connector_hours') }}
