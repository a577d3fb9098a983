-- One row per exchange rate event.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.pair,
    fields.day,
    fields.rate,
    fields.provider
from {{ source('events', 'rates') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    pair text,
    day date,
    rate numeric,
    provider text
)
where
    events.connector = 'events'
    and events.dataset = 'rates'
