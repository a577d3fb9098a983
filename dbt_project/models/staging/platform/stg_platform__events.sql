-- One row per event.
select
    product,
    connector,
    batch,
    time as event_time,
    received_at,
    (received_at at time zone 'UTC')::date as received_on
from {{ source('platform', 'events') }}
